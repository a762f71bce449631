"""What the rest of the program needs of etcd: values, and the interface `Etcd`.

Two implementations hold one conformance suite: `client.EtcdClient`, and the in-memory
`testing.memory_etcd.MemoryEtcd`.

Units: revisions are etcd store revisions; leases are IDs, 0 for none; TTLs are seconds.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseHeader:
    """Which member of which cluster answered, at which store revision."""

    cluster_id: int
    member_id: int
    revision: int
    raft_term: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyValue:
    """A key as of a revision. Of a deleted key only `key` and `mod_revision` are set."""

    key: bytes
    value: bytes = b""
    create_revision: int = 0
    mod_revision: int = 0
    version: int = 0
    lease: int = 0


@dataclass(frozen=True, slots=True)
class Event:
    """A change of one key."""

    kv: KeyValue
    is_delete: bool = False


@dataclass(frozen=True, slots=True)
class WatchBatch:
    """All events of one or more whole revisions, in order; none: progress up to the header's."""

    header: ResponseHeader
    events: tuple[Event, ...] = ()


class Target(Enum):
    """What of a key is compared."""

    VERSION = 0
    CREATE = 1
    MOD = 2
    LEASE = 4


@dataclass(frozen=True, slots=True)
class Compare:
    """Guard: the target of the key equals the number. A missing key has 0 for each."""

    key: bytes
    target: Target
    equals: int


@dataclass(frozen=True, slots=True)
class Put:
    """Set a key. `ignore_lease` keeps the lease it has, and fails if it does not exist."""

    key: bytes
    value: bytes
    lease: int = 0
    ignore_lease: bool = False


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove a key, if it exists."""

    key: bytes


Op = Put | Delete


@dataclass(frozen=True, slots=True)
class TxnResult:
    """Whether every guard held, and the store revision after the transaction."""

    succeeded: bool
    header: ResponseHeader


@dataclass(frozen=True, slots=True)
class RangeResult:
    """Keys in order, as of the header's revision or the one asked for."""

    header: ResponseHeader
    kvs: tuple[KeyValue, ...]


class Etcd(ABC):
    """The calls we make. Each raises `EtcdUnavailableError` if etcd cannot be reached in time."""

    @abstractmethod
    async def range_prefix(
        self, prefix: bytes, revision: int = 0, *, keys_only: bool = False
    ) -> RangeResult:
        """Return all keys which begin with `prefix`, at `revision` (0: now), in pages as needed.

        With `keys_only` their values are left out.

        Raises:
            EtcdCompactedError: The revision is compacted.
        """

    @abstractmethod
    async def txn(
        self, compares: Sequence[Compare], success: Sequence[Op], failure: Sequence[Op] = ()
    ) -> TxnResult:
        """Apply `success` if all compares hold, else `failure`, atomically.

        Raises:
            EtcdError: etcd refuses the transaction (too many operations, a key twice ...).
        """

    @abstractmethod
    def watch_prefix(self, prefix: bytes, start_revision: int) -> AsyncIterator[WatchBatch]:
        """Yield what happens to keys below `prefix`, from `start_revision` on, and progress.

        Parts of one revision are joined. A lost connection or leader is survived with back-off, by
        resuming after the last revision delivered. Closing the iterator ends the watch.

        Raises:
            EtcdCompactedError: The next revision is compacted.
        """

    @abstractmethod
    async def request_progress(self) -> None:
        """Ask for a progress notification on the open watches soon."""

    @abstractmethod
    async def grant_lease(self, ttl_s: int) -> int:
        """Return the ID of a new lease."""

    @abstractmethod
    async def revoke_lease(self, lease: int) -> None:
        """End a lease now, and delete its keys."""

    @abstractmethod
    def keep_alive(self, lease: int, ttl_s: int) -> "LeaseKeeper":
        """Start to refresh a lease, off the caller's event loop."""

    @abstractmethod
    async def close(self) -> None:
        """Release the connection."""


class LeaseKeeper(ABC):
    """Refreshes one lease from a thread of its own, so that no handler can starve it."""

    @abstractmethod
    def valid_until(self) -> float:
        """Return the monotonic time until which the lease is surely alive.

        That is TTL seconds after the last *answered* refresh was *sent*.
        """

    @abstractmethod
    async def wait_lost(self) -> None:
        """Return once etcd has said that the lease is gone.

        While etcd does not answer nobody knows: `valid_until` may pass, and move on again.
        """

    @abstractmethod
    async def stop(self) -> None:
        """Stop refreshing. The lease is left to expire, or to be revoked."""
