"""Changes between snapshots, of journals which are made, changed, deleted and made anew."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from gazette_py.core.journal_changes import Added, Changed, Removed, changes


@dataclass(frozen=True)
class Journal:
    create_revision: int
    mod_revision: int
    route: int = 0  # None of the rules looks at it.


NAMES = st.sampled_from("abcd")
STEPS = st.lists(st.tuples(NAMES, st.sampled_from(["make", "change", "delete", "move"])))


def history(steps: list[tuple[str, str]]) -> list[dict[str, Journal]]:
    """Return the journals after each step; one which cannot be done changes nothing."""
    snapshots: list[dict[str, Journal]] = [{}]
    for revision, (name, what) in enumerate(steps, 1):
        now = dict(snapshots[-1])
        match what, now.get(name):
            case "make", None:
                now[name] = Journal(revision, revision)
            case "change", Journal() as journal:
                now[name] = Journal(journal.create_revision, revision, journal.route)
            case "move", Journal() as journal:
                now[name] = Journal(journal.create_revision, journal.mod_revision, revision)
            case "delete", Journal():
                del now[name]
        snapshots.append(now)
    return snapshots


@given(STEPS, st.data())
def test_whoever_skips_snapshots_ends_with_the_same_journals(
    steps: list[tuple[str, str]], data: st.DataObject
) -> None:
    snapshots = history(steps)
    seen = data.draw(st.lists(st.sampled_from(range(len(snapshots))), unique=True).map(sorted))
    told: dict[str, Journal] = {}
    before: dict[str, Journal] = {}
    for at in seen:
        for change in changes(before, snapshots[at]):
            match change:
                case Added(journal):
                    name = next(n for n, j in snapshots[at].items() if j is journal)
                    assert name not in told  # JC2: the old one was removed first.
                    told[name] = journal
                case Changed(journal, old):
                    name = next(n for n, j in snapshots[at].items() if j is journal)
                    assert told[name].mod_revision == old.mod_revision < journal.mod_revision
                    assert told[name].create_revision == journal.create_revision
                    told[name] = journal
                case Removed(journal):
                    name = next(n for n, j in before.items() if j is journal)
                    assert told.pop(name).create_revision == journal.create_revision
        before = snapshots[at]

        def revisions(of: dict[str, Journal]) -> dict[str, tuple[int, int]]:
            return {name: (j.create_revision, j.mod_revision) for name, j in of.items()}

        assert revisions(told) == revisions(before)  # JC1


@given(STEPS)
def test_nothing_is_told_twice(steps: list[tuple[str, str]]) -> None:
    for before, after in zip(history(steps), history(steps)[1:], strict=False):
        told = list(changes(before, after))
        assert len(told) <= 1
        has_moved_only = {n: (j.create_revision, j.mod_revision) for n, j in before.items()} == {
            n: (j.create_revision, j.mod_revision) for n, j in after.items()
        }
        assert bool(told) != has_moved_only  # JC3
