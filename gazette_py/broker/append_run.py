"""One append, from its request to its acknowledgements: the shell around `AppendFSM`.

It performs effects and decides nothing. It runs in a task of the broker's own: a client which goes
away fires `gone`, and the append rolls back, gives its pipeline up, and reads what it is owed.

Invariants:
    AR1  However the append ends, the pipeline is given back once, usable or as None.
    AR2  An append is reported as done only after every peer accepted its commit, while our lease
         is alive and the replica has not ended.
"""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, assert_never

from gazette_py.broker.pipeline import Pipeline, Replies
from gazette_py.broker.replica import Replica
from gazette_py.broker.token import Signal
from gazette_py.core import append as fsm
from gazette_py.core.append_stream import (
    AppendStream,
    AwaitEnd,
    Commit,
    Forward,
    RegisterChange,
    Rollback,
)
from gazette_py.core.flow_control import FlowControl
from gazette_py.core.pipeline import SyncAgreed, SyncRefused, interpret_sync
from gazette_py.core.resolver import Resolution, ResolveOptions
from gazette_py.core.spool import maybe_roll
from gazette_py.errors import GazetteError, RpcError, RpcUnavailableError
from gazette_py.protocol.enums import AppendSuspend, Status
from gazette_py.protocol.fragment import Fragment
from gazette_py.protocol.journal import Suspend
from gazette_py.protocol.labels import LabelSelector, LabelSet
from gazette_py.protocol.route import Header

if TYPE_CHECKING:
    from gazette_py.broker.service import Service


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendRequest:
    """Parameters of an append: the first message, without content."""

    journal: str
    options: fsm.AppendOptions
    may_proxy: bool = True
    visible: LabelSelector = LabelSelector()  # Of the client's token: other journals are unknown.
    change: RegisterChange
    header: Header | None = None  # Of the broker which proxied the request.


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendOutcome:
    """How an append ended, but for errors."""

    status: Status
    header: Header
    detail: str = ""
    is_proxied: bool = False  # To be forwarded to `header.process_id`.
    commit: Fragment | None = None
    registers: LabelSet | None = None
    total_chunks: int = 0
    delayed_chunks: int = 0


class ClientGoneError(GazetteError):
    """The client cancelled, or its connection broke."""


class ContentSource(Protocol):
    """The client's messages after the first."""

    delayed_chunks: int

    def begin(self, flow: FlowControl, max_append_rate: int) -> None:
        """Start to take content, at the journal's rates (bytes per second; 0: no limit)."""
        ...

    async def receive(self, invalidated: Signal) -> bytes | None:
        """Return the next content; empty: the intent to commit; None: the end of the stream.

        Raises:
            GazetteError: The client broke a rule, was too slow, or is gone.
        """
        ...


