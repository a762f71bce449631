"""What the calls of one broker share: the key space, local replicas, peers, stores and the clock.

Local replicas follow the key space: each change of a journal's item or assignments is applied here,
in the mirror's own step, so that a resolution and the replica it names are of one revision.

Invariants:
    SV1  A replica exists for exactly the journals whose item exists and which are assigned to us.
    SV2  A demoted primary, a journal which was deleted and created again, and one which is assigned
         to us under another lease than before, get a fresh replica.
    SV4  A journal which we lost with our lease, and which nobody else can have written since, goes
         on where our replica of it ended: all brokers may have lost their leases at once.
    SV3  Once `stop_local` was called, no replica is made and no local resolution succeeds.

Source: gazette/core broker/service.go and broker/resolver.go, updateResolutions.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gazette_py.broker.peer_stream import PeerStream
from gazette_py.broker.peers import Peers, endpoint_of
from gazette_py.broker.replica import Replica
from gazette_py.broker.token import Signal, wait_signal
from gazette_py.clock import Clock
from gazette_py.cluster.mirror import Mirror
from gazette_py.core import append as fsm
from gazette_py.core.keyspace import Delta, KeySpace
from gazette_py.core.resolver import Resolution, ResolveOptions, resolve, unrouted_header
from gazette_py.errors import RpcError, RpcUnavailableError
from gazette_py.etcd.base import Compare, Etcd, Op, Put, Target
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.protocol import convert
from gazette_py.protocol.claims import Capability
from gazette_py.protocol.journal import JournalSpec, Suspend
from gazette_py.protocol.keys import item_key
from gazette_py.protocol.route import Header, ProcessID
from gazette_py.rpc.tokens import Tokens
from gazette_py.stores.registry import ActiveStore, StoreRegistry
from gazette_py.telemetry.log import get_logger
from gazette_py.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from gazette_py.broker.append_run import AppendOutcome

log = get_logger(__name__)

NS = 1_000_000_000

FLUSH_HORIZON_S = 24 * 3600
"""How long a journal without a flush interval must be idle before it counts as flushed."""

STORE_CHECKS_MAX = 5
"""Failed health checks of a store after which appends are refused rather than held."""


@dataclass(slots=True)
class _Local:
    """A local replica, and what of the key space it was last brought in line with."""

    replica: Replica
    is_primary: bool
    lease: int  # Of our assignment.
    signature: tuple[object, ...]


class Service:
    """Shared by all calls. `on_keyspace` is an observer of the mirror."""

    def __init__(
        self,
        *,
        self_id: ProcessID,
        etcd: Etcd,
        mirror: Mirror,
        stores: StoreRegistry,
        peers: Peers,
        tokens: Tokens,
        clock: Clock,
        max_replication: int,
        metrics: Metrics,
        valid_until: Callable[[], float],
        new_replica: Callable[[int, str, int, Replica | None], Replica],
        start_replica: Callable[[Replica], None],
    ) -> None:
        self.self_id = self_id
        self.etcd = etcd
        self.mirror = mirror
        self.stores = stores
        self.peers = peers
        self.tokens = tokens  # Which our calls to peers bear.
        self.clock = clock
        self.max_replication = max_replication
        self.metrics = metrics
        self.stopping = Signal()  # Proxied reads end when it fires.
        self._valid_until = valid_until
        self._new_replica = new_replica
        self._start_replica = start_replica
        self._locals: dict[str, _Local] = {}
        self._is_stopped = False
        self._replica_ids = 0
        self._ending: set[asyncio.Task[None]] = set()
        self._quitting: set[Replica] = set()  # Replicas which end, and have appends under way.
        self._lost: dict[str, Replica] = {}  # SV4: by journal, with our lease.
        self._appends: set[asyncio.Task[AppendOutcome]] = set()
        self._departures: dict[tuple[ProcessID, int], Signal] = {}  # By ID and lease.

    @property
    def keyspace(self) -> KeySpace:
        """The mirrored key space, as of now."""
        return self.mirror.keyspace

    # Local replicas.

    def on_keyspace(self, delta: Delta) -> None:
        """Bring local replicas in line with what changed."""
        for member in [m for m in self._departures if not self._is_member(*m)]:
            self._departures.pop(member).fire()
        if self._is_stopped:
            return
        for journal in delta.items | delta.journals:
            self._update(journal, may_be_written=self._may_be_written(journal, delta))
        if delta.members:
            endpoints = {m.broker.endpoint for m in self.keyspace.members.values()}
            self._end_later(self.peers.keep_only(endpoints), "drop channels")

    def departure_of(self, member: ProcessID) -> Signal:
        """Return the signal which fires once the member has left the cluster, or lost its lease."""
        known = self.keyspace.members.get(member)
        if known is None:
            gone = Signal()
            gone.fire()
            return gone
        return self._departures.setdefault((member, known.lease), Signal())

    def _is_member(self, member: ProcessID, lease: int) -> bool:
        """Tell whether it is still there under that lease: it may have joined anew since."""
        known = self.keyspace.members.get(member)
        return known is not None and known.lease == lease

    def _may_be_written(self, journal: str, delta: Delta) -> bool:
        """Tell whether within a change others may have begun to write a journal without us.

        Before they do, they advertise a Route which has as many members as the journal wants.
        """
        item = self.keyspace.item(journal)
        if item is None or delta.is_reload or journal in delta.items:
            return True
        wanted = item.spec.desired_replication(self.max_replication)
        return any(
            self.self_id not in route.members and len(route.members) >= wanted
            for route in delta.advertised.get(journal, ())
        )

    def _update(self, journal: str, *, may_be_written: bool) -> None:
        if may_be_written:
            self._lost.pop(journal, None)
        item = self.keyspace.item(journal)
        assignments = self.keyspace.assignments_of(journal)
        ours = next((a for a in assignments if a.member == self.self_id), None)
        local = self._locals.get(journal)
        if item is None or ours is None:
            if local is not None:
                self._drop(journal, local)
                if local.replica.is_disowned and not may_be_written:
                    self._lost[journal] = local.replica
            return
        is_primary = ours.slot == 0
        if local is not None and (
            (local.is_primary and not is_primary)
            or local.lease != ours.lease
            or local.replica.create_revision != item.create_revision
        ):
            self._drop(journal, local)
            if local.replica.is_disowned and not may_be_written:
                self._lost[journal] = local.replica
            local = None
        signature = (
            *((a.key, a.mod_revision) for a in assignments),
            item.spec.fragment.stores,
        )
        if local is None:
            self._replica_ids += 1
            replica = self._new_replica(
                self._replica_ids, journal, item.create_revision, self._lost.pop(journal, None)
            )
            self._locals[journal] = _Local(replica, is_primary, ours.lease, signature)
            self._start_replica(replica)
            return
        local.is_primary = is_primary
        if local.signature != signature:
            local.signature = signature
            local.replica.invalidate()

    def _drop(self, journal: str, local: _Local) -> None:
        del self._locals[journal]
        # Another lease, which we may have by the time that it ends, does not stand for it.
        local.replica.is_disowned = not self._is_member(self.self_id, local.lease)
        self._quitting.add(local.replica)
        local.replica.appends_over.add(lambda: self._quitting.discard(local.replica))
        self._end_later(local.replica.shut_down(), f"shut down {journal}")

    def _end_later(self, work: Awaitable[None], name: str) -> None:
        # Not in a task group: begun by the key space, and awaited by `stop_local`.
        task = asyncio.ensure_future(work)
        self._ending.add(task)
        task.add_done_callback(lambda t: self._on_ended(t, name))

    def _on_ended(self, task: "asyncio.Future[None]", name: str) -> None:
        self._ending.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("background_task_failed", task=name, err=repr(error))

    async def stop_local(self) -> None:
        """End all replicas, and serve none from here on. The persister gets their fragments."""
        self._is_stopped = True
        for journal, local in list(self._locals.items()):
            self._drop(journal, local)
        while self._ending:
            await asyncio.wait(self._ending)

    async def wait_appends_over(self) -> None:
        """Wait until the appends of all replicas which `stop_local` ends are over.

        The replicas end later: their spools may be held by the streams of other primaries, until
        those hear that we are no member any more.
        """
        while self._quitting:
            await wait_signal(None, next(iter(self._quitting)).appends_over)

    def local_replicas(self) -> list[tuple[Replica, bool]]:
        """Return local replicas, each with whether we are its primary."""
        return [(local.replica, local.is_primary) for local in self._locals.values()]

    def spec_of(self, journal: str, create_revision: int) -> JournalSpec | None:
        """Return the spec, as of now, of the journal which was created at `create_revision`."""
        item = self.keyspace.item(journal)
        if item is None or item.create_revision != create_revision:
            return None
        return item.spec

    def spawn_append(
        self, append: "Coroutine[Any, Any, AppendOutcome]"
    ) -> "asyncio.Task[AppendOutcome]":
        """Run an append which outlives the call that began it."""
        # Not a task group: an append ends by itself, and `stop_local` ends what it waits for.
        task = asyncio.create_task(append, name="append")
        self._appends.add(task)
        task.add_done_callback(self._on_append_done)
        return task

    def _on_append_done(self, task: "asyncio.Task[AppendOutcome]") -> None:
        self._appends.discard(task)
        if not task.cancelled():
            task.exception()  # Seen: the client may have gone, and with it who waits.

    # Resolution.

    def check_proxy_header(self, header: Header | None, min_revision: int) -> int:
        """Return the revision to wait for, given the header of a broker which forwarded a request.

        Raises:
            RpcError: The request was meant for another cluster or another broker.
        """
        if header is None:
            return min_revision
        ours = self.keyspace.header.cluster_id
        if header.etcd.cluster_id != ours:
            raise RpcError(
                "proxy",
                "UNKNOWN",
                f"proxied request Etcd ClusterId doesn't match our own"
                f" ({header.etcd.cluster_id} vs {ours})",
            )
        if header.process_id and header.process_id != self.self_id:
            raise RpcError(
                "proxy",
                "UNKNOWN",
                f"proxied request ProcessId doesn't match our own"
                f" ({header.process_id} vs {self.self_id})",
            )
        return max(min_revision, header.etcd.revision)

    def has_read_through(self, revision: int) -> bool:
        """Tell whether the key space is known up to `revision`."""
        return max(self.keyspace.header.revision, self.mirror.read_through) >= revision

    async def wait_revision(self, revision: int) -> None:
        """Wait until the key space is known up to `revision`.

        Raises:
            RpcUnavailableError: Our lease may have expired: etcd is away, perhaps only from here.
        """
        if not self.has_read_through(revision):
            await self._while_leased(self.mirror.wait_revision(revision))

    async def wait_change(self, after_revision: int) -> None:
        """Wait until the key space has a revision beyond `after_revision`.

        Raises:
            RpcUnavailableError: As above.
        """
        await self._while_leased(self.mirror.wait_change(after_revision))

    async def _while_leased(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        try:
            while not task.done():
                self.assert_member()
                await asyncio.wait([task], timeout=self._valid_until() - self.clock.monotonic())
            task.result()
        finally:
            task.cancel()

    def resolve(self, journal: str, options: ResolveOptions) -> Resolution:
        """Resolve as of now.

        Raises:
            RpcUnavailableError: This broker would serve, but has stopped. (The reference answers
                UNKNOWN, and its clients give up. UNAVAILABLE makes them try another broker.)
        """
        resolution = resolve(self.keyspace, self.self_id, journal, options)
        if self._is_stopped and resolution.header.process_id == self.self_id:
            raise RpcUnavailableError(
                str(self.self_id), "UNAVAILABLE", "resolver has stopped serving local replicas"
            )
        return resolution

    def replica_of(self, resolution: Resolution) -> Replica | None:
        """Return our replica of the journal, if we have one."""
        local = self._locals.get(resolution.journal)
        return local.replica if local is not None else None

    def unrouted_header(self) -> Header:
        """Return the header of responses which concern no one journal."""
        return unrouted_header(self.keyspace, self.self_id)

    def count_crossing(self, operation: str, length: int, *peers: ProcessID) -> None:
        """Count content which goes to, or comes from, peers; what stays in our zone does not count.

        Args:
            operation: What for: "replicate", "append" or "read", the last two forwarded.
            length: Bytes for each of them.
            peers: Who.
        """
        count = sum(peer.zone != self.self_id.zone for peer in peers)
        if length and count:
            self.metrics.crossed_zones(operation, length * count)

    async def wait_or_signal(self, work: Awaitable[object], *signals: Signal) -> bool:
        """Wait for `work`; cancel it and return False if a signal fires first."""
        task = asyncio.ensure_future(work)
        handles = [(signal, signal.add(lambda: task.cancel())) for signal in signals]
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            task.cancel()
            raise
        finally:
            for signal, handle in handles:
                signal.discard(handle)
        if task.cancelled():
            return False
        task.result()
        return True

    def assert_lease(self, replica: Replica) -> None:
        """Refuse to acknowledge anything once the lease may have expired which made it ours.

        Raises:
            RpcUnavailableError: Another broker may be primary by now.
        """
        if replica.is_disowned:
            raise self._lease_expired()
        self.assert_member()

    def assert_member(self) -> None:
        """Refuse what only a member of the cluster may do.

        Raises:
            RpcUnavailableError: Our lease may have expired.
        """
        if self.clock.monotonic() >= self._valid_until():
            raise self._lease_expired()

    def _lease_expired(self) -> RpcUnavailableError:
        return RpcUnavailableError(
            str(self.self_id), "UNAVAILABLE", "this broker's etcd lease has expired"
        )

    # What an append does outside of its pipeline.

    def open_streams(self, journal: str, header: Header) -> dict[ProcessID, PeerStream]:
        """Open a Replicate stream of the journal to every other member of the Route.

        Raises:
            RpcUnavailableError: A member's endpoint is not known: it has just left.
            ConfigError: It is none that we can dial.
        """
        stubs = {}
        for member in header.route.members:
            if member == self.self_id:
                continue
            endpoint = endpoint_of(header.route, member)
            if not endpoint:
                raise RpcUnavailableError(str(member), "UNAVAILABLE", "has left the cluster")
            stubs[member] = self.peers.stub(endpoint)
        # None is opened unless all can be.
        metadata = self.tokens.for_journal(Capability.REPLICATE, journal)
        return {m: PeerStream(str(m), s.Replicate(metadata=metadata)) for m, s in stubs.items()}

    async def advertise_route(self, resolution: Resolution) -> int:
        """Write the Route into every assignment which does not show it; return the revision.

        The transaction may lose a race: whoever resolves at the revision will see.
        """
        route = resolution.header.route
        value = convert.route_to_pb(route.without_endpoints()).SerializeToString()
        guards = [Compare(a.key, Target.MOD, a.mod_revision) for a in resolution.assignments]
        puts: list[Op] = [
            Put(a.key, value, ignore_lease=True)
            for a in resolution.assignments
            if not a.route.is_equivalent(route)
        ]
        result = await self.etcd.txn(guards, puts)
        return result.header.revision

    async def update_suspend(self, resolution: Resolution, suspend: Suspend) -> int:
        """Write the journal's suspension; return the revision. It may lose a race likewise."""
        item = resolution.item
        assert item is not None
        spec = pb.JournalSpec.FromString(item.value)  # Fields unknown to us stay.
        spec.suspend.CopyFrom(convert.suspend_to_pb(suspend))
        key = item_key(self.keyspace.root, resolution.journal).encode()
        guards = [Compare(key, Target.MOD, item.mod_revision)]
        guards += [Compare(a.key, Target.MOD, a.mod_revision) for a in resolution.assignments]
        result = await self.etcd.txn(guards, [Put(key, spec.SerializeToString())])
        log.info(
            "journal_suspension_updated",
            journal=resolution.journal,
            level=suspend.level.name,
            offset=suspend.offset,
            revision=result.header.revision,
        )
        return result.header.revision

    async def await_ready(
        self, replica: Replica, spec: JournalSpec, *signals: Signal
    ) -> fsm.Ready | fsm.StoreUnhealthy | fsm.Invalidated:
        """Wait for the index's first refresh, and for the first store to be healthy."""
        while not replica.index.is_refreshed:
            if any(signal.is_fired for signal in signals) or replica.ended.is_fired:
                return fsm.Invalidated()
            await wait_signal(None, replica.index_changed, replica.ended, *signals)
        if spec.fragment.stores:
            active = self.stores.get(spec.fragment.stores[0])
            while active.health is not None:
                # A store which could not be constructed is tried anew at each reference.
                if active.checks_failed > STORE_CHECKS_MAX or active.construction_error is not None:
                    return fsm.StoreUnhealthy(
                        f"fragment store {active.url} unhealthy: {active.health}"
                    )
                if not await self.wait_or_signal(active.wait_next_check(), *signals):
                    return fsm.Invalidated()
        return self._ready(replica, spec)

    def _ready(self, replica: Replica, spec: JournalSpec) -> fsm.Ready:
        summary = replica.index.summary()
        horizon_s = spec.fragment.flush_interval_ns // NS or FLUSH_HORIZON_S
        return fsm.Ready(
            index_begin=summary.begin,
            index_end=summary.end,
            is_flushed=0 < summary.mod_time <= int(self.clock.now()) - horizon_s,
        )

    def store(self, url: str) -> ActiveStore:
        """Return the store, marked as used."""
        active = self.stores.get(url)
        active.mark()
        return active
