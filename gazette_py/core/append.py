"""Append state machine: what an Append RPC must do next, up to streaming its content.

Pure: no await, clock, randomness, logging or gRPC. A shell performs each effect and hands its
outcome to `step`, until a verdict. The machine may go back (resolve or synchronise again) any
number of times. An effect which fails outright unwinds the shell; the machine is then abandoned.

Invariants:
    A1  Exactly one effect is outstanding; only an outcome which answers it is accepted.
    A2  `StreamContent` follows only an agreement of every peer of the Route now resolved.
    A3  We never append to more replicas than desired: the allocator is about to remove some.
    A4  `StreamContent` follows only once the agreed Route is advertised in every assignment.
    A5  Content goes to the furthest offset known, of the replicas and of the index, or nowhere.
    A6  A pipeline is held only of the replica now resolved, and is released before proxying.
    A7  With fewer replicas than desired the open fragment is closed, and thereby stored: whoever
        has it may be the last, and no append comes to close it.

Units: offsets are journal byte offsets; revisions are etcd revisions.
Source: gazette/core broker/append_fsm.go, states resolve .. validatePreconditions. We differ in
bounding synchronisation rounds, in letting go of the pipeline when the replica was rebuilt, in
passing an append on to a primary which has yet to advertise its Route, and in A7.
"""

from dataclasses import dataclass
from typing import assert_never

from gazette_py.protocol.enums import AppendSuspend, Status, SuspendLevel
from gazette_py.protocol.journal import Suspend
from gazette_py.protocol.labels import LabelSelector, LabelSet
from gazette_py.protocol.route import Route

SYNC_ROUNDS_MAX = 8
"""Rounds after which peers that still disagree never will (their registers differ at one offset).

Each round moves every spool to the largest end of any of at most five peers, so two are enough for
any disagreement about offsets.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendOptions:
    """What the request asks for, beside its content."""

    offset: int = 0  # Explicit offset of the append; 0: none.
    check_registers: LabelSelector | None = None
    suspend: AppendSuspend = AppendSuspend.RESUME
    min_revision: int = 0


# Effects: what the shell shall do next.


@dataclass(frozen=True, slots=True)
class Resolve:
    """Resolve the journal, once the key space has been read through `min_revision`."""

    min_revision: int


@dataclass(frozen=True, slots=True)
class AwaitChange:
    """Wait until the key space has changed beyond `revision`, or the resolution is invalidated.

    Not a `Resolve` at the next revision: etcd may reach that by keys which are none of ours.
    """

    revision: int


@dataclass(frozen=True, slots=True)
class AcquirePipeline:
    """Take exclusive ownership of the replica's pipeline, built or not."""


@dataclass(frozen=True, slots=True)
class ReleasePipeline:
    """Give the pipeline back to the replica it was taken from."""


@dataclass(frozen=True, slots=True)
class BuildPipeline:
    """Tear down what was held, take the spool, and open a stream to every peer."""


@dataclass(frozen=True, slots=True)
class SyncPipeline:
    """Propose our spool to every peer, first rolled to `roll_to` (0: as it is)."""

    roll_to: int
    registers: LabelSet | None = None  # Of the peer with the larger offset; None: the spool's.


@dataclass(frozen=True, slots=True)
class AdvertiseRoute:
    """Write the resolved Route into every assignment which does not show it."""


@dataclass(frozen=True, slots=True)
class AwaitReady:
    """Wait for the first refresh of the index, and for the first store to be healthy."""


@dataclass(frozen=True, slots=True)
class UpdateSuspend:
    """Write the journal's suspension, if neither item nor assignments have changed."""

    suspend: Suspend


Effect = (
    Resolve
    | AwaitChange
    | AcquirePipeline
    | ReleasePipeline
    | BuildPipeline
    | SyncPipeline
    | AdvertiseRoute
    | AwaitReady
    | UpdateSuspend
)