class AppendRun:
    """Runs once. `gone` is fired when the client is."""

    def __init__(self, service: "Service", request: AppendRequest, gone: Signal) -> None:
        self._service = service
        self._request = request
        self._gone = gone
        self._fsm = fsm.AppendFSM(request.options)
        self._resolution: Resolution | None = None
        self._invalidated = Signal()
        self._replica: Replica | None = None  # Of the resolution.
        self._holder: Replica | None = None  # Whose pipeline token we hold.
        self._pipeline: Pipeline | None = None
        self.may_have_committed = False  # Replicas were asked to commit.

    @property
    def invalidated(self) -> Signal:
        """The signal of the last resolution."""
        return self._invalidated

    async def run(self, source: ContentSource) -> AppendOutcome:
        """Drive the append to its end.

        Raises:
            GazetteError: The append failed. Bytes may have been committed if streams broke.
        """
        try:
            verdict = await self._drive()
            header = self._resolved.header
            match verdict:
                case fsm.Fail(reason):
                    raise RpcError("peers", "UNKNOWN", reason)
                case fsm.Proxy():
                    return AppendOutcome(status=Status.OK, header=header, is_proxied=True)
                case fsm.Refuse(status, detail):
                    registers = self._pipeline.spool.registers if self._pipeline else None
                    return AppendOutcome(
                        status=status, header=header, detail=detail, registers=registers
                    )
                case fsm.StreamContent(roll_to):
                    return await self._stream(roll_to, source)
                case never:
                    assert_never(never)
        finally:
            self._release()

    @property
    def _resolved(self) -> Resolution:
        assert self._resolution is not None
        return self._resolution

    async def _drive(self) -> fsm.Verdict:
        step = self._fsm.pending
        while True:
            match step:
                case fsm.Resolve(min_revision):
                    outcome: fsm.Outcome = await self._resolve(min_revision)
                case fsm.AwaitChange(revision):
                    outcome = await self._await_change(revision)
                case fsm.AcquirePipeline():
                    outcome = await self._acquire()
                case fsm.ReleasePipeline():
                    self._release()
                    outcome = fsm.PipelineReleased()
                case fsm.BuildPipeline():
                    outcome = await self._build()
                case fsm.SyncPipeline(roll_to, registers):
                    outcome = await self._sync(roll_to, registers)
                case fsm.AdvertiseRoute():
                    outcome = fsm.Written(await self._service.advertise_route(self._resolved))
                case fsm.AwaitReady():
                    outcome = await self._await_ready()
                case fsm.UpdateSuspend(suspend):
                    revision = await self._service.update_suspend(self._resolved, suspend)
                    outcome = fsm.Written(revision)
                case _:
                    return step
            if self._replica is not None and not fsm.is_routine(step):
                self._replica.note(step)
            step = self._fsm.step(outcome)

    async def _wait_revision(self, revision: int) -> None:
        service = self._service
        holder = self._holder
        if holder is not None:
            waiting = service.wait_revision(revision)
            if await service.wait_or_signal(waiting, self._gone, holder.ending):
                return
            self._raise_if_gone()
            # The replica cannot end before we give its pipeline back, and it may be long until we
            # have read that far: with etcd gone, for ever. The machine releases it once more.
            self._release()
        if not await service.wait_or_signal(service.wait_revision(revision), self._gone):
            raise ClientGoneError("the client has gone")

    async def _await_change(self, revision: int) -> fsm.Outcome:
        waiting = self._service.wait_change(revision)
        if await self._service.wait_or_signal(waiting, self._invalidated, self._gone):
            return fsm.KeySpaceChanged()
        self._raise_if_gone()
        return fsm.Invalidated()

    async def _resolve(self, min_revision: int) -> fsm.Resolved:
        service, request = self._service, self._request
        revision = service.check_proxy_header(request.header, min_revision)
        if not service.has_read_through(revision):
            await self._wait_revision(revision)
        options = ResolveOptions(
            may_proxy=request.may_proxy, requires_primary=True, selector=request.visible
        )
        resolution = service.resolve(request.journal, options)
        if resolution.is_local:
            # At once: who waited for a primary that cannot acknowledge would not look for another.
            service.assert_member()
        self._resolution = resolution
        self._replica = service.replica_of(resolution)
        if self._replica is not None:
            self._invalidated = self._replica.invalidated
        spec = resolution.item.spec if resolution.item is not None else None
        return fsm.Resolved(
            status=resolution.status,
            revision=resolution.header.etcd.revision,
            route=resolution.header.route,
            is_here=resolution.is_local,
            replica=self._replica.id if self._replica is not None else 0,
            is_advertised=resolution.is_advertised,
            replication=spec.desired_replication(service.max_replication) if spec else 0,
            is_writable=spec.is_writable if spec else False,
            suspend=spec.suspend if spec else Suspend(),
        )

    async def _acquire(self) -> fsm.Outcome:
        replica = self._replica
        assert replica is not None
        taken = await replica.pipeline_slot.take(self._invalidated, self._gone)
        if taken is None:
            self._raise_if_gone()
            return fsm.Invalidated()
        self._holder, self._pipeline = replica, taken[0]
        if self._pipeline is not None and self._pipeline.is_broken:
            self._discard()
        if self._pipeline is None:
            return fsm.PipelineAcquired()
        return fsm.PipelineAcquired(self._pipeline.header.route, self._pipeline.view())

    def _raise_if_gone(self) -> None:
        if self._gone.is_fired:
            raise ClientGoneError("the client has gone")

    def _discard(self) -> None:
        """Close the pipeline. The token stays ours."""
        assert self._holder is not None
        assert self._pipeline is not None
        self._holder.retire(self._pipeline)
        self._pipeline = None

    def _release(self) -> None:
        """Give the token back, with the pipeline if it can be used again."""
        if self._holder is None:
            return
        if self._pipeline is not None and self._pipeline.is_broken:
            self._discard()
        self._holder.pipeline_slot.put(self._pipeline)
        self._holder = self._pipeline = None

    async def _build(self) -> fsm.Outcome:
        replica = self._replica
        assert replica is not None
        if self._pipeline is not None:
            self._discard()
        taken = await replica.spool_slot.take(self._invalidated, self._gone)
        if taken is None:
            self._raise_if_gone()
            return fsm.Invalidated()
        header = self._resolved.header
        try:
            streams = self._service.open_streams(self._request.journal, header)
        except BaseException:
            replica.spool_slot.put(taken[0])
            raise
        self._pipeline = Pipeline(header, taken[0], replica.settlement, streams)
        replica.run_streams(self._pipeline)
        return fsm.PipelineBuilt()

    async def _sync(self, roll_to: int, registers: LabelSet | None) -> fsm.Outcome:
        pipeline, replica, item = self._pipeline, self._replica, self._resolved.item
        assert pipeline is not None
        assert replica is not None
        assert item is not None
        spool, now = pipeline.spool, self._service.clock.now()
        proposal = maybe_roll(spool.fragment, spool.first_append_time, roll_to, item.spec, now)
        if registers is None:
            registers = spool.registers
        pipeline.is_synchronised = False
        replies = pipeline.propose(proposal, registers, now, acknowledge=True)
        try:
            # A peer that waits for its spool answers only once the last primary's stream has ended.
            if not await self._service.wait_or_signal(
                pipeline.wait_all(replies), self._invalidated
            ):
                self._discard()
                return fsm.Invalidated()
            gathered = await pipeline.gather(replies)
        except GazetteError:
            self._discard()
            raise
        etcd = pipeline.header.etcd
        match interpret_sync(spool.fragment.end, pipeline.header.route, etcd.revision, gathered):
            case SyncAgreed():
                pipeline.is_synchronised = True
                replica.publish(replica.settlement.settle_all(spool.fragment))
                return fsm.PeersAgree(pipeline.view())
            case SyncRefused(peer, reason, is_behind):
                self._discard()
                if is_behind:
                    raise RpcUnavailableError(
                        str(peer),
                        "UNAVAILABLE",
                        f"gatherSync: {reason} from {peer}, which is behind",
                    )
                raise RpcError(str(peer), "UNKNOWN", f"gatherSync: {reason} from {peer}")
            case fsm.PeerKnowsLaterRoute() as later:
                self._discard()
                return later
            case fsm.PeerAhead() as ahead:
                return ahead

    async def _await_ready(self) -> fsm.Outcome:
        replica, item = self._replica, self._resolved.item
        assert replica is not None
        assert item is not None
        outcome = await self._service.await_ready(replica, item.spec, self._invalidated, self._gone)
        self._raise_if_gone()
        return outcome

    # Content.

    async def _stream(self, roll_to: int, source: ContentSource) -> AppendOutcome:
        pipeline, replica, item = self._pipeline, self._replica, self._resolved.item
        assert pipeline is not None
        assert replica is not None
        assert item is not None
        request, spool, clock = self._request, pipeline.spool, self._service.clock
        rolled = maybe_roll(
            spool.fragment, spool.first_append_time, roll_to, item.spec, clock.now()
        )
        if rolled != spool.fragment:
            pipeline.propose(rolled, spool.registers, clock.now(), acknowledge=False)
        begin, codec = spool.fragment.end, spool.fragment.compression_codec
        stream = AppendStream(
            is_writable=item.spec.is_writable,
            suspend=request.options.suspend,
            change=request.change,
        )
        source.begin(replica.flow, item.spec.max_append_rate)
        summer, chunks = hashlib.sha1(usedforsecurity=False), 0
        failure: GazetteError | None = None
        decision: Commit | Rollback
        try:
            while True:
                content = await source.receive(self._invalidated)
                if content is None:
                    decision = stream.on_end()
                    break
                chunks += 1
                answer = stream.on_content(len(content))
                match answer:
                    case Forward(delta):
                        summer.update(content)
                        pipeline.send_content(content, delta)
                        await pipeline.wait_drained()
                    case AwaitEnd():
                        pass
                    case Rollback():
                        decision = answer
                        break
                if (failure := pipeline.error) is not None:
                    decision = Rollback()
                    break
            if isinstance(decision, Commit):
                # Bytes of an append which is bound to fail would stay with the other peers.
                if (failure := pipeline.error) is not None:
                    decision = Rollback()
                self._service.assert_lease(replica)
        except OSError as exc:
            decision = Rollback()
            failure = RpcUnavailableError("spool", "UNAVAILABLE", f"append stream: {exc}")
        except GazetteError as exc:
            decision, failure = Rollback(), exc
        return await self._finish(
            decision,
            failure,
            Fragment(
                journal=spool.fragment.journal,
                begin=begin,
                end=begin + stream.length,
                sum=summer.digest(),
                compression_codec=codec,
            ),
            chunks,
            source.delayed_chunks,
        )

    async def _finish(
        self,
        decision: Commit | Rollback,
        failure: GazetteError | None,
        commit: Fragment,
        chunks: int,
        delayed: int,
    ) -> AppendOutcome:
        pipeline, replica = self._pipeline, self._replica
        assert pipeline is not None
        assert replica is not None
        spool = pipeline.spool
        registers, proposal = spool.registers, spool.fragment
        is_commit = isinstance(decision, Commit)
        if is_commit:
            registers, proposal = self._request.change.apply(registers), spool.next()
        self._count(replica, spool.delta, is_commit=is_commit)
        members = pipeline.header.route.members
        self._service.count_crossing("replicate", spool.delta, *members)
        now = self._service.clock.now()
        self.may_have_committed = is_commit
        replies = pipeline.propose(proposal, registers, now, acknowledge=True)
        ticket = replica.settlement.ticket
        header = self._resolved.header
        # The next append may send; replies come back in the order of what they answer.
        self._release()
        with replica.acknowledging():
            await self._settle(replica, pipeline, replies, ticket, failure)
        if isinstance(decision, Rollback):
            if decision.status is not Status.OK:
                return AppendOutcome(status=decision.status, header=header)
            raise failure or RpcError("client", "UNKNOWN", f"append stream: {decision.reason}")
        return AppendOutcome(
            status=Status.OK,
            header=header,
            commit=commit,
            registers=registers,
            total_chunks=chunks,
            delayed_chunks=delayed,
        )

    async def _settle(
        self,
        replica: Replica,
        pipeline: Pipeline,
        replies: Replies,
        ticket: int,
        failure: GazetteError | None,
    ) -> None:
        try:
            await pipeline.gather_ok(replies)
        except GazetteError:
            replica.ask_pulse()  # Build the pipeline anew, and settle what the peers do have.
            if failure is not None:
                raise failure from None
            raise
        if replica.ended.is_fired:
            raise RpcUnavailableError(replica.journal, "UNAVAILABLE", "the replica has ended")
        self._service.assert_lease(replica)
        replica.publish(replica.settlement.settle(ticket))

    def _count(self, replica: Replica, length: int, *, is_commit: bool) -> None:
        if length and is_commit:
            replica.counters.on_commit(length)
        elif length:
            replica.counters.on_rollback(length)


class NoContent:
    """The content of a pulse: an empty append."""

    delayed_chunks = 0

    def __init__(self) -> None:
        self._has_intent = False

    def begin(self, flow: FlowControl, max_append_rate: int) -> None:
        """Do nothing: no content needs no rate."""

    async def receive(self, invalidated: Signal) -> bytes | None:
        """Intend to commit, then end."""
        if self._has_intent:
            return None
        self._has_intent = True
        return b""


def pulse_request(journal: str, suspend: AppendSuspend) -> AppendRequest:
    """Return an empty append, which neither proxies nor resumes."""
    return AppendRequest(
        journal=journal,
        options=fsm.AppendOptions(suspend=suspend),
        may_proxy=False,
        change=RegisterChange(),
    )
