"""Edits journals: list, show in an editor, apply; and once more with whatever was wrong.

Invariants:
    E1  Only what was changed in the text is sent, at the revisions of the text.
    E2  No failure to read or apply a text ends the command: the editor opens again with the text
        and the reason. A text without a change ends it, with the last failure.
    E3  If journals changed meanwhile, the text is merged with them before it is shown again.
    E4  A script as editor, which nobody watches, is not asked without end.
    E5  However it ends, but for success or for a text nobody has changed, the text is in a file.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import click

from gazette_py.cli.changes import Action, Current, Revisions
from gazette_py.cli.connection import Broker
from gazette_py.cli.edit_merge import merge
from gazette_py.cli.edit_text import has_warnings, with_header, without_header
from gazette_py.cli.editor import Draft
from gazette_py.cli.errors import CommandError, Failure, failure_of
from gazette_py.cli.planning import checked_entries, current_journals, plan_changes
from gazette_py.cli.selection import Selection
from gazette_py.cli.send_changes import check_conflicts, item_of, send, summary
from gazette_py.cli.tree import Entry, tree_of
from gazette_py.cli.verb import run
from gazette_py.errors import GazetteError

_CONFLICT = "ETCD_TRANSACTION_FAILED"

_UNWATCHED_TEXTS_MAX = 10
"""A script which changes what it left before would go on for ever."""


@dataclass(kw_only=True)
class Editing:
    """A run of `edit`: its options, what was shown, and what was done."""

    selection: Selection
    broker: Broker
    txn_size_max: int
    items: list[dict[str, Any]] = field(default_factory=list)
    _base: dict[str, Current] = field(default_factory=dict)

    def run(self) -> None:
        """Edit until a text was applied, or the user gives up.

        Raises:
            CommandError: Nothing matched, the editor failed, or the user gave up after a failure.
        """
        draft = Draft(os.environ)
        self._base = run(self._list())
        try:
            self._edit(draft)
        finally:
            draft.tell()

    async def _list(self) -> dict[str, Current]:
        async with self.broker.connect() as client:
            listed = (await self.selection.list(client)).journals
        return {j.spec.name: Current(spec=j.spec, revision=j.mod_revision) for j in listed}

    def _edit(self, draft: Draft) -> None:
        shown = _text_of([Entry(spec=j.spec, revision=j.revision) for j in self._base.values()])
        warnings: list[str] = []
        failure: Failure | None = None
        texts = 0
        while True:
            edited = draft.edit(with_header(shown, warnings))
            text = without_header(edited)
            is_accepted = bool(warnings) and not has_warnings(edited)
            if not text.strip() or (text == shown and not is_accepted):
                _cancel(draft, shown, failure, is_empty=not text.strip())
                return
            try:
                done = self._apply(text)
            except CommandError as exc:
                failure = exc.failure
                texts += 1
                if texts == _UNWATCHED_TEXTS_MAX and not sys.stdin.isatty():
                    raise
                shown, warnings = self._after(failure, text, draft)
            else:
                draft.discard()
                click.echo(summary(self.items) if done else "Nothing changes by this.", err=True)
                return

    def _apply(self, text: str) -> bool:
        """Apply a text, and tell whether there was anything to do.

        Raises:
            CommandError: Any failure.
        """
        try:
            return run(self._send(_entries_of(text)))
        except GazetteError as exc:
            raise CommandError(failure_of(exc)) from exc

    async def _send(self, entries: list[Entry]) -> bool:
        changed = [entry for entry in entries if _is_changed(entry, self._base)]
        async with self.broker.connect() as client:
            planned = await plan_changes(client, changed, Revisions.STRICT, preserve_suspend=False)
            check_conflicts(planned)
            async for change, revision in send(client, planned, self.txn_size_max):
                self.items.append(item_of(change, revision))
        return any(change.action is not Action.UNCHANGED for change in planned)

    def _after(self, failure: Failure, text: str, draft: Draft) -> tuple[str, list[str]]:
        """Return the text to show next, and the lines above it."""
        if failure.status != _CONFLICT:
            return text, failure.as_text().splitlines()
        mine = _entries_of(text)
        try:
            theirs = run(self._current(mine))
        except GazetteError as exc:
            return text, failure_of(exc).as_text().splitlines()
        merged = merge(self._base, mine, theirs)
        names = {entry.spec.name for entry in mine}
        others = {name: journal for name, journal in self._base.items() if name not in names}
        self._base = others | theirs
        before = draft.keep()
        return _text_of(merged.entries), [
            f"error: {failure.what} ({failure.status}): {failure.detail}",
            *merged.notes,
            f"Below is your text with these changes in it. As you left it, it is in {before}",
        ]

    async def _current(self, entries: list[Entry]) -> dict[str, Current]:
        names = [entry.spec.name for entry in entries]
        async with self.broker.connect() as client:
            found = await current_journals(client, names)
        return {name: found[name] for name in names if name in found}


def _entries_of(text: str) -> list[Entry]:
    from gazette_py.cli.tree_yaml import read_trees

    entries = checked_entries(read_trees(text, "text"))
    return sorted(entries, key=lambda entry: entry.spec.name)


def _text_of(entries: list[Entry]) -> str:
    from gazette_py.cli.tree_yaml import write_tree

    return write_tree(tree_of(entries))


def _is_changed(entry: Entry, base: Mapping[str, Current]) -> bool:
    shown = base.get(entry.spec.name)
    return entry.delete or shown != Current(spec=entry.spec, revision=entry.revision)


def _cancel(draft: Draft, shown: str, failure: Failure | None, *, is_empty: bool) -> None:
    """End without a change; after a failure with its code, and the text which had it."""
    if failure is None:
        draft.discard()
        click.echo("Cancelled; empty file." if is_empty else "Cancelled; nothing to do.", err=True)
        return
    draft.save(shown)
    click.echo(
        "Cancelled; empty file." if is_empty else "Cancelled; no changes to invalid file.", err=True
    )
    raise CommandError(failure)
