"""What became of journals, case by case."""

from dataclasses import dataclass

from gazette_py.core.journal_changes import Added, Changed, Removed, changes


@dataclass(frozen=True)
class Journal:
    create_revision: int
    mod_revision: int
    route: str = ""


def test_each_kind_of_change_by_name() -> None:
    before = {"b": Journal(1, 1), "c": Journal(2, 2), "d": Journal(3, 3)}
    after = {"a": Journal(5, 5), "b": Journal(1, 6), "d": Journal(3, 3)}
    assert list(changes(before, after)) == [
        Added(Journal(5, 5)),
        Changed(Journal(1, 6), Journal(1, 1)),
        Removed(Journal(2, 2)),
    ]


def test_a_journal_made_anew_is_another() -> None:
    assert list(changes({"a": Journal(1, 4)}, {"a": Journal(6, 6)})) == [
        Removed(Journal(1, 4)),
        Added(Journal(6, 6)),
    ]


def test_a_route_is_no_change() -> None:
    assert list(changes({"a": Journal(1, 1)}, {"a": Journal(1, 1, "elsewhere")})) == []
