"""What is done for every local replica again and again: list its stores, and pulse.

A pulse is an empty append. It synchronises a new Route, writes it into the assignments (without
which the allocator could never finish a move), closes fragments whose flush interval has passed,
and finds broken peers before a client does. On a broker which is not primary it ends at once.

Source: gazette/core broker/replica.go, fragmentRefreshDaemon and pulseDaemon.
"""

import asyncio

from gazette_py.broker.append_run import (
    AppendOutcome,
    AppendRun,
    ClientGoneError,
    NoContent,
    pulse_request,
)
from gazette_py.broker.replica import Replica
from gazette_py.broker.service import NS, Service
from gazette_py.broker.token import Signal
from gazette_py.core.chores import Calendar, Chore
from gazette_py.core.fragment_index import conflicting
from gazette_py.errors import GazetteError
from gazette_py.protocol.enums import AppendSuspend, Status
from gazette_py.protocol.fragment import Fragment, content_name
from gazette_py.protocol.journal import JournalSpec
from gazette_py.stores.fragments import list_fragments
from gazette_py.telemetry.log import get_logger

log = get_logger(__name__)

PULSE_INTERVAL_S = 60.0
PULSE_TIMEOUT_S = 60.0
"""How long a pulse waits for what may never come, such as a revision which a peer made up: appends
queue behind it. The reference has the same bound."""
PULSE_RETRY_S = 1.0
"""After a pulse which failed: its peers may be up by then. The reference waits a whole interval."""

AUTO_SUSPEND_PULSES = 15
"""Undisturbed pulses before an idle journal may be suspended: its clients have had time to
return."""

REFRESH_RETRY_S = (0.5, 1.0, 2.0, 5.0)
"""Until the first listing has succeeded, appends wait for it. Afterwards failures wait their
turn."""

_QUIET = (
    Status.OK,
    Status.NOT_JOURNAL_PRIMARY_BROKER,
    Status.NO_JOURNAL_PRIMARY_BROKER,
    Status.JOURNAL_NOT_FOUND,
    Status.SUSPENDED,
)
"""Outcomes of a pulse which say nothing new."""


class Upkeep:
    """Of all replicas of a broker.

    Args:
        service: Whose replicas they are.
        auto_suspend: Suspend journals which are idle for long.
    """

    def __init__(self, service: Service, *, auto_suspend: bool) -> None:
        self._service = service
        self._auto_suspend = auto_suspend
        self._calendar: Calendar[tuple[Keeper, bool]] = Calendar()
        self._timer: asyncio.TimerHandle | None = None

    def start(self, replica: Replica) -> None:
        """Keep a replica from now on, until it ends."""
        keeper = replica.keeper = Keeper(self, replica, self.now())
        self.put(keeper, is_pulse=False)
        self.put(keeper, is_pulse=True)

    def now(self) -> float:
        """Return the time of the timers."""
        return asyncio.get_running_loop().time()

    def put(self, keeper: "Keeper", *, is_pulse: bool) -> None:
        """Look at a chore when it is due, as it is now."""
        at = (keeper.pulse if is_pulse else keeper.refresh).due
        assert at is not None, "it runs"
        self._calendar.put(at, (keeper, is_pulse))
        if self._timer is None or at < self._timer.when():
            self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        at = self._calendar.next_at
        self._timer = None if at is None else asyncio.get_running_loop().call_at(at, self._tick)

    def _tick(self) -> None:
        self._timer = None
        for keeper, is_pulse in self._calendar.take(self.now()):
            if is_pulse:
                keeper.pulse.begin()
                keeper.replica.spawn(self._pulse(keeper), "pulse")
            else:
                keeper.refresh.begin()
                keeper.replica.spawn(self._refresh(keeper), "refresh")
        self._arm()

    def drop(self, keeper: "Keeper") -> None:
        """Forget a replica which has ended."""
        for is_pulse in (False, True):
            self._calendar.drop((keeper, is_pulse))

    async def _refresh(self, keeper: "Keeper") -> None:
        spec = self._service.spec_of(keeper.replica.journal, keeper.replica.create_revision)
        if spec is None:
            return
        interval_s = await _list_stores(self._service, keeper, spec)
        # Brokers which started together do not list together for ever.
        interval_s *= self._service.clock.uniform(0.9, 1.1)
        keeper.refresh.end(self.now(), interval_s)
        self._again(keeper, is_pulse=False)

    async def _pulse(self, keeper: "Keeper") -> None:
        keeper.quiet_pulses += 1
        is_long_idle = keeper.quiet_pulses >= AUTO_SUSPEND_PULSES
        suspend = AppendSuspend.NO_RESUME
        if self._auto_suspend and is_long_idle:
            suspend = AppendSuspend.IF_FLUSHED
        if await pulse(self._service, keeper.replica, suspend) is not None:
            keeper.pulse.end(self.now(), PULSE_INTERVAL_S)
        else:
            # A peer which cannot be reached ends its streams at once, and each asks for a pulse:
            # to heed that would make a busy loop until the Route changes.
            keeper.disturb()
            keeper.pulse.end(self.now(), PULSE_RETRY_S, failed=True)
        self._again(keeper, is_pulse=True)

    def _again(self, keeper: "Keeper", *, is_pulse: bool) -> None:
        if not keeper.replica.ended.is_fired:
            self.put(keeper, is_pulse=is_pulse)


