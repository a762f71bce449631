"""What applying a tree does to the journals there are. Pure.

Invariants:
    C1  A journal which is as it should be is not sent.
    C2  Each change expects a revision, unless the input says that any will do (-1).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from gazette_py.cli.tree import Entry
from gazette_py.errors import ValidationError
from gazette_py.protocol.journal import JournalSpec, Suspend

ANY_REVISION = -1


class Action(StrEnum):
    """What happens to a journal."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"
    UNCHANGED = "unchanged"


class Revisions(StrEnum):
    """What to make of the revisions in the input."""

    STRICT = "strict"  # As written; absent: the journal must not exist.
    IGNORE = "ignore"  # Whatever the journal's is.
    UPSERT = "upsert"  # The one listed now, for input without revisions.


@dataclass(frozen=True, slots=True, kw_only=True)
class Current:
    """A journal as listed."""

    spec: JournalSpec
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What shall happen to a journal."""

    action: Action
    spec: JournalSpec
    expect_revision: int
    current_revision: int  # 0: it does not exist.
    current: JournalSpec | None = None  # What there is now.

    @property
    def is_conflict(self) -> bool:
        """Tell whether the brokers would refuse it as things are."""
        return self.action is not Action.UNCHANGED and self.expect_revision not in (
            ANY_REVISION,
            self.current_revision,
        )


def check_unique(entries: Iterable[Entry]) -> None:
    """Refuse journals which the input has twice.

    Raises:
        ValidationError: The path names the second place.
    """
    seen: dict[str, Entry] = {}
    for entry in entries:
        first = seen.setdefault(entry.spec.name, entry)
        if first is not entry:
            raise ValidationError(
                entry.source, f"journal {entry.spec.name} was given before, at {first.source}"
            )


def plan(
    entries: Sequence[Entry],
    current: Mapping[str, Current],
    revisions: Revisions,
    *,
    preserve_suspend: bool = True,
) -> list[Planned]:
    """Return what to do for each entry.

    Args:
        entries: Journals as they should be.
        current: Those of them, at least, which exist.
        revisions: What to make of the entries' revisions.
        preserve_suspend: Keep the suspension of a journal where the input does not tell one: the
            offset at which it goes on would be lost.
    """
    return [
        _planned(entry, current.get(entry.spec.name), revisions, preserve_suspend=preserve_suspend)
        for entry in entries
    ]


def _planned(
    entry: Entry, current: Current | None, revisions: Revisions, *, preserve_suspend: bool
) -> Planned:
    spec, now = entry.spec, current.revision if current else 0
    if current and preserve_suspend and spec.suspend == Suspend():
        spec = replace(spec, suspend=current.spec.suspend)
    expected = {
        Revisions.STRICT: entry.revision,
        Revisions.IGNORE: ANY_REVISION,
        Revisions.UPSERT: now,
    }[revisions]
    if entry.delete:
        action = Action.DELETED if current else Action.UNCHANGED
    elif current is None:
        action = Action.CREATED
    else:
        action = Action.UNCHANGED if spec == current.spec else Action.UPDATED
    return Planned(
        action=action,
        spec=spec,
        expect_revision=expected,
        current_revision=now,
        current=current.spec if current else None,
    )


def deletions(current: Iterable[Current], kept: Iterable[str]) -> list[Planned]:
    """Return the deletion of each journal which is not kept."""
    names = set(kept)
    return [
        Planned(
            action=Action.DELETED,
            spec=journal.spec,
            expect_revision=journal.revision,
            current_revision=journal.revision,
            current=journal.spec,
        )
        for journal in current
        if journal.spec.name not in names
    ]


def batches(changes: Sequence[Planned], size_max: int) -> list[Sequence[Planned]]:
    """Return what is to be sent, cut into transactions."""
    sent = [change for change in changes if change.action is not Action.UNCHANGED]
    return [sent[i : i + size_max] for i in range(0, len(sent), size_max)]
