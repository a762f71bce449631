"""Sends planned changes, and tells what became of each."""

import sys
from collections.abc import AsyncIterator, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any

import click

from gazette_py.cli.changes import Action, Planned, batches
from gazette_py.cli.conditions import Condition, lacking
from gazette_py.cli.errors import CommandError, ExitCode, Failure, failure_of
from gazette_py.cli.fanout import Outcomes, for_each
from gazette_py.cli.planning import by_names
from gazette_py.cli.render import Column
from gazette_py.cli.spec_diff import diff_text
from gazette_py.clock import SYSTEM
from gazette_py.errors import GazetteError

if TYPE_CHECKING:
    from gazette_py.client.client import Client
    from gazette_py.client.listing import ListedJournal

_WAIT_POLL_S = 0.1
_SHOWN_MAX = 20
"""Journals whose changes are shown before they are made: as many as anyone reads."""

TXN_SIZE_DEFAULT = 100
"""Below the operations which etcd takes in a transaction by default, 128, with room for more
conditions than changes."""

COLUMNS = (
    Column("ACTION", lambda item: item["action"]),
    Column("NAME", lambda item: item["name"]),
    Column("REVISION", lambda item: item["revision"]),
)


def item_of(change: Planned, revision: int) -> dict[str, Any]:
    """Return a change as an item to print."""
    return {"name": change.spec.name, "action": change.action.value, "revision": revision}


def summary(items: Sequence[dict[str, Any]], *, is_dry: bool = False) -> str:
    """Return how many journals were changed, and how."""
    counts = dict.fromkeys(Action, 0)
    for item in items:
        counts[Action(item["action"])] += 1
    told = ", ".join(f"{count} {action}" for action, count in counts.items() if count)
    return f"Dry run, nothing was sent: {told}." if is_dry else f"Applied: {told}."


def check_conflicts(changes: Sequence[Planned]) -> None:
    """Refuse changes which the brokers would refuse, by name: they only say that one of many is.

    Raises:
        CommandError: A journal is not at the revision which the input expects.
    """
    conflicts = [change for change in changes if change.is_conflict]
    if not conflicts:
        return
    first = conflicts[0]
    others = f", and {len(conflicts) - 1} more" if len(conflicts) > 1 else ""
    if first.expect_revision == 0:
        detail = f"it exists already, at revision {first.current_revision}"
    elif first.current_revision == 0:
        detail = f"revision {first.expect_revision} is expected, but it does not exist"
    else:
        detail = (
            f"revision {first.expect_revision} is expected, but it is at {first.current_revision}"
        )
    raise CommandError(
        Failure(
            code=ExitCode.CONFLICT,
            status="ETCD_TRANSACTION_FAILED",
            what=f"journal {first.spec.name}{others}",
            detail=f"{detail}; nothing was changed",
            hints=(
                "`journalctl list -o yaml` shows revisions; --revision=upsert uses the present"
                " ones, and --revision=ignore any.",
            ),
        )
    )


def show_changes(changes: Sequence[Planned]) -> None:
    """Show people what is about to be changed, on standard error; programs have `diff`."""
    if not sys.stderr.isatty():
        return
    shown = [change for change in changes if change.action is not Action.UNCHANGED]
    for change in shown[:_SHOWN_MAX]:
        click.echo(diff_text(change), nl=False, err=True)
    if len(shown) > _SHOWN_MAX:
        click.echo(f"... and {len(shown) - _SHOWN_MAX} more journals.", err=True)


async def send(
    client: "Client", changes: Sequence[Planned], txn_size_max: int
) -> AsyncIterator[tuple[Planned, int]]:
    """Send changes, and yield each with the revision it was made at.

    Raises:
        CommandError: A transaction failed; those before it stand.
    """
    from gazette_py.client.change import Change

    done = 0
    for batch in batches(changes, txn_size_max):
        try:
            revision = await client.apply(
                [
                    Change(expect_mod_revision=change.expect_revision, delete=change.spec.name)
                    if change.action is Action.DELETED
                    else Change(expect_mod_revision=change.expect_revision, upsert=change.spec)
                    for change in batch
                ]
            )
        except GazetteError as exc:
            raise _failed(batch, done, exc) from exc
        done += len(batch)
        for change in batch:
            yield change, revision


def _failed(batch: Sequence[Planned], done: int, exc: GazetteError) -> CommandError:
    failure = failure_of(exc)
    names = batch[0].spec.name
    if len(batch) > 1:
        names = f"{names} to {batch[-1].spec.name}, {len(batch)} journals"
    return CommandError(
        Failure(
            code=ExitCode.PARTIAL if done else failure.code,
            status=failure.status,
            what=names,
            detail=f"{failure.detail}; {done} changes were made before" if done else failure.detail,
            hints=failure.hints,
        )
    )


async def wait_served(client: "Client", names: AbstractSet[str], timeout_s: float) -> None:
    """Wait until as many brokers serve every journal as it wants, and agree on it.

    Raises:
        CommandError: The time is over.
        GazetteError: It could not be found out.
    """
    deadline = SYSTEM.monotonic() + timeout_s
    selector = by_names(sorted(names))
    while True:
        listed = (await client.list(selector)).journals
        asked = [journal for journal in listed if journal.spec.name in names]
        outcomes = await _lacks(client, asked)
        for error in outcomes.errors.values():
            if not error.retryable:
                raise error
        waiting = {name: lacks for name, lacks in outcomes.results.items() if lacks}
        waiting |= {name: str(error) for name, error in outcomes.errors.items()}
        if not waiting:
            return
        if SYSTEM.monotonic() >= deadline:
            name, lacks = next(iter(waiting.items()))
            more = f", one of {len(waiting)}" if len(waiting) > 1 else ""
            raise CommandError(
                Failure(
                    code=ExitCode.UNAVAILABLE,
                    status="INSUFFICIENT_JOURNAL_BROKERS",
                    what=f"journal {name}{more}",
                    detail=f"applied, but not served as it asks for after {timeout_s:g}s: {lacks}",
                    hints=(f"`journalctl doctor {name}` tells why.",),
                )
            )
        await SYSTEM.sleep(_WAIT_POLL_S)


async def _lacks(client: "Client", journals: Sequence["ListedJournal"]) -> Outcomes[str]:
    by_name = {journal.spec.name: journal for journal in journals}
    served = Condition("consistent")
    return await for_each(by_name, lambda name: lacking(client, by_name[name], served, None))