class Keeper:
    """The chores of one replica. It hears what the replica is asked for."""

    __slots__ = ("_upkeep", "listing_failures", "pulse", "quiet_pulses", "refresh", "replica")

    def __init__(self, upkeep: Upkeep, replica: Replica, now: float) -> None:
        self.replica = replica
        self.refresh = Chore(now)
        self.pulse = Chore(now)
        self.quiet_pulses = -1  # Since the last which something else than time asked for.
        self.listing_failures = 0  # In a row.
        self._upkeep = upkeep

    def ask_refresh(self) -> None:
        """Have the stores listed soon."""
        if self.refresh.ask(self._upkeep.now()):
            self._upkeep.put(self, is_pulse=False)

    def ask_pulse(self) -> None:
        """Have a pulse run soon."""
        self.disturb()
        if self.pulse.ask(self._upkeep.now()):
            self._upkeep.put(self, is_pulse=True)

    def invalidate(self) -> None:
        """Have a pulse run soon, also after one which failed: the Route has changed."""
        self.disturb()
        if self.pulse.compel(self._upkeep.now()):
            self._upkeep.put(self, is_pulse=True)

    def end(self) -> None:
        """Keep the replica no more: it has ended, and no chore of it is to hold it in memory."""
        self._upkeep.drop(self)

    def disturb(self) -> None:
        """Count quiet pulses anew."""
        self.quiet_pulses = -1


async def _list_stores(service: Service, keeper: Keeper, spec: JournalSpec) -> float:
    """List the stores once. Return after how many seconds to do it again."""
    replica = keeper.replica
    interval_s = spec.fragment.refresh_interval_ns / NS
    try:
        stores = [(url, service.store(url).store) for url in spec.fragment.stores]
        names = service.keyspace.items
        entries = await list_fragments(replica.journal, stores, names.__contains__)
        replica.replace_remote(entries)
        _tell_conflicts(service, replica, tuple(conflicting(entries)))
        replica.listing_error = ""
        keeper.listing_failures = 0
    except GazetteError as exc:
        replica.listing_error = str(exc)
        log.warning("fragment_refresh_failed", journal=replica.journal, err=str(exc))
        if not replica.index.is_refreshed:
            interval_s = REFRESH_RETRY_S[min(keeper.listing_failures, len(REFRESH_RETRY_S) - 1)]
        keeper.listing_failures += 1
    except Exception as exc:
        # Nor may a bug end the listings: appends would wait for the first for ever.
        log.exception("fragment_refresh_bug", journal=replica.journal, err=repr(exc))
    return interval_s


def _tell_conflicts(
    service: Service, replica: Replica, conflicts: tuple[tuple[Fragment, ...], ...]
) -> None:
    if conflicts == replica.conflicts:
        return
    replica.conflicts = conflicts
    service.metrics.conflicting(replica.journal, len(conflicts))
    for fragments in conflicts:
        log.error(
            "conflicting_fragments",
            journal=replica.journal,
            fragments=[content_name(fragment) for fragment in fragments],
        )


async def pulse(
    service: Service, replica: Replica, suspend: AppendSuspend = AppendSuspend.NO_RESUME
) -> AppendOutcome | None:
    """Run one pulse. Return how it ended, None if by an error."""
    overdue = Signal()
    timer = asyncio.get_running_loop().call_later(PULSE_TIMEOUT_S, overdue.fire)
    run = AppendRun(service, pulse_request(replica.journal, suspend), overdue)
    try:
        outcome = await run.run(NoContent())
    except ClientGoneError:
        log.warning("pulse_overdue", journal=replica.journal, timeout_s=PULSE_TIMEOUT_S)
        return None
    except GazetteError as exc:
        if not replica.ended.is_fired:
            log.warning("pulse_failed", journal=replica.journal, err=str(exc))
        return None
    except Exception as exc:
        # Not even a bug may end the pulses: without them no move of the journal is ever finished.
        log.exception("pulse_bug", journal=replica.journal, err=repr(exc))
        return None
    finally:
        timer.cancel()
    if outcome.status not in _QUIET:
        log.warning(
            "pulse_refused",
            journal=replica.journal,
            status=outcome.status.name,
            detail=outcome.detail,
        )
    return outcome
