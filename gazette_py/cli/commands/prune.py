"""`journalctl prune`: remove stored fragments which are older than journals want to keep them.

It lists the stores and removes from here, with credentials of our environment: brokers have no call
for it. What goes is decided by `core.retention`; nothing goes before all of it was planned.
"""

import sys
from collections.abc import Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

import click

from gazette_py.cli.confirm import confirm
from gazette_py.cli.connection import Broker, changing_broker_options
from gazette_py.cli.errors import CommandError, ExitCode, Failure, failure_of, usage
from gazette_py.cli.fanout import failed, for_each
from gazette_py.cli.options import duration_option, output_options, size_option
from gazette_py.cli.progress import counted
from gazette_py.cli.quantities import format_age, format_size, format_time
from gazette_py.cli.render import Column, Output
from gazette_py.cli.selection import Selection, selection_options
from gazette_py.cli.verb import Verb, run
from gazette_py.clock import SYSTEM

if TYPE_CHECKING:
    from gazette_py.core.retention import Verdict
    from gazette_py.errors import GazetteError, StoreError
    from gazette_py.lake.prune import JournalPlan, StoredFile, Tally
    from gazette_py.protocol.journal import JournalSpec
    from gazette_py.stores.registry import StoreRegistry

_NS = 1_000_000_000

RECOVERY_LOG = "application/x-gazette-recoverylog"
"""Content type of journals whose fragments are needed however old they are."""

CALLS_MAX = 32
"""Calls of stores at once, if nobody says otherwise."""

