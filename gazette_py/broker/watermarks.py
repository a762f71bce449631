"""Writes the watermarks of journals which this broker is primary of.

One task looks at all of them: what has a flush interval, and has passed a boundary of it, is
pulsed, which closes the open fragment and confirms where the journal ends. The watermark is written
once the stores were seen to hold all below.

A broker which becomes primary looks which watermark was the last, and makes up for boundaries which
have passed meanwhile. Where two believe to be primary, both say what is true: see `core.watermark`.
"""

import asyncio
from dataclasses import dataclass

from gazette_py.broker.replica import Replica
from gazette_py.broker.service import NS, Service
from gazette_py.broker.upkeep import pulse
from gazette_py.core.watermark import Watermarks
from gazette_py.errors import GazetteError
from gazette_py.protocol.enums import Status
from gazette_py.protocol.journal import JournalSpec
from gazette_py.protocol.watermark import Watermark
from gazette_py.stores.base import Store
from gazette_py.stores.watermarks import read_watermark, watermark_times, write_watermark
from gazette_py.telemetry.log import get_logger

log = get_logger(__name__)

TICK_S = 5.0
"""Between looks at all journals."""

REFRESH_S = 10.0
"""Between listings of a store which we ask for, while a watermark waits for content to be there."""

CALLS_MAX = 16
"""Journals which are worked on at a time: a boundary is the same for all of them."""


@dataclass(slots=True)
class _Tracked:
    replica: Replica
    interval_s: int
    watermarks: Watermarks
    floor: int  # All below it was stored, as the last watermark says.
    refreshed_at: float = 0.0  # Monotonic.


class WatermarkWriter:
    """Runs until it is cancelled."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._tracked: dict[int, _Tracked] = {}  # By replica.
        self._slots = asyncio.Semaphore(CALLS_MAX)

    async def run(self) -> None:
        """Look at all journals, again and again."""
        while True:
            await self._service.clock.sleep(TICK_S * self._service.clock.uniform(0.8, 1.2))
            await self.look()

    async def look(self) -> None:
        """Look at all journals once."""
        now = self._service.clock.now()
        primaries = {
            replica.id: (replica, spec)
            for replica, is_primary in self._service.local_replicas()
            if is_primary and (spec := self._spec_of(replica)) is not None
        }
        for gone in self._tracked.keys() - primaries.keys():
            del self._tracked[gone]
        await asyncio.gather(
            *(
                self._work(replica, spec)
                for replica, spec in primaries.values()
                if self._has_work(replica, spec, now)
            )
        )

    def _spec_of(self, replica: Replica) -> JournalSpec | None:
        """Return the spec of a journal which is to have watermarks."""
        spec = self._service.spec_of(replica.journal, replica.create_revision)
        if spec is None or not spec.fragment.flush_interval_ns or not spec.fragment.stores:
            return None
        return spec

    def _has_work(self, replica: Replica, spec: JournalSpec, now: float) -> bool:
        tracked = self._tracked.get(replica.id)
        if tracked is None or tracked.interval_s != spec.fragment.flush_interval_ns // NS:
            return True
        return tracked.watermarks.is_waiting or tracked.watermarks.is_due(now)

    async def _work(self, replica: Replica, spec: JournalSpec) -> None:
        async with self._slots:
            try:
                await self._advance(replica, spec)
            except GazetteError as exc:
                self._service.metrics.watermark_failed()
                log.warning("watermark_failed", journal=replica.journal, err=str(exc))
            except Exception as exc:  # A bug may not end the watermarks of all journals.
                log.exception("watermark_bug", journal=replica.journal, err=repr(exc))

    async def _advance(self, replica: Replica, spec: JournalSpec) -> None:
        service, active = self._service, self._service.store(spec.fragment.stores[0])
        if active.health is not None:
            return  # As its health checks tell. It can wait.
        store = active.store
        interval_s = spec.fragment.flush_interval_ns // NS
        tracked = self._tracked.get(replica.id)
        if tracked is None or tracked.interval_s != interval_s:
            tracked = self._tracked[replica.id] = await _track(store, replica, interval_s)
        now = service.clock.now()
        if tracked.watermarks.is_due(now):
            outcome = await pulse(service, replica)
            if outcome is None or outcome.status is not Status.OK:
                return  # We are no longer primary, or not yet.
            assert outcome.commit is not None
            head, rolled_at = outcome.commit.end, replica.rolled_at
            if head < tracked.floor:
                tracked.floor = 0  # Of another journal, which had this name.
            # All which is in the open fragment was appended after the boundary.
            tracked.watermarks.claim(now, head if rolled_at is None else rolled_at)
        if tracked.watermarks.is_waiting:
            await self._settle(tracked, store)

    async def _settle(self, tracked: _Tracked, store: Store) -> None:
        service, replica = self._service, tracked.replica
        through, missing = replica.index.stored_through(tracked.floor, service.clock.now())
        for claim in tracked.watermarks.settled(through):
            watermark = Watermark(
                journal=replica.journal,
                time=claim.time,
                offset=claim.offset,
                missing=tuple(span for span in missing if span[0] < claim.offset),
                broker=str(service.self_id),
            )
            if await write_watermark(store, watermark):
                service.metrics.watermark_written()
            tracked.watermarks.wrote(claim)
            tracked.floor = claim.offset
        if tracked.watermarks.is_waiting:
            now = service.clock.monotonic()
            if now >= tracked.refreshed_at + REFRESH_S:
                tracked.refreshed_at = now
                replica.ask_refresh()


async def _track(store: Store, replica: Replica, interval_s: int) -> _Tracked:
    times = await watermark_times(store, replica.journal)
    last = await read_watermark(store, replica.journal, times[-1]) if times else None
    written = None if last is None else last.time - last.time % interval_s
    floor = 0 if last is None else last.offset
    return _Tracked(replica, interval_s, Watermarks(interval_s, written), floor)
