"""The persister: brings closed fragments into their journal's store, and never gives up.

The primary's fragments are uploaded at once. Replicas wait for that, then look whether it was done,
and do it themselves if it was not. When a member of the cluster is lost they hardly wait: another
loss might take the last copy.

Invariants:
    PE1  A fragment is let go of only once its object is in a store, or its journal is deleted, or
         the journal has no stores. One of a journal which was deleted and made anew is not stored:
         it could hide what was acknowledged since, at the same offsets.
    PE2  The spec is the one of the time of the attempt: its first store, its path postfix.
    PE3  An object is written only where none exists; names carry offsets and sums, so whoever wrote
         it wrote the same content.
    PE4  Each store has slots of its own: one which hangs delays no other.
    PE5  What a store refused while it was down is tried again as soon as anything gets into it.

Source: gazette/core broker/fragment/persister.go and stores.go.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from typing import BinaryIO, Protocol

from gazette_py.broker.spool_file import SpoolDirectory, SpoolFile, SpoolUse
from gazette_py.broker.token import Signal, wait_signal
from gazette_py.clock import Clock
from gazette_py.codecs import compressor
from gazette_py.core.spool import CompletedSpool
from gazette_py.errors import StoreDeniedError, StoreUnavailableError
from gazette_py.protocol.enums import CompressionCodec
from gazette_py.protocol.fragment import Fragment, content_name, content_path
from gazette_py.protocol.journal import JournalSpec
from gazette_py.protocol.path_template import PathTemplate, SpoolView
from gazette_py.stores.base import Store
from gazette_py.stores.registry import StoreRegistry
from gazette_py.telemetry.log import get_logger

log = get_logger(__name__)

PUT_TIMEOUT_S = 300.0
"""For an attempt, and ..."""

PUT_BYTES_PER_S_MIN = 1 << 20
"""... as much more as content takes at this rate. The reference has no more than the former, within
which a large fragment might never get into a slow store."""

REPLICA_DELAY_S = (5.0, 10.0)
"""How long a replica gives the primary to upload a fragment, and ..."""

REPLICA_BYTES_PER_S = 10 << 20
"""... how much longer for each byte of it."""

SURVIVOR_DELAY_S = (0.5, 4.0)
"""How long it gives it once a member was lost, and ..."""

SURVIVOR_S = 20.0
"""... for fragments of how long after that."""

RETRY_S = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Between attempts, each within a fifth more or less."""

_PIECE_BYTES = 1 << 20


class PersistCounters(Protocol):
    """Hears of outcomes, as metrics do."""

    def spool_persisted(self) -> None:
        """A fragment needs no more attention."""

    def persist_failed(self) -> None:
        """An attempt failed."""


