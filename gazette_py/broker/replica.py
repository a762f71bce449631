"""A journal as this broker serves it: its index, its spool, and its pipeline while we are primary.

The replica owns every task which works on the journal for longer than one call. A client or peer
that goes away is an input to them, never their cancellation.

Invariants:
    RP1  Exactly one spool and one pipeline token exist, held by one owner or in their slots.
    RP2  Whoever holds the spool is the journal's only writer on this broker: our pipeline, or one
         incoming Replicate stream.
    RP3  `invalidated` fires when the Route or the stores change, and when the replica ends; who
         waits then resolves anew.
    RP4  A replica which ends closes its open fragment and hands it to the persister.
    RP5  One with a predecessor begins where that ended, and has its index: the journal's content,
         which may be in no store yet, is neither forgotten nor written over.

Source: gazette/core broker/replica.go.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from gazette_py.broker.peer_stream import PeerStream
from gazette_py.broker.persister import Persister
from gazette_py.broker.pipeline import Pipeline
from gazette_py.broker.spool_file import SpoolDirectory
from gazette_py.broker.token import Signal, Slot, wait_signal
from gazette_py.clock import Clock
from gazette_py.core.flow_control import FlowControl
from gazette_py.core.fragment_index import FragmentIndex
from gazette_py.core.settlement import Completed, Deed, Settlement
from gazette_py.core.spool import Spool
from gazette_py.protocol.fragment import ZERO_SUM, Fragment
from gazette_py.protocol.labels import LabelSet
from gazette_py.telemetry.log import get_logger

log = get_logger(__name__)

CLOSE_TIMEOUT_S = 5.0
"""How long peers have to end their streams, once we have ended ours."""

STORY_LENGTH = 16
"""Steps of the journal's state machines which `/debug/story` shows, at least. Every idle journal
keeps up to twice as many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolCounters:
    """Called with byte counts, for metrics."""

    on_commit: Callable[[int], None]
    on_rollback: Callable[[int], None]
    on_complete: Callable[[], None]


class Upkept(Protocol):
    """Hears what is to be done for a replica soon."""

    def ask_refresh(self) -> None:
        """List the stores."""

    def ask_pulse(self) -> None:
        """Run a pulse."""

    def invalidate(self) -> None:
        """The Route or the stores have changed."""

    def end(self) -> None:
        """The replica has ended: nothing is to be done for it any more."""


