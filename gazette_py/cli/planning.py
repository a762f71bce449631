"""Journals as files say they shall be, beside those there are. It reads both, and changes none."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from gazette_py.cli.changes import Current, Planned, Revisions, check_unique, plan
from gazette_py.cli.spec_files import read_files
from gazette_py.cli.tree import Entry, Node, ineffective_zeros, specs_of, validate_tree
from gazette_py.errors import ValidationError
from gazette_py.protocol.journal import validate_journal_without_meta
from gazette_py.protocol.journal_rules import validate_journal_spec
from gazette_py.protocol.labels import Label, LabelSelector, LabelSet

if TYPE_CHECKING:
    from gazette_py.client.client import Client

_PATHS_OF_BROKERS = ("v1/", "debug/")

_NAMED_MAX = 200
"""Journals to ask for by name; of more, listing all costs the brokers less."""


def read_entries(files: Sequence[str], *, recursive: bool) -> list[Entry]:
    """Return the journals of the files, checked by all rules which need no broker."""
    return checked_entries(read_files(files, recursive=recursive))


def checked_entries(trees: Iterable[Node]) -> list[Entry]:
    """Return the journals of trees, checked by all rules which need no broker.

    Raises:
        ValidationError: The path names the source and the journal.
    """
    entries: list[Entry] = []
    for tree in trees:
        validate_tree(tree)
        for warning in ineffective_zeros(tree):
            click.echo(f"warning: {warning}", err=True)
        entries += specs_of(tree)
    check_unique(entries)
    for entry in entries:
        _check(entry)
        if not entry.delete and entry.spec.name.startswith(_PATHS_OF_BROKERS):
            click.echo(
                f"warning: {entry.source}: journal {entry.spec.name} cannot be reached over HTTP,"
                " where brokers have other answers at such paths",
                err=True,
            )
    return entries


def _check(entry: Entry) -> None:
    try:
        if entry.delete:
            validate_journal_without_meta(entry.spec.name, "Name")
        else:
            validate_journal_spec(entry.spec, is_new=True)
    except ValidationError as exc:
        raise exc.within(f"{entry.source}: {entry.spec.name}") from exc
    if entry.revision < -1:
        raise ValidationError(entry.source, f"revision {entry.revision} is below -1, any")


def check_revisions_of_deletions(entries: Sequence[Entry]) -> None:
    """Refuse to delete a journal of which the input does not say at what revision.

    Raises:
        ValidationError: The path names the source and the journal.
    """
    for entry in entries:
        if entry.delete and not entry.revision:
            raise ValidationError(
                f"{entry.source}: {entry.spec.name}",
                "a deletion needs the journal's revision, or -1 for any; `journalctl apply` has"
                " --revision=upsert to use the present one",
            )


async def current_journals(client: "Client", names: Sequence[str]) -> dict[str, Current]:
    """Return those of the journals which exist, and perhaps others."""
    listed = await client.list(by_names(names))
    return {
        journal.spec.name: Current(spec=journal.spec, revision=journal.mod_revision)
        for journal in listed.journals
    }


async def plan_changes(
    client: "Client",
    entries: Sequence[Entry],
    revisions: Revisions,
    *,
    preserve_suspend: bool,
) -> list[Planned]:
    """Return what is to be done for each entry, as journals are now."""
    current = await current_journals(client, [entry.spec.name for entry in entries])
    return plan(entries, current, revisions, preserve_suspend=preserve_suspend)


def by_names(names: Sequence[str]) -> LabelSelector:
    """Return what selects the journals, or all where that costs brokers less."""
    if not 0 < len(names) <= _NAMED_MAX:
        return LabelSelector()
    return LabelSelector(LabelSet(tuple(sorted({Label("name", name) for name in names}))))