class Persister:
    """Works on many fragments at a time, `concurrency` of them in each store.

    Args:
        stores: Where to.
        spools: Where compressed content is put on its way.
        spec_of: Returns the spec of a journal which was created at a revision of etcd, None if it
            was deleted, be it that there is another of its name.
        executor: Does the compression.
        clock: Times delays and retries.
        counters: Hear of outcomes.
        concurrency: Attempts at a time, of each store.
    """

    def __init__(
        self,
        *,
        stores: StoreRegistry,
        spools: SpoolDirectory,
        spec_of: Callable[[str, int], JournalSpec | None],
        executor: Executor,
        clock: Clock,
        counters: PersistCounters,
        concurrency: int = 32,
    ) -> None:
        self._stores = stores
        self._spools = spools
        self._spec_of = spec_of
        self._executor = executor
        self._clock = clock
        self._counters = counters
        self._slots: defaultdict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(concurrency)
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._finishing = Signal()
        self._member_lost = Signal()
        self._loss_at = float("-inf")  # Monotonic, of the last member lost.
        self._down: dict[str, Signal] = {}  # By store. It fires when something gets in (PE5).
        self.pending_bytes = 0

    @property
    def pending(self) -> int:
        """Fragments which are in no store yet, as far as we know."""
        return len(self._tasks)

    def persist_soon(
        self, spool: CompletedSpool, create_revision: int, *, is_primary: bool
    ) -> None:
        """Take a closed fragment of the journal which was created at `create_revision`."""
        delay_s = 0.0
        if not is_primary and self._clock.monotonic() < self._loss_at + SURVIVOR_S:
            delay_s = self._clock.uniform(*SURVIVOR_DELAY_S)
        elif not is_primary:
            delay_s = self._clock.uniform(*REPLICA_DELAY_S)
            delay_s += spool.fragment.length / REPLICA_BYTES_PER_S
        # Not in a task group: begun by calls and by ends of replicas. `finish` awaits all of them.
        task = asyncio.create_task(
            self._persist(spool, create_revision, delay_s), name=f"persist {spool.fragment.journal}"
        )
        self._tasks.add(task)
        self.pending_bytes += spool.fragment.length
        task.add_done_callback(lambda done: self._on_done(done, spool.fragment))

    def _on_done(self, task: "asyncio.Task[None]", fragment: Fragment) -> None:
        self._tasks.discard(task)
        self.pending_bytes -= fragment.length

    def member_lost(self) -> None:
        """Hear that a broker has left the cluster, maybe with copies of what we hold."""
        self._loss_at = self._clock.monotonic()
        signal, self._member_lost = self._member_lost, Signal()
        signal.fire()

    async def finish(self) -> None:
        """Attempt everything now, again and again, until nothing is left."""
        self._finishing.fire()
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _persist(self, spool: CompletedSpool, create_revision: int, delay_s: float) -> None:
        if delay_s:
            await self._give_time(delay_s)
        attempt = 0
        while True:
            try:
                await self._attempt_in_turn(spool, create_revision)
            except Exception as exc:  # noqa: BLE001  # PE1: not even a bug may lose content.
                self._counters.persist_failed()
                log.warning(
                    "persist_failed",
                    journal=spool.fragment.journal,
                    fragment=content_name(spool.fragment),
                    attempt=attempt,
                    err=str(exc) or type(exc).__name__,
                )
            else:
                self._counters.spool_persisted()
                return
            delay_s = RETRY_S[min(attempt, len(RETRY_S) - 1)] * self._clock.uniform(0.8, 1.2)
            attempt += 1
            await self._wait(delay_s, self._down.get(self._store_of(spool, create_revision)))

    async def _give_time(self, delay_s: float) -> None:
        """Give the primary its time."""
        until = self._clock.monotonic() + delay_s
        lost = self._member_lost
        if await wait_signal(delay_s, self._finishing, lost) and not self._finishing.is_fired:
            left = until - self._clock.monotonic()
            await wait_signal(min(left, self._clock.uniform(*SURVIVOR_DELAY_S)), self._finishing)

    async def _wait(self, delay_s: float, up: Signal | None) -> None:
        """Wait after a failed attempt; `up` fires when the store has come back."""
        if self._finishing.is_fired:
            await self._clock.sleep(min(delay_s, RETRY_S[1]))
        else:
            await wait_signal(delay_s, self._finishing, *filter(None, [up]))

    def _store_of(self, spool: CompletedSpool, create_revision: int) -> str:
        spec = self._spec_of(spool.fragment.journal, create_revision)
        return spec.fragment.stores[0] if spec is not None and spec.fragment.stores else ""

    async def _attempt_in_turn(self, spool: CompletedSpool, create_revision: int) -> None:
        url = self._store_of(spool, create_revision)
        async with self._slots[url]:
            try:
                await self._attempt(spool, create_revision)  # Of the spec as it is by then (PE2).
            except (StoreUnavailableError, TimeoutError):
                self._down.setdefault(url, Signal())
                raise
        if (down := self._down.pop(url, None)) is not None:
            down.fire()

    async def _attempt(self, spool: CompletedSpool, create_revision: int) -> None:
        spec = self._spec_of(spool.fragment.journal, create_revision)
        if spec is None or not spec.fragment.stores:
            return  # PE1
        path = content_path(replace(spool.fragment, path_postfix=_postfix(spool, spec)))
        for i, url in enumerate(spec.fragment.stores):
            active = self._stores.get(url)
            active.mark()
            try:
                await self._put(active.store, path, spool)
                return
            except StoreDeniedError:
                # A process which must end takes a store which lets it; one which stays waits for
                # an operator.
                if not self._finishing.is_fired or i + 1 == len(spec.fragment.stores):
                    raise

    async def _put(self, store: Store, path: str, spool: CompletedSpool) -> None:
        timeout_s = PUT_TIMEOUT_S + spool.fragment.length / PUT_BYTES_PER_S_MIN
        async with asyncio.timeout(timeout_s):
            if await store.exists(path):
                return
            codec, length = spool.fragment.compression_codec, spool.fragment.length
            assert isinstance(spool.file, SpoolFile)
            file = spool.file
            if codec is not CompressionCodec.NONE:
                loop = asyncio.get_running_loop()
                file, length = await loop.run_in_executor(self._executor, self._compress, spool)
            encoding = "gzip" if codec is CompressionCodec.GZIP_OFFLOAD_DECOMPRESSION else ""

            def open_content() -> BinaryIO:
                return file.open_window(length)

            await store.put(path, open_content, length, encoding)
        log.debug("fragment_persisted", journal=spool.fragment.journal, path=path)

    def _compress(self, spool: CompletedSpool) -> tuple[SpoolFile, int]:
        """Return a file of the fragment's compressed content, and its length. It blocks."""
        fragment = spool.fragment
        target = self._spools.open(
            f"{fragment.journal}.compressed", fragment.begin, SpoolUse.UPLOAD
        )
        coder, position, length = compressor(fragment.compression_codec), 0, 0
        while position < fragment.length:
            piece = spool.file.read(position, min(_PIECE_BYTES, fragment.length - position))
            if not piece:
                raise OSError(f"spool file of {fragment.journal} ends at {position}")
            position += len(piece)
            if compressed := coder.compress(piece):
                target.write(length, compressed)
                length += len(compressed)
        rest = coder.flush()
        target.write(length, rest)
        return target, length + len(rest)


def _postfix(spool: CompletedSpool, spec: JournalSpec) -> str:
    template = spec.fragment.path_postfix_template
    if not template:
        return ""
    seconds = spool.first_append_time
    # Microseconds are what a float of this size holds exactly.
    first_append_ns = round(seconds * 1_000_000) * 1_000 if seconds else None
    view = SpoolView(spool.fragment, spool.registers, first_append_ns)
    return PathTemplate.parse(template).evaluate(view, spec)
