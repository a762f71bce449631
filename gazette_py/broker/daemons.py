"""What every local replica does by itself: list its stores, and pulse.

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
from gazette_py.broker.token import Signal, wait_signal
from gazette_py.core.fragment_index import conflicting
from gazette_py.errors import GazetteError
from gazette_py.protocol.enums import AppendSuspend, Status
from gazette_py.protocol.fragment import Fragment, content_name
from gazette_py.stores.fragments import list_fragments
from gazette_py.telemetry.log import get_logger

log = get_logger(__name__)

PULSE_INTERVAL_S = 60.0
PULSE_TIMEOUT_S = 60.0
"""How long a pulse waits for what may never come, such as a revision which a peer made up: appends
queue behind it. The reference has the same bound."""
PULSE_RETRY_S = 1.0
"""After a pulse which failed: its peers may be up by then. The reference waits a whole interval."""

AUTO_SUSPEND_TICKS = 15
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


async def refresh_daemon(service: Service, replica: Replica) -> None:
    """Keep the index in line with the stores, until the replica or the journal ends."""
    failures = 0
    journal, created = replica.journal, replica.create_revision
    while (spec := service.spec_of(journal, created)) is not None and not replica.ended.is_fired:
        wanted = replica.refresh_wanted
        interval_s = spec.fragment.refresh_interval_ns / NS
        try:
            stores = [(url, service.store(url).store) for url in spec.fragment.stores]
            names = service.keyspace.items
            entries = await list_fragments(replica.journal, stores, names.__contains__)
            replica.replace_remote(entries)
            _tell_conflicts(service, replica, tuple(conflicting(entries)))
            replica.listing_error = ""
            failures = 0
        except GazetteError as exc:
            replica.listing_error = str(exc)
            log.warning("fragment_refresh_failed", journal=replica.journal, err=str(exc))
            if not replica.index.is_refreshed:
                interval_s = REFRESH_RETRY_S[min(failures, len(REFRESH_RETRY_S) - 1)]
            failures += 1
        except Exception as exc:
            # Nor may a bug end the listings: appends would wait for the first for ever.
            log.exception("fragment_refresh_bug", journal=replica.journal, err=repr(exc))
        # Brokers which started together do not list together for ever.
        interval_s *= service.clock.uniform(0.9, 1.1)
        await wait_signal(interval_s, replica.ended, wanted)


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


async def pulse_daemon(service: Service, replica: Replica, *, auto_suspend: bool) -> None:
    """Pulse at start, when the Route changes, when asked to, and now and again."""
    stable_ticks = 0
    while not replica.ended.is_fired:
        suspend = AppendSuspend.NO_RESUME
        if auto_suspend and stable_ticks >= AUTO_SUSPEND_TICKS:
            suspend = AppendSuspend.IF_FLUSHED
        wanted = replica.pulse_wanted
        invalidated = replica.invalidated
        if await pulse(service, replica, suspend) is not None:
            if await wait_signal(PULSE_INTERVAL_S, replica.ended, wanted, invalidated):
                stable_ticks = 0
            else:
                stable_ticks += 1
        else:
            # A peer which cannot be reached ends its streams at once, and each asks for a pulse:
            # `wanted` would make this a busy loop until the Route changes.
            stable_ticks = 0
            await wait_signal(PULSE_RETRY_S, replica.ended, invalidated)


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
