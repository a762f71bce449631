"""What applying does: by revision rule, for journals which exist, differ, or are deleted."""

from dataclasses import replace

import pytest

from gazette_py.cli.changes import (
    Action,
    Current,
    Planned,
    Revisions,
    batches,
    check_unique,
    deletions,
    plan,
)
from gazette_py.cli.errors import CommandError, ExitCode
from gazette_py.cli.send_changes import check_conflicts
from gazette_py.cli.tree import Entry
from gazette_py.errors import ValidationError
from gazette_py.protocol.enums import SuspendLevel
from gazette_py.protocol.journal import JournalSpec, Suspend

SPEC = JournalSpec(name="a/b", replication=1)
OTHER = replace(SPEC, replication=2)
NOW = {"a/b": Current(spec=SPEC, revision=7)}


def _plan(entry: Entry, current: dict[str, Current], revisions: Revisions) -> Planned:
    (planned,) = plan([entry], current, revisions)
    return planned


@pytest.mark.parametrize(
    ("entry", "current", "revisions", "action", "expected", "is_conflict"),
    [
        (Entry(spec=SPEC), {}, "strict", "created", 0, False),
        (Entry(spec=SPEC, revision=-1), {}, "strict", "created", -1, False),
        (Entry(spec=SPEC, revision=7), {}, "strict", "created", 7, True),
        (Entry(spec=SPEC), {}, "upsert", "created", 0, False),
        (Entry(spec=SPEC), {}, "ignore", "created", -1, False),
        (Entry(spec=OTHER), NOW, "strict", "updated", 0, True),
        (Entry(spec=OTHER, revision=7), NOW, "strict", "updated", 7, False),
        (Entry(spec=OTHER, revision=6), NOW, "strict", "updated", 6, True),
        (Entry(spec=OTHER, revision=-1), NOW, "strict", "updated", -1, False),
        (Entry(spec=OTHER, revision=6), NOW, "upsert", "updated", 7, False),
        (Entry(spec=OTHER, revision=6), NOW, "ignore", "updated", -1, False),
        (Entry(spec=SPEC), NOW, "strict", "unchanged", 0, False),
        (Entry(spec=SPEC, delete=True, revision=7), NOW, "strict", "deleted", 7, False),
        (Entry(spec=SPEC, delete=True, revision=6), NOW, "strict", "deleted", 6, True),
        (Entry(spec=SPEC, delete=True), NOW, "upsert", "deleted", 7, False),
        (Entry(spec=SPEC, delete=True), {}, "upsert", "unchanged", 0, False),
    ],
)
def test_plans(
    entry: Entry,
    current: dict[str, Current],
    revisions: str,
    action: str,
    expected: int,
    is_conflict: bool,
) -> None:
    planned = _plan(entry, current, Revisions(revisions))

    assert planned.action == action
    assert planned.expect_revision == expected
    assert planned.is_conflict is is_conflict


def test_suspension_is_kept_where_the_input_tells_none() -> None:
    suspend = Suspend(SuspendLevel.FULL, 100)
    current = {"a/b": Current(spec=replace(SPEC, suspend=suspend), revision=7)}

    assert _plan(Entry(spec=SPEC), current, Revisions.UPSERT).action is Action.UNCHANGED
    assert _plan(Entry(spec=OTHER), current, Revisions.UPSERT).spec.suspend == suspend


def test_suspension_is_dropped_if_asked_for() -> None:
    current = {"a/b": Current(spec=replace(SPEC, suspend=Suspend(SuspendLevel.FULL)), revision=7)}

    (planned,) = plan([Entry(spec=SPEC)], current, Revisions.UPSERT, preserve_suspend=False)

    assert planned.action is Action.UPDATED
    assert planned.spec.suspend == Suspend()


def test_a_journal_may_be_given_once() -> None:
    entries = [Entry(spec=SPEC, source="f:1"), Entry(spec=OTHER, source="g:2")]

    with pytest.raises(ValidationError) as caught:
        check_unique(entries)

    assert caught.value.path == "g:2"
    assert "at f:1" in caught.value.reason


def test_journals_which_are_not_kept_are_deleted_at_their_revision() -> None:
    current = [Current(spec=JournalSpec(name=name), revision=5) for name in ("a/b", "a/c")]

    (planned,) = deletions(current, ["a/b"])

    assert planned.spec.name == "a/c"
    assert planned.action is Action.DELETED
    assert planned.expect_revision == 5


def test_unchanged_journals_are_not_sent() -> None:
    entries = [Entry(spec=JournalSpec(name=name, replication=1)) for name in ("a/b", "c/d", "e/f")]
    planned = plan(entries, NOW, Revisions.UPSERT)

    sent = [[change.spec.name for change in batch] for batch in batches(planned, 1)]

    assert sent == [["c/d"], ["e/f"]]


@pytest.mark.parametrize(
    ("entry", "current", "detail"),
    [
        (Entry(spec=OTHER), NOW, "it exists already, at revision 7"),
        (Entry(spec=OTHER, revision=6), NOW, "revision 6 is expected, but it is at 7"),
        (Entry(spec=OTHER, revision=6), {}, "revision 6 is expected, but it does not exist"),
    ],
)
def test_conflicts_are_told_by_name_before_anything_is_sent(
    entry: Entry, current: dict[str, Current], detail: str
) -> None:
    with pytest.raises(CommandError) as caught:
        check_conflicts([_plan(entry, current, Revisions.STRICT)])

    failure = caught.value.failure
    assert failure.code is ExitCode.CONFLICT
    assert failure.what == "journal a/b"
    assert failure.detail == f"{detail}; nothing was changed"