def is_routine(effect: Effect) -> bool:
    """Tell whether every append has this effect: it says nothing about a journal's story."""
    match effect:
        case Resolve(min_revision):
            return min_revision == 0
        case AcquirePipeline() | AwaitReady():
            return True
        case _:
            return False


# Verdicts: how the machine ends.


@dataclass(frozen=True, slots=True)
class StreamContent:
    """Stream the client's content through the pipeline held, first rolled to `roll_to`."""

    roll_to: int


@dataclass(frozen=True, slots=True)
class Proxy:
    """Another broker is primary: forward the RPC to it."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer with a Status."""

    status: Status
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Fail:
    """Fail the RPC: this is no condition which the protocol has a Status for."""

    reason: str


Verdict = StreamContent | Proxy | Refuse | Fail

# Outcomes: what came of an effect.


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """The journal as of `revision`."""

    status: Status
    revision: int
    route: Route = Route()
    is_here: bool = False  # This broker is the one which shall serve the append.
    replica: int = 0  # Identity of the local replica; another number is another replica.
    is_advertised: bool = False  # Every assignment shows an equivalent Route.
    replication: int = 0  # Desired.
    is_writable: bool = True
    suspend: Suspend = Suspend()


@dataclass(frozen=True, slots=True)
class SpoolView:
    """Committed extent `[begin, end)` and registers of the spool at agreement."""

    begin: int
    end: int
    registers: LabelSet


@dataclass(frozen=True, slots=True)
class KeySpaceChanged:
    """The key space is another one now."""


@dataclass(frozen=True, slots=True)
class PipelineAcquired:
    """The pipeline is ours. `route` and `spool` are those it is synchronised to, if it is built."""

    route: Route | None = None
    spool: SpoolView | None = None


@dataclass(frozen=True, slots=True)
class PipelineReleased:
    """The pipeline is no longer ours."""


@dataclass(frozen=True, slots=True)
class PipelineBuilt:
    """Streams to every peer of the resolved Route are open."""


@dataclass(frozen=True, slots=True)
class Invalidated:
    """The resolution ceased to hold while we waited."""


@dataclass(frozen=True, slots=True)
class PeersAgree:
    """Every peer has our spool."""

    spool: SpoolView


@dataclass(frozen=True, slots=True)
class PeerAhead:
    """A peer kept bytes of an append which failed elsewhere, or lacks ours: all roll to `end`."""

    end: int
    registers: LabelSet | None = None


@dataclass(frozen=True, slots=True)
class PeerKnowsLaterRoute:
    """A peer resolves another Route at a later revision. The pipeline has been torn down."""

    revision: int


@dataclass(frozen=True, slots=True)
class Written:
    """A transaction was tried. Whether it won shows in the key space at `revision`."""

    revision: int


@dataclass(frozen=True, slots=True)
class Ready:
    """The index and the store can serve the append."""

    index_begin: int
    index_end: int
    is_flushed: bool  # All fragments have been in the store for a flush interval.


@dataclass(frozen=True, slots=True)
class StoreUnhealthy:
    """The first store fails its health checks."""

    detail: str


Outcome = (
    Resolved
    | KeySpaceChanged
    | PipelineAcquired
    | PipelineReleased
    | PipelineBuilt
    | Invalidated
    | PeersAgree
    | PeerAhead
    | PeerKnowsLaterRoute
    | Written
    | Ready
    | StoreUnhealthy
)


