"""Keeps a `KeySpace` in line with etcd, and lets others wait for a revision of it.

Invariants:
    M1  Events are applied in etcd's order, whole revisions at a time; observers run in the same
        step, before anyone who waits is woken.
    M2  A wait ends as soon as everything up to its revision has been seen, whether or not a key of
        ours changed at it: progress counts.
    M3  A contradiction is fatal. A compacted watch loads anew, as soon as etcd is there, and
        applies the difference. So does a mirror which `audit` has found to differ from etcd.

Source: gazette/core keyspace/key_space.go. The watched prefix is the root *without* a slash at its
end, exactly as Gazette's brokers watch it: otherwise a revision which one of them advertises might
never be reached here.
"""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from itertools import islice

from gazette_py.clock import Clock
from gazette_py.core.keyspace import Delta, KeySpace, KeySpaceInconsistentError
from gazette_py.errors import EtcdCompactedError, EtcdError, EtcdUnavailableError
from gazette_py.etcd.base import Etcd, WatchBatch
from gazette_py.protocol.route import EtcdHeader
from gazette_py.telemetry.log import get_logger

log = get_logger(__name__)

STALL_S = 0.05
"""How long a wait may be unmet before we ask etcd for a progress notification, and then again."""

RELOAD_RETRY_S = 0.5
"""How long to wait until the next try to load anew, after etcd did not answer the last one."""

QUEUED_BATCHES_MAX = 1024
"""Watch responses which wait for the next step. etcd holds back more."""

TOLD_MAX = 10
"""Values of one batch which cannot be decoded, and which the log shows."""


class _DriftError(Exception):
    """The mirror differs from etcd."""