class Replica:
    """One journal on this broker. `run` does its work; `shut_down` ends it."""

    def __init__(
        self,
        replica_id: int,
        journal: str,
        create_revision: int,
        *,
        spools: SpoolDirectory,
        persister: Persister,
        counters: SpoolCounters,
        flow: FlowControl,
        clock: Clock,
        predecessor: "Replica | None" = None,
    ) -> None:
        self.id = replica_id
        self.journal = journal
        self.create_revision = create_revision
        self.flow = flow
        self.index: FragmentIndex = FragmentIndex() if predecessor is None else predecessor.index
        self.index_changed = Signal()
        self.invalidated = Signal()
        self.ending = Signal()  # Tokens are wanted back, to end the replica.
        self.appends_over = Signal()  # While it ends: no client waits for us any more.
        self.ended = Signal()
        self.is_disowned = False  # The lease by which it was ours is gone.
        self.rolled_at: int | None = None  # End of the last fragment we closed as primary.
        # Of the last listing of the stores: fragments of one extent, and how it failed.
        self.conflicts: tuple[tuple[Fragment, ...], ...] = ()
        self.listing_error = ""
        self.remains: Spool | None = None  # Empty, where our content ends; set as we end.
        self.keeper: Upkept | None = None  # Hears what is asked for; None in some tests.
        self.pipeline_slot: Slot[Pipeline | None] = Slot()
        self.spool_slot: Slot[Spool] = Slot()
        self.settlement = Settlement()
        self.counters = counters
        self._story: list[tuple[float, object]] = []
        self._clock = clock
        self._persister = persister
        self._acknowledging = 0  # Appends which wait for their peers' replies.
        self._acknowledged = Signal()  # Fires when the last of them has ended.
        self._tasks: set[asyncio.Task[None]] = set()
        self.pipeline_slot.put(None)
        self._spools = spools
        if predecessor is None:
            self.spool_slot.put(Spool(journal, spools.open))
        else:
            self.spawn(self._succeed(predecessor), "succeed")

    async def _succeed(self, predecessor: "Replica") -> None:
        await wait_signal(None, predecessor.ended)
        self.spool_slot.put(predecessor.remains or Spool(self.journal, self._spools.open))
        self.ask_pulse()

    # Signals.

    def invalidate(self) -> None:
        """Tell who relies on the current resolution that it no longer holds."""
        signal, self.invalidated = self.invalidated, Signal()
        signal.fire()
        if self.keeper is not None:
            self.keeper.invalidate()

    def _announce_index(self) -> None:
        signal, self.index_changed = self.index_changed, Signal()
        signal.fire()

    def ask_refresh(self) -> None:
        """Have the index refreshed from the stores soon."""
        if self.keeper is not None:
            self.keeper.ask_refresh()

    def ask_pulse(self) -> None:
        """Have a pulse run soon."""
        if self.keeper is not None:
            self.keeper.ask_pulse()

    def note(self, step: object) -> None:
        """Keep a step of a state machine for `/debug/story`."""
        self._story.append((self._clock.now(), step))
        if len(self._story) > 2 * STORY_LENGTH:
            del self._story[:STORY_LENGTH]

    def story(self) -> list[str]:
        """Return the last steps, each with its time."""
        return [f"{now:.3f} {step}" for now, step in self._story]

    # Tasks.

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run work which the replica outlives. It handles its own errors."""
        # Not a TaskGroup: the work is begun by calls, while the replica lives. `shut_down` awaits
        # it.
        task = asyncio.create_task(work, name=f"{name} {self.journal}")
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)

    def _on_task_done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("replica_task_failed", journal=self.journal, task=task.get_name(), err=error)

    # The journal's content.

    def publish(self, deeds: list[Deed]) -> None:
        """Show commits to readers, and hand completed fragments to the persister."""
        for deed in deeds:
            match deed:
                case Completed(spool):
                    self.rolled_at = spool.fragment.end
                    self._persister.persist_soon(spool, self.create_revision, is_primary=True)
                case _:
                    self.index.spool_commit(deed.fragment, deed.file)
        if deeds:
            self._announce_index()

    def apply_replicated(
        self, spool: Spool, proposal: Fragment, registers: LabelSet, *, is_sole: bool = False
    ) -> bool:
        """Apply a primary's proposal to the spool. Return whether it was accepted.

        Args:
            spool: Ours, held by the caller.
            proposal: The fragment to arrive at.
            registers: The registers to arrive at.
            is_sole: We may be the only one who has the end of the fragment: nobody else will store
                it, so it is stored at once if this closes it.
        """
        delta = spool.delta
        result = spool.apply_proposal(proposal, registers, self._clock.now())
        if result.completed is not None:
            self.counters.on_complete()
            self._persister.persist_soon(result.completed, self.create_revision, is_primary=is_sole)
        if result.committed is not None:
            assert spool.file is not None
            self.counters.on_commit(delta)
            self.index.spool_commit(result.committed, spool.file)
            self._announce_index()
        elif delta and not spool.delta:
            self.counters.on_rollback(delta)
        return result.is_ok

    def replace_remote(self, entries: list[Any]) -> None:
        """Take a listing of the stores."""
        self.index.replace_remote(entries)
        self._announce_index()

    async def wait_index(
        self, version: int, *signals: Signal, timeout_s: float | None = None
    ) -> bool:
        """Wait until the index is newer than `version`. Return False if the time ran out first."""
        if self.index.version != version:
            return True
        return await wait_signal(timeout_s, self.index_changed, self.ended, *signals)

    # The pipeline.

    @contextmanager
    def acknowledging(self) -> Iterator[None]:
        """Note that an append waits for its peers' replies: the replica does not end before it."""
        self._acknowledging += 1
        try:
            yield
        finally:
            self._acknowledging -= 1
            if not self._acknowledging:
                signal, self._acknowledged = self._acknowledged, Signal()
                signal.fire()

    async def _wait_acknowledged(self) -> None:
        if self._acknowledging and not await wait_signal(CLOSE_TIMEOUT_S, self._acknowledged):
            # Those appends fail (see `AppendRun`): their peers did not answer in time.
            log.warning("appends_unacknowledged", journal=self.journal, count=self._acknowledging)

    def run_streams(self, pipeline: Pipeline) -> None:
        """Begin to move messages of a pipeline just built."""
        for peer in pipeline.peers.values():
            self.spawn(self._run_stream(peer), f"replicate to {peer.peer}")

    async def _run_stream(self, peer: PeerStream) -> None:
        await peer.run()
        self.ask_pulse()  # If we are still primary, synchronise with the peer anew.

    def retire(self, pipeline: Pipeline) -> None:
        """Close a pipeline, and put its spool back."""
        self.spool_slot.put(pipeline.half_close())
        self.spawn(self._end_streams(pipeline), "end streams")

    async def _end_streams(self, pipeline: Pipeline) -> None:
        await pipeline.wait_ended(CLOSE_TIMEOUT_S)

    # The end.

    async def shut_down(self) -> None:
        """End the replica: wait for appends under way, and close the open fragment.

        Appends and Replicate streams which wait for a token resolve anew, since `invalidated` fires
        and the tokens never come back.
        """
        self.ending.fire()
        self.invalidate()
        taken = await self.pipeline_slot.take()
        assert taken is not None
        if taken[0] is not None:
            self.retire(taken[0])
            await self._wait_acknowledged()
        self.appends_over.fire()
        spool_taken = await self.spool_slot.take()
        assert spool_taken is not None
        self._close_fragment(spool_taken[0])
        self.ended.fire()
        if self.keeper is not None:
            self.keeper.end()
            self.keeper = None
        self.invalidate()
        self._announce_index()
        tasks = list(self._tasks)
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_TIMEOUT_S)
        for task in self._tasks:
            task.cancel()

    def _close_fragment(self, spool: Spool) -> None:
        fragment = spool.fragment
        rolled = replace(fragment, begin=fragment.end, sum=ZERO_SUM)
        result = spool.apply_proposal(rolled, spool.registers, self._clock.now())
        if result.completed is not None:
            self.counters.on_complete()
            self.settlement.record(Completed(result.completed))
        settled = self.settlement.settle(0)
        if not self.settlement:
            # Else what was not acknowledged is cut off, and only our peers know where all ended.
            self.remains = Spool(
                self.journal, self._spools.open, begin=fragment.end, registers=spool.registers
            )
        # What every peer acknowledged is persisted whole; the rest is cut at the last such commit.
        for deed in [*settled, *self.settlement.abandon()]:
            if isinstance(deed, Completed):
                self._persister.persist_soon(deed.spool, self.create_revision, is_primary=False)