class AppendFSM:
    """One append, from its request to the start of its content."""

    def __init__(self, options: AppendOptions) -> None:
        self.pending: Effect | Verdict = Resolve(options.min_revision)
        self._options = options
        self._resolved: Resolved | None = None
        self._held: int = 0  # Replica whose pipeline we hold; 0: none.
        self._agreed: Route | None = None  # Route whose peers agreed with our spool.
        self._spool: SpoolView | None = None  # As agreed.
        self._roll_to = 0
        self._sync_rounds = 0

    def step(self, outcome: Outcome) -> Effect | Verdict:
        """Accept the outcome of the pending effect and return what comes next."""
        match self.pending, outcome:
            case Resolve(), Resolved() as resolved:
                self.pending = self._on_resolved(resolved)
            case AwaitChange(revision), KeySpaceChanged():
                self.pending = Resolve(revision)
            case AcquirePipeline(), PipelineAcquired() as acquired:
                self.pending = self._on_acquired(acquired)
            case ReleasePipeline(), PipelineReleased():
                self.pending = self._on_released()
            case BuildPipeline(), PipelineBuilt():
                self.pending = self._on_built()
            case SyncPipeline(), PeersAgree(spool):
                self.pending = self._on_agreement(spool)
            case SyncPipeline(), PeerAhead(end, registers):
                self.pending = self._on_peer_ahead(end, registers)
            case SyncPipeline(), PeerKnowsLaterRoute(revision):
                self.pending = Resolve(revision)
            case AdvertiseRoute() | UpdateSuspend(), Written(revision):
                self.pending = Resolve(revision)
            case AwaitReady(), Ready() as ready:
                self.pending = self._on_ready(ready)
            case AwaitReady(), StoreUnhealthy(detail):
                self.pending = Refuse(Status.FRAGMENT_STORE_UNHEALTHY, detail)
            case (
                (
                    AwaitChange()
                    | AcquirePipeline()
                    | BuildPipeline()
                    | SyncPipeline()
                    | AwaitReady()
                ),
                Invalidated(),
            ):
                self.pending = Resolve(self._now.revision)
            case _:
                raise AssertionError(f"{outcome} does not answer {self.pending}")
        return self.pending

    @property
    def _now(self) -> Resolved:
        assert self._resolved is not None
        return self._resolved

    def _on_resolved(self, now: Resolved) -> Effect | Verdict:
        self._resolved = now
        if self._agreed is not None and not now.route.is_equivalent(self._agreed):
            self._agreed = None  # Another Route means another pipeline: its peers must agree anew.
        if now.status is Status.SUSPENDED and self._options.suspend is AppendSuspend.RESUME:
            return UpdateSuspend(Suspend(SuspendLevel.NONE, now.suspend.offset))
        if now.status is not Status.OK:
            return Refuse(now.status)
        if self._held and not (now.is_here and now.replica == self._held):
            return ReleasePipeline()
        return self._on_placed()

    def _on_released(self) -> Effect | Verdict:
        self._held = 0
        self._agreed = None
        return self._on_placed()

    def _on_placed(self) -> Effect | Verdict:
        if not self._now.is_here:
            return self._on_advertised()
        if not self._held:
            # What we planned for an earlier pipeline does not apply to one that others moved on.
            self._roll_to = 0
            return AcquirePipeline()
        return self._on_held()

    def _on_acquired(self, acquired: PipelineAcquired) -> Effect | Verdict:
        self._held = self._now.replica
        self._agreed = acquired.route
        self._spool = acquired.spool
        return self._on_held()

    def _on_held(self) -> Effect | Verdict:
        if self._agreed is None or not self._agreed.is_equivalent(self._now.route):
            self._agreed = None
            return BuildPipeline()
        return self._on_synchronised()

    def _on_built(self) -> Effect:
        self._sync_rounds = 0
        return self._sync(self._roll_to, None)

    def _sync(self, roll_to: int, registers: LabelSet | None) -> Effect:
        self._agreed = None
        self._roll_to = 0
        return SyncPipeline(roll_to, registers)

    def _on_peer_ahead(self, end: int, registers: LabelSet | None) -> Effect | Verdict:
        self._sync_rounds += 1
        if self._sync_rounds >= SYNC_ROUNDS_MAX:
            return Fail(
                f"peers do not agree at offset {end} after {SYNC_ROUNDS_MAX} rounds: their"
                " registers differ; restart the brokers which serve the journal one by one"
            )
        return self._sync(end, registers)

    def _on_agreement(self, spool: SpoolView) -> Effect | Verdict:
        self._sync_rounds = 0
        self._agreed = self._now.route
        self._spool = spool
        return self._on_synchronised()

    def _on_synchronised(self) -> Effect | Verdict:
        if not self._now.is_advertised:
            return AdvertiseRoute()
        return self._on_advertised()

    def _on_advertised(self) -> Effect | Verdict:
        """Hold the number of replicas against the desired one.

        Only a proxy comes here before the Route is advertised. It must not wait then: the allocator
        removes nobody until the primary has synchronised, which one of the reference tries once,
        and then at the next append which reaches it, or after a minute.
        """
        surplus = len(self._now.route.members) - self._now.replication
        if surplus > 0 and self._now.is_advertised:
            return AwaitChange(self._now.revision)
        if surplus < 0:
            spool = self._spool
            if self._now.is_here and spool is not None and spool.begin != spool.end:
                return self._sync(spool.end, None)  # A7
            return Refuse(Status.INSUFFICIENT_JOURNAL_BROKERS)
        return AwaitReady() if self._now.is_here else Proxy()

    def _on_ready(self, ready: Ready) -> Effect | Verdict:
        spool, options, now = self._spool, self._options, self._now
        assert spool is not None
        assert self._agreed is not None
        furthest = max(spool.end, ready.index_end)
        check = options.check_registers
        if check is not None and len(spool.registers) and not check.matches(spool.registers):
            return Refuse(Status.REGISTER_MISMATCH)
        if spool.end < now.suspend.offset:
            return self._sync(now.suspend.offset, None)
        if options.offset == 0:
            # A journal which cannot be written carries barriers only, and there is nothing to lose.
            if spool.end != furthest and now.is_writable:
                return Refuse(Status.INDEX_HAS_GREATER_OFFSET)
        elif options.offset != furthest:
            return Refuse(Status.WRONG_APPEND_OFFSET)
        elif spool.end != furthest:
            return self._sync(furthest, None)
        return self._on_suspension(spool, ready) or self._stream(spool, ready)

    def _on_suspension(self, spool: SpoolView, ready: Ready) -> Effect | Verdict | None:
        level = self._now.suspend.level
        match self._options.suspend:
            case AppendSuspend.KEEP:
                return None
            case AppendSuspend.RESUME:
                if level is SuspendLevel.NONE:
                    return None
                return UpdateSuspend(Suspend(SuspendLevel.NONE, spool.end))
            case AppendSuspend.NO_RESUME:
                return None if level is SuspendLevel.NONE else Refuse(Status.SUSPENDED)
            case AppendSuspend.IF_FLUSHED | AppendSuspend.NOW as mode:
                if ready.index_begin == ready.index_end:
                    return UpdateSuspend(Suspend(SuspendLevel.FULL, spool.end))
                if level is not SuspendLevel.NONE:
                    return self._on_suspended(spool)
                if mode is AppendSuspend.IF_FLUSHED and not ready.is_flushed:
                    return None
                # Close the open fragment, so that it is persisted: the one replica left may be us.
                self._roll_to = spool.end
                return UpdateSuspend(Suspend(SuspendLevel.PARTIAL, spool.end))
            case never:
                assert_never(never)

    def _on_suspended(self, spool: SpoolView) -> Effect | Verdict:
        """Close the open fragment if it was we who suspended, and tell."""
        if self._roll_to == spool.end and spool.begin != spool.end:
            return self._sync(spool.end, None)
        return Refuse(Status.SUSPENDED)

    def _stream(self, spool: SpoolView, ready: Ready) -> Verdict:
        if spool.begin == ready.index_begin:
            # Persist the journal's first fragment early: a cluster which has lost all its brokers
            # then sees that the journal was written, and cannot take it for a new one.
            return StreamContent(spool.end)
        return StreamContent(self._roll_to)
