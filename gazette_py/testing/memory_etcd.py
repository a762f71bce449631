"""etcd in this process, behind the interface of `etcd.base`. It passes the same conformance suite.

Leases expire only when a test says so.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

from gazette_py.errors import EtcdCompactedError, EtcdError, EtcdLeaseLostError
from gazette_py.etcd.base import (
    Compare,
    Delete,
    Etcd,
    Event,
    KeyValue,
    LeaseKeeper,
    Op,
    Put,
    RangeResult,
    ResponseHeader,
    Target,
    TxnResult,
    WatchBatch,
)

_OPS_MAX = 128
_FOREVER = float("inf")


@dataclass(slots=True)
class _Server:
    """What all clients of one etcd share."""

    revision: int = 1
    compacted: int = 0
    keys: dict[bytes, KeyValue] = field(default_factory=dict)
    compacted_keys: dict[bytes, KeyValue] = field(default_factory=dict)  # As of `compacted`.
    history: list[Event] = field(default_factory=list)
    leases: dict[int, set[bytes]] = field(default_factory=dict)
    lease_count: int = 0
    progress: int = 0  # Requests for it.
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    keepers: dict[int, "_MemoryLeaseKeeper"] = field(default_factory=dict)

    def wake(self) -> None:
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()


class MemoryEtcd(Etcd):
    """One client. Further ones of the same etcd are made by `client`."""

    def __init__(self, server: _Server | None = None) -> None:
        self._server = server or _Server()

    def client(self) -> "MemoryEtcd":
        """Return another client of the same etcd."""
        return MemoryEtcd(self._server)

    # What only tests do.

    def expire_lease(self, lease: int) -> None:
        """Let a lease expire: its keys are deleted in one revision."""
        server = self._server
        keys = server.leases.pop(lease, set())
        if keys:
            server.revision += 1
            for key in sorted(keys):
                self._delete(key)
        if (keeper := server.keepers.pop(lease, None)) is not None:
            keeper.lose()
        server.wake()

    def compact(self, revision: int) -> None:
        """Forget what was before a revision. Watches which need it end."""
        server = self._server
        assert server.compacted < revision <= server.revision, "etcd refuses it"
        server.compacted_keys = self._keys_at(revision)
        server.compacted = revision
        server.history = [e for e in server.history if e.kv.mod_revision >= revision]

    # The interface.

    async def range_prefix(
        self, prefix: bytes, revision: int = 0, *, keys_only: bool = False
    ) -> RangeResult:
        """Return all keys which begin with `prefix`."""
        server = self._server
        if revision > server.revision:
            raise EtcdError("etcdserver: mvcc: required revision is a future revision")
        if revision and revision < server.compacted:
            raise EtcdCompactedError(f"etcd: compacted up to revision {server.compacted}")
        keys = server.keys if not revision else self._keys_at(revision)
        kvs = tuple(keys[key] for key in sorted(keys) if key.startswith(prefix))
        if keys_only:
            kvs = tuple(replace(kv, value=b"") for kv in kvs)
        return RangeResult(self._header(), kvs)

    async def txn(
        self, compares: Sequence[Compare], success: Sequence[Op], failure: Sequence[Op] = ()
    ) -> TxnResult:
        """Apply `success` if all compares hold, else `failure`."""
        if not all(each.key for each in (*compares, *success, *failure)):
            raise EtcdError("etcdserver: key is not provided")
        if max(len(compares), len(success), len(failure)) > _OPS_MAX:
            raise EtcdError("etcdserver: too many operations in txn request")
        for ops in (success, failure):
            if any(isinstance(op, Put) and op.ignore_lease and op.lease for op in ops):
                raise EtcdError("etcdserver: lease is provided")
            puts = [op.key for op in ops if isinstance(op, Put)]
            if len(puts) != len(set(puts)) or set(puts) & {
                op.key for op in ops if isinstance(op, Delete)
            }:
                raise EtcdError("etcdserver: duplicate key given in txn request")
        succeeded = all(self._holds(compare) for compare in compares)
        self._apply(success if succeeded else failure)
        return TxnResult(succeeded, self._header())

    def watch_prefix(self, prefix: bytes, start_revision: int) -> AsyncIterator[WatchBatch]:
        """Yield what happens to keys below `prefix`, and progress."""
        return self._watch(prefix, start_revision)

    async def request_progress(self) -> None:
        """Have open watches yield progress soon."""
        self._server.progress += 1
        self._server.wake()

    async def grant_lease(self, ttl_s: int) -> int:
        """Return the ID of a new lease."""
        self._server.lease_count += 1
        self._server.leases[self._server.lease_count] = set()
        return self._server.lease_count

    async def revoke_lease(self, lease: int) -> None:
        """End a lease now."""
        self.expire_lease(lease)

    def keep_alive(self, lease: int, ttl_s: int) -> LeaseKeeper:
        """Keep a lease until a test lets it expire."""
        keeper = self._server.keepers[lease] = _MemoryLeaseKeeper()
        if lease not in self._server.leases:
            keeper.lose()
        return keeper

    async def close(self) -> None:
        """Do nothing: there is no connection."""

    # Below.

    def _header(self) -> ResponseHeader:
        return ResponseHeader(
            cluster_id=1, member_id=2, revision=self._server.revision, raft_term=3
        )

    def _keys_at(self, revision: int) -> dict[bytes, KeyValue]:
        """Return keys as they were at a revision which is not compacted."""
        keys = dict(self._server.compacted_keys)
        for event in self._server.history:
            if event.kv.mod_revision > revision:
                break
            if event.is_delete:
                keys.pop(event.kv.key, None)
            else:
                keys[event.kv.key] = event.kv
        return keys

    def _holds(self, compare: Compare) -> bool:
        kv = self._server.keys.get(compare.key, KeyValue(key=compare.key))
        values = {
            Target.VERSION: kv.version,
            Target.CREATE: kv.create_revision,
            Target.MOD: kv.mod_revision,
            Target.LEASE: kv.lease,
        }
        return values[compare.target] == compare.equals

    def _apply(self, ops: Sequence[Op]) -> None:
        server = self._server
        for op in ops:
            if isinstance(op, Put):
                if op.ignore_lease and op.key not in server.keys:
                    raise EtcdError("etcdserver: key not found")
                if op.lease and op.lease not in server.leases:
                    raise EtcdLeaseLostError("etcdserver: requested lease not found")
        changes = [op for op in ops if isinstance(op, Put) or op.key in server.keys]
        if not changes:
            return
        server.revision += 1
        for op in changes:
            if isinstance(op, Put):
                self._put(op)
            else:
                self._delete(op.key)
        server.wake()

    def _put(self, op: Put) -> None:
        server = self._server
        before = server.keys.get(op.key)
        lease = before.lease if op.ignore_lease and before is not None else op.lease
        if before is not None and before.lease:
            server.leases[before.lease].discard(op.key)
        if lease:
            server.leases[lease].add(op.key)
        kv = KeyValue(
            key=op.key,
            value=op.value,
            create_revision=before.create_revision if before is not None else server.revision,
            mod_revision=server.revision,
            version=before.version + 1 if before is not None else 1,
            lease=lease,
        )
        server.keys[op.key] = kv
        server.history.append(Event(kv))

    def _delete(self, key: bytes) -> None:
        server = self._server
        before = server.keys.pop(key)
        if before.lease in server.leases:
            server.leases[before.lease].discard(key)
        gone = KeyValue(key=key, mod_revision=server.revision)
        server.history.append(Event(gone, is_delete=True))

    async def _watch(self, prefix: bytes, revision: int) -> AsyncGenerator[WatchBatch, None]:
        server = self._server
        revision = revision or server.revision + 1
        told = server.progress
        while True:
            if revision < server.compacted:
                raise EtcdCompactedError(f"etcd: compacted up to revision {server.compacted}")
            changed, upto = server.changed, server.revision
            events = tuple(
                event
                for event in server.history
                if revision <= event.kv.mod_revision <= upto and event.kv.key.startswith(prefix)
            )
            header = replace(self._header(), revision=upto)
            revision = max(revision, upto + 1)
            if events:
                yield WatchBatch(header, events)
            elif told != server.progress:
                told = server.progress
                yield WatchBatch(header)
            else:
                await changed.wait()


class _MemoryLeaseKeeper(LeaseKeeper):
    def __init__(self) -> None:
        self._lost = asyncio.Event()

    def lose(self) -> None:
        self._lost.set()

    def valid_until(self) -> float:
        """Return the end of time, or of the lease."""
        return 0.0 if self._lost.is_set() else _FOREVER

    async def wait_lost(self) -> None:
        """Return once the lease has expired."""
        await self._lost.wait()

    async def stop(self) -> None:
        """Do nothing: nothing refreshes."""
