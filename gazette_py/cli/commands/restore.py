"""`journalctl restore`: create the journals of a backup which do not exist.

Journals which do exist are left as they are, or set back to their specs if that is wanted; none is
deleted. Suspensions of journals which exist are never touched: they know since when offsets were
used, better than any backup.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import click

from gazette_py.cli.changes import Action, Current, Planned
from gazette_py.cli.confirm import confirm
from gazette_py.cli.connection import Broker, changing_broker_options
from gazette_py.cli.errors import CommandError, ExitCode, Failure, usage
from gazette_py.cli.options import output_options
from gazette_py.cli.planning import checked_entries, current_journals
from gazette_py.cli.render import Output
from gazette_py.cli.send_changes import COLUMNS, TXN_SIZE_DEFAULT, item_of, send
from gazette_py.cli.spec_files import read_texts, trees_of
from gazette_py.cli.tree import Entry
from gazette_py.cli.verb import Verb, run
from gazette_py.protocol.journal import JournalSpec

_DIFFERS = "differs"
"""What happens to a journal which exists, is not as in the backup, and is left so."""


@click.command(
    "restore",
    cls=Verb,
    epilog="""
    journalctl restore backup.yaml --dry-run
    journalctl restore backup.yaml --yes
    journalctl restore backup.yaml --replace-store file:/// file:///copy/ --overwrite --dry-run
    """,
)
@click.argument("files", nargs=-1, required=True, metavar="FILE|DIR|-...")
@click.option("-R", "--recursive", is_flag=True, help="Also files deeper in directories.")
@click.option(
    "--overwrite", is_flag=True, help="Have journals which exist be as in the backup, too."
)
@click.option(
    "--resume-at-heads",
    is_flag=True,
    help="Have no journal go on below the write head which the backup knows, so that no offset is"
    " used again; what no store holds below it is a gap.",
)
@click.option(
    "--replace-store",
    "replacements",
    nargs=2,
    multiple=True,
    metavar="OLD NEW",
    help="Write the URL of another store, such as a copy of the first.",
)
@click.option(
    "--max-txn-size",
    type=click.IntRange(min=1),
    default=TXN_SIZE_DEFAULT,
    show_default=True,
    help="Changes to make in one transaction of etcd.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be done.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@output_options()
@changing_broker_options
def command(
    files: tuple[str, ...],
    recursive: bool,
    overwrite: bool,
    resume_at_heads: bool,
    replacements: tuple[tuple[str, str], ...],
    max_txn_size: int,
    dry_run: bool,
    yes: bool,
    output: Output,
    broker: Broker,
) -> None:
    """Create the journals of a backup, or of files as `journalctl list -o yaml` prints them.

    Of brokers whose etcd was lost. Journals begin at the end of what their stores hold: appends are
    refused until `journalctl reset-head`. Suspended ones go on at the offset in the backup.

    Journals which exist are left as they are: if one differs from the backup, it ends with 7. None
    is deleted, and nothing sets registers.
    """
    from gazette_py.cli.backup_file import read_heads

    texts = read_texts(files, recursive=recursive)
    entries = [_restorable(entry) for entry in checked_entries(trees_of(texts))]
    entries = replace_stores(entries, replacements)
    heads: dict[str, int] = {}
    if resume_at_heads:
        for text, source in texts:
            heads |= read_heads(text, source)
        if not heads:
            raise usage("--resume-at-heads", "the files know of no write heads")
    items: list[dict[str, Any]] = []
    work = _restore(
        *(broker, entries, heads, items, max_txn_size),
        overwrites=overwrite,
        is_dry=dry_run,
        is_sure=yes,
    )
    try:
        run(work)
    except BaseException:
        if items:  # What was done is told also if not all could be.
            output.print_items("RestoreList", items, COLUMNS)
        raise
    output.print_items("RestoreList", items, COLUMNS)
    _conclude(items, is_dry=dry_run)


def _restorable(entry: Entry) -> Entry:
    if entry.delete:
        raise usage(entry.source, "a backup deletes nothing", "`journalctl apply` does.")
    return entry


def replace_stores(
    entries: Sequence[Entry], replacements: Iterable[tuple[str, str]]
) -> list[Entry]:
    """Return the journals with other URLs of stores. Pure.

    Raises:
        CommandError: No journal has a store which shall be replaced.
    """
    urls = dict(replacements)
    known = {url for entry in entries for url in entry.spec.fragment.stores}
    if missing := sorted(urls.keys() - known):
        stores = ", ".join(sorted(known)) or "no stores"
        raise usage("--replace-store", f"no journal is in {missing[0]}", f"There are {stores}.")
    changed = []
    for entry in entries:
        fragment = entry.spec.fragment
        fragment = replace(fragment, stores=tuple(urls.get(url, url) for url in fragment.stores))
        spec = replace(entry.spec, fragment=fragment)
        changed.append(replace(entry, spec=spec))
    return changed


def plan_restore(
    entries: Sequence[Entry],
    current: Mapping[str, Current],
    heads: Mapping[str, int],
    *,
    overwrites: bool,
) -> tuple[list[Planned], list[Planned]]:
    """Return what to do, and journals which differ and are left as they are. Pure.

    Args:
        entries: Journals of the backup.
        current: Those of them, at least, which exist.
        heads: Below which new journals shall not go on.
        overwrites: Change those which differ.
    """
    planned, differing = [], []
    for entry in entries:
        now = current.get(entry.spec.name)
        if now is None:
            planned.append(_planned(Action.CREATED, _from(entry.spec, heads), 0))
            continue
        spec = replace(entry.spec, suspend=now.spec.suspend)
        if spec == now.spec:
            planned.append(_planned(Action.UNCHANGED, spec, now.revision))
        elif overwrites:
            planned.append(_planned(Action.UPDATED, spec, now.revision))
        else:
            differing.append(_planned(Action.UNCHANGED, now.spec, now.revision))
    return planned, differing


def _from(spec: JournalSpec, heads: Mapping[str, int]) -> JournalSpec:
    offset = max(spec.suspend.offset, heads.get(spec.name, 0))
    return replace(spec, suspend=replace(spec.suspend, offset=offset))


def _planned(action: Action, spec: JournalSpec, revision: int) -> Planned:
    return Planned(action=action, spec=spec, expect_revision=revision, current_revision=revision)


async def _restore(
    broker: Broker,
    entries: Sequence[Entry],
    heads: Mapping[str, int],
    items: list[dict[str, Any]],
    txn_size_max: int,
    *,
    overwrites: bool,
    is_dry: bool,
    is_sure: bool,
) -> None:
    async with broker.connect() as client:
        current = await current_journals(client, [entry.spec.name for entry in entries])
        planned, differing = plan_restore(entries, current, heads, overwrites=overwrites)
        changes = [change for change in planned if change.action is not Action.UNCHANGED]
        if changes and not is_dry:
            confirm(_question(changes), is_sure=is_sure)
        items += [
            item_of(change, change.current_revision) | {"action": _DIFFERS} for change in differing
        ]
        items += [
            item_of(change, change.current_revision)
            for change in planned
            if is_dry or change.action is Action.UNCHANGED
        ]
        if not is_dry:
            async for change, revision in send(client, changes, txn_size_max):
                items.append(item_of(change, revision))


def _question(changes: Sequence[Planned]) -> str:
    counts = {
        "create": sum(change.action is Action.CREATED for change in changes),
        "overwrite": sum(change.action is Action.UPDATED for change in changes),
    }
    told = " and ".join(f"{verb} {count}" for verb, count in counts.items() if count)
    return f"{told.capitalize()} journals, such as {changes[0].spec.name}?"


def _conclude(items: Sequence[Mapping[str, Any]], *, is_dry: bool) -> None:
    """Tell how many, and end with the code of a partial success if not all is as in the backup."""
    counts: dict[str, int] = {}
    for item in items:
        counts[item["action"]] = counts.get(item["action"], 0) + 1
    told = ", ".join(f"{count} {action}" for action, count in counts.items())
    click.echo(f"Dry run, nothing was sent: {told}." if is_dry else f"Restored: {told}.", err=True)
    if counts.get(_DIFFERS):
        raise CommandError(
            Failure(
                code=ExitCode.PARTIAL,
                status="PARTIAL",
                what="some journals",
                detail=f"{counts[_DIFFERS]} exist, and are not as in the backup",
                hints=("`journalctl diff -f` shows how they differ; --overwrite changes them.",),
            )
        )
    if counts.get(Action.CREATED) and not is_dry:
        click.echo(
            "Where stores hold content, appends go on after `journalctl reset-head`.", err=True
        )