class Mirror:
    """The key space, as `run` keeps it."""

    def __init__(self, etcd: Etcd, root: str, *, clock: Clock, watch_delay_s: float = 0.03) -> None:
        self.keyspace = KeySpace(root)
        self._etcd = etcd
        self._prefix = root.encode()
        self._clock = clock
        self._watch_delay_s = watch_delay_s
        self._observers: list[Callable[[Delta], None]] = []
        self._changed = asyncio.Event()
        self._drifted = asyncio.Event()

    @property
    def header(self) -> EtcdHeader:
        """The header which we may advertise."""
        return self.keyspace.header

    @property
    def read_through(self) -> int:
        """The revision up to which everything has been seen."""
        return max(self.keyspace.read_through, self.keyspace.header.revision)

    def add_observer(self, observer: Callable[[Delta], None]) -> None:
        """Call `observer` after each change, in the same step. It must not wait."""
        self._observers.append(observer)

    async def load(self, revision: int) -> None:
        """Load the key space as of `revision`, and tell observers of all of it."""
        listed = await self._etcd.range_prefix(self._prefix, revision)
        fresh = KeySpace(self.keyspace.root)
        # In a thread: for a hundred thousand journals it takes ten seconds.
        loaded = await asyncio.to_thread(fresh.load, listed.header, listed.kvs, revision)
        before = self._everything()
        self.keyspace.become(fresh)
        after = self._everything()
        self._tell(
            Delta(
                revision,
                items=before.items | after.items,
                members=before.members | after.members,
                journals=before.journals | after.journals,
                undecodable=loaded.undecodable,
                is_reload=True,
            )
        )

    def _everything(self) -> Delta:
        keyspace = self.keyspace
        return Delta(
            keyspace.header.revision,
            items=set(keyspace.items),
            members=set(keyspace.members),
            journals=set(keyspace.assigned_journals()),
        )

    async def run(self) -> None:
        """Follow etcd until cancelled.

        Raises:
            KeySpaceInconsistentError: etcd contradicts itself. The process must end.
            EtcdError: The watch cannot go on.
        """
        while True:
            try:
                await self._watch(self.read_through + 1)
            except EtcdCompactedError:
                log.warning("watch_compacted", revision=self.read_through)
                await self._load_anew()
            except _DriftError:
                await self._load_anew()
                self._drifted.clear()

    async def _load_anew(self) -> None:
        while True:
            try:
                newest = await self._etcd.txn([], [])
                if newest.header.cluster_id != self.keyspace.header.cluster_id:
                    raise KeySpaceInconsistentError("etcd cluster changed")
                await self.load(newest.header.revision)
                return
            except (EtcdUnavailableError, EtcdCompactedError) as exc:
                log.warning("load_failed", err=str(exc))
            await self._clock.sleep(RELOAD_RETRY_S)

    async def _watch(self, revision: int) -> None:
        queue: asyncio.Queue[WatchBatch] = asyncio.Queue(QUEUED_BATCHES_MAX)

        async def receive() -> None:
            async with aclosing(self._etcd.watch_prefix(self._prefix, revision)) as batches:  # type: ignore[type-var]  # It is a generator.
                async for batch in batches:
                    await queue.put(batch)
            raise EtcdError("the watch has ended")

        receiver = asyncio.create_task(receive(), name="etcd watch")  # Awaited below.
        try:
            while True:
                await self._step(queue, receiver)
        finally:
            while not receiver.done():
                # Again and again: gRPC may take a cancellation for an end of its call.
                receiver.cancel()
                await asyncio.wait([receiver], timeout=1)

    async def _step(
        self, queue: "asyncio.Queue[WatchBatch]", receiver: "asyncio.Task[None]"
    ) -> None:
        """Wait for news, gather what else comes within the delay, and apply all of it."""
        getter = asyncio.ensure_future(queue.get())
        drifted = asyncio.ensure_future(self._drifted.wait())
        try:
            await asyncio.wait([getter, receiver, drifted], return_when=asyncio.FIRST_COMPLETED)
        finally:
            drifted.cancel()
            if not getter.done():
                getter.cancel()
        if self._drifted.is_set():
            raise _DriftError
        if not getter.done() or getter.cancelled():
            await receiver  # Raises: it never returns.
        batches = [getter.result()]
        if batches[0].events and self._watch_delay_s:
            await self._clock.sleep(self._watch_delay_s)
        while not queue.empty():
            batches.append(queue.get_nowait())
        delta = self.keyspace.apply([(batch.header, batch.events) for batch in batches])
        self._tell(delta)

    def _tell(self, delta: Delta) -> None:
        for key, reason in islice(delta.undecodable.items(), TOLD_MAX):
            log.warning("value_ignored", key=key.decode(errors="backslashreplace"), err=reason)
        if delta:
            for observer in self._observers:
                observer(delta)
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait_revision(self, revision: int) -> None:
        """Wait until everything up to `revision` has been seen."""
        while self.read_through < revision:
            changed = self._changed
            try:
                async with asyncio.timeout(STALL_S):
                    await changed.wait()
            except TimeoutError:
                # etcd sends progress by itself only every ten minutes.
                await self._etcd.request_progress()

    async def catch_up(self) -> None:
        """Wait until everything has been seen which etcd has now.

        Raises:
            EtcdError: etcd does not answer.
        """
        await self.wait_revision((await self._etcd.txn([], [])).header.revision)

    async def audit(self) -> int:
        """Compare the mirror with etcd; if they differ, have it loaded anew.

        Returns:
            How many keys differed.

        Raises:
            EtcdError: etcd does not answer.
        """
        differing = await self._differing()
        if differing:
            # Twice, since a key may have been deleted between the listing and the comparison.
            differing &= await self._differing()
        if differing:
            log.error("mirror_drifted", keys=len(differing), first=min(differing)[0].decode())
            self._drifted.set()
        return len(differing)

    async def _differing(self) -> set[tuple[bytes, int]]:
        listed = await self._etcd.range_prefix(self._prefix, keys_only=True)
        revision = listed.header.revision
        await self.wait_revision(revision)
        revisions = {kv.key: kv.mod_revision for kv in listed.kvs}
        # In a thread, since it takes a second for a hundred thousand journals.
        return await asyncio.to_thread(self.keyspace.holding().differing, revisions, revision)

    async def wait_change(self, after_revision: int) -> None:
        """Wait until the key space has a revision beyond `after_revision`."""
        while self.keyspace.header.revision <= after_revision:
            await self._changed.wait()