_WHY_KEPT = {
    "young": "not old enough",
    "last": "at the end of their journal",
    "recent": "of the last --min-keep bytes",
    "between": "behind content which stays",
    "covered": "within others which stay",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the options say of which fragments go."""

    older_than_s: float | None = None
    min_keep: int = 0
    include_overlapped: bool = False
    max_delete: int | None = None
    concurrency: int = CALLS_MAX
    file_root: str = ""


@dataclass(slots=True)
class _Work:
    """Journals and their plans."""

    plans: "dict[str, JournalPlan]" = field(default_factory=dict)
    errors: "dict[str, GazetteError]" = field(default_factory=dict)  # Not even planned.
    unlimited: int = 0  # Journals without a retention: skipped, unless --older-than has them too.
    recovery_logs: int = 0  # Skipped.

    @property
    def doomed(self) -> "Iterable[StoredFile]":
        """All files which go."""
        return chain.from_iterable(plan.doomed for plan in self.plans.values())


@click.command(
    "prune",
    cls=Verb,
    epilog="""
    journalctl prune acme/orders --file-root data/fragments --dry-run
    journalctl prune acme/ --older-than 720h --min-keep 1GiB --file-root data/fragments --yes
    journalctl prune -l env=prod --file-root data/fragments --max-delete 1000 --yes -o jsonl
    """,
)
@selection_options
@duration_option(
    "--older-than",
    default=None,
    help="Remove what was stored so long ago, whatever `retention` the journals have; also of those"
    " which have none, and keep all.",
)
@size_option(
    "--min-keep",
    default="0",
    show_default=True,
    help="Content at the end of each journal which stays however old it is.",
)
@click.option(
    "--include-overlapped",
    is_flag=True,
    help="Also remove old fragments which lie within others that stay.",
)
@click.option("--file-root", default="", help="Directory of file:// stores, as it is here.")
@click.option(
    "--max-delete",
    type=click.IntRange(min=0),
    help="Remove nothing at all if more fragments than this would go.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 1024),
    default=CALLS_MAX,
    show_default=True,
    help="Calls of stores at once.",
)
@click.option(
    "--dry-run", is_flag=True, help="Print what would go. On a terminal, so it is without --yes."
)
@click.option("-y", "--yes", is_flag=True, help="Remove it.")
@output_options()
@changing_broker_options
def command(
    selection: Selection,
    older_than: float | None,
    min_keep: int,
    include_overlapped: bool,
    file_root: str,
    max_delete: int | None,
    concurrency: int,
    dry_run: bool,
    yes: bool,
    output: Output,
    broker: Broker,
) -> None:
    """Remove stored fragments which are older than their journal's `retention`.

    A fragment is as old as its file in the store. Journals without a retention keep all, and are
    skipped unless --older-than is given; recovery logs are always skipped. Whatever their age,
    those stay at which a journal's stored content ends, and those without which there would be a
    hole in it: content goes from the beginning.

    Files are removed from here, with credentials of our environment, and cannot be brought back.
    Brokers, which learn of it within their `refresh_interval`, refuse reads of what is gone until
    then. Ends with 7 if some could not be removed.
    """
    selection.require()
    if older_than is not None and older_than <= 0:
        raise usage(
            "--older-than", "it would let everything go", "Give an age such as 720h, 30 days."
        )
    is_dry = dry_run or (not yes and _is_watched())
    if not is_dry:
        # Asked before stores are listed: where nobody can answer, it would be for nothing.
        confirm("Remove stored fragments", is_sure=yes)
    wish = Wish(
        older_than_s=older_than,
        min_keep=min_keep,
        include_overlapped=include_overlapped,
        max_delete=max_delete,
        concurrency=concurrency,
        file_root=file_root,
    )
    run(prune(selection, wish, broker, output, is_dry=is_dry))


def _is_watched() -> bool:
    """Tell whether a person sees what we say, and can repeat the command."""
    return sys.stdin.isatty() and sys.stderr.isatty()


async def prune(
    selection: Selection, wish: Wish, broker: Broker, output: Output | None, *, is_dry: bool
) -> None:
    """Remove what goes, or tell it; without an output, only in a summary on standard error.

    Raises:
        CommandError: Something could not be listed or removed.
    """
    from gazette_py.stores.registry import StoreRegistry

    async with broker.connect() as client:
        specs = [journal.spec for journal in (await selection.list(client)).journals]
        # All of them: files of one which was not selected may lie below one which was.
        names = {journal.spec.name for journal in (await client.list()).journals}
    registry = StoreRegistry(SYSTEM, file_root=wish.file_root)
    try:
        work = await _plan(registry, specs, frozenset(names), wish)
        count = sum(1 for _ in work.doomed)
        if wish.max_delete is not None and count > wish.max_delete:
            raise usage(
                f"--max-delete {wish.max_delete}",
                f"{count} fragments would go; none was removed",
                "Look at them by --dry-run, and allow for them if they are to go.",
            )
        if is_dry:
            _print_plan(work, wish, output)
        else:
            await _remove(registry, work, count, wish, output)
    finally:
        await registry.close()


async def _plan(
    registry: "StoreRegistry", specs: "list[JournalSpec]", names: frozenset[str], wish: Wish
) -> _Work:
    from gazette_py.lake.prune import plan_journal

    work = _Work()
    now = SYSTEM.now()
    ages_s: dict[str, float] = {}
    for spec in specs:
        retention_s = spec.fragment.retention_ns / _NS
        age_s = retention_s if wish.older_than_s is None else wish.older_than_s
        if spec.labels.value_of("content-type") == RECOVERY_LOG:
            work.recovery_logs += 1
            continue
        work.unlimited += retention_s <= 0
        if age_s > 0:
            ages_s[spec.name] = age_s
    by_name = {spec.name: spec for spec in specs}
    with counted("journals listed", len(ages_s)) as shown:

        async def plan(name: str) -> "JournalPlan":
            made = await plan_journal(
                registry,
                by_name[name],
                names.__contains__,
                stored_until=int(now - ages_s[name]),
                keep_bytes=wish.min_keep,
                include_covered=wish.include_overlapped,
            )
            shown.advance()
            return made

        planned = await for_each(ages_s, plan, calls_max=wish.concurrency)
    work.plans, work.errors = planned.results, planned.errors
    return work


def _print_items(output: Output | None, items: Iterable[dict[str, Any]]) -> None:
    if output is None:
        return
    with output.stream("PrunedFragmentList", _columns(output), name="path") as stream:
        for item in items:
            stream.add(item)


def _print_plan(work: _Work, wish: Wish, output: Output | None) -> None:
    from gazette_py.lake.prune import Tally

    doomed = Tally()
    for file in work.doomed:
        doomed.add(file)
    _print_items(output, (_item(file, "delete") for file in work.doomed))
    way = " Nothing was removed: --yes does it." if output else " Nothing was removed."
    click.echo(_summary(work, wish, "would go", doomed) + way, err=True)
    if work.errors:
        raise failed(work.errors, is_partial=bool(work.plans))


async def _remove(
    registry: "StoreRegistry", work: _Work, count: int, wish: Wish, output: Output | None
) -> None:
    from gazette_py.lake.prune import Tally, remove

    outcomes: list[tuple[StoredFile, StoreError | None]] = []
    try:
        with counted("fragments removed", count) as shown:
            removing = remove(registry, work.doomed, calls_max=wish.concurrency)
            async with aclosing(removing) as done:
                async for outcome in done:
                    outcomes.append(outcome)
                    shown.advance()
    finally:  # What was done is told also if not all could be.
        items = (
            _item(f, "failed" if error else "deleted", str(error or "")) for f, error in outcomes
        )
        _print_items(output, items)
    gone = Tally()
    for file, error in outcomes:
        if error is None:
            gone.add(file)
    click.echo(_summary(work, wish, "removed", gone), err=True)
    _raise_errors(work, [error for _, error in outcomes if error is not None], gone.files)


def _raise_errors(work: _Work, errors: "list[StoreError]", removed: int) -> None:
    """End with what failed: of each store once, since a store refuses all for one reason."""
    if not errors and not work.errors:
        return
    told = dict(work.errors)
    for error in errors:
        told.setdefault(error.store, error)
    if not errors:
        raise failed(told, is_partial=bool(work.plans))
    for each in told.values():
        click.echo(failure_of(each).as_text(), err=True)
    first = failure_of(errors[0])
    raise CommandError(
        Failure(
            code=ExitCode.PARTIAL if removed else first.code,
            status="PARTIAL" if removed else first.status,
            what="some fragments" if removed else "all fragments",
            detail=f"{len(errors)} could not be removed, such as said above",
            hints=("Run it again once the store allows for it: what is gone is no error.",),
        )
    )


def _summary(work: _Work, wish: Wish, verb: str, gone: "Tally") -> str:
    from gazette_py.lake.prune import Tally

    kept: dict[Verdict, Tally] = {}
    for plan in work.plans.values():
        for verdict, tally in plan.kept.items():
            total = kept.setdefault(verdict, Tally())
            total.files += tally.files
            total.stored_bytes += tally.stored_bytes
    files = sum(tally.files for tally in kept.values())
    size = sum(tally.stored_bytes for tally in kept.values())
    reasons = "; ".join(f"{kept[verdict].files} {_WHY_KEPT[verdict]}" for verdict in sorted(kept))
    stay = "1 stays" if files == 1 else f"{files} stay"
    lines = [f"{_count(gone.files, 'fragment')} {verb}, {format_size(gone.stored_bytes)}."]
    lines.append(f"{stay}, {format_size(size)}{f' ({reasons})' if reasons else ''}.")
    if work.unlimited:
        skipped = "looked at for --older-than" if wish.older_than_s else "skipped"
        lines.append(f"{_count(work.unlimited, 'journal')} without a retention {skipped}.")
    if others := sum(plan.skipped for plan in work.plans.values()):
        lines.append(f"{_count(others, 'object')} of other names left alone.")
    if work.recovery_logs:
        lines.append(f"{_count(work.recovery_logs, 'recovery log')} skipped.")
    return " ".join(lines)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _item(file: "StoredFile", action: str, error: str = "") -> dict[str, Any]:
    fragment = file.entry.fragment
    item = {
        "journal": fragment.journal,
        "begin": fragment.begin,
        "end": fragment.end,
        "length": fragment.length,
        "stored_bytes": file.stored_bytes,
        "persisted": format_time(fragment.mod_time),
        "mod_time": fragment.mod_time,
        "store": fragment.backing_store,
        "path": file.path,
        "action": action,
    }
    return item | {"error": error} if error else item


def _columns(output: Output) -> list[Column]:
    now = SYSTEM.now()

    def persisted(item: Mapping[str, Any]) -> object:
        # Relative times are for people: what a program reads shall not change by the second.
        if output.is_for_people:
            return f"{format_age(item['mod_time'], now)} ago"
        return item["persisted"]

    return [
        Column("ACTION", lambda item: item["action"]),
        Column("JOURNAL", lambda item: item["journal"]),
        Column("BEGIN", lambda item: item["begin"]),
        Column("END", lambda item: item["end"]),
        Column(
            "SIZE", lambda item: item["stored_bytes"], lambda value: format_size(int(str(value)))
        ),
        Column("PERSISTED", persisted),
        Column("STORE", lambda item: item["store"], is_wide=True),
        Column("PATH", lambda item: item["path"], is_wide=True),
        Column("ERROR", lambda item: item.get("error", ""), is_wide=True),
    ]
