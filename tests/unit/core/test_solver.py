"""A solver which keeps its work: what it takes up, and when it begins anew (SO4)."""

import pytest
from keyspaces import ROOT, Maker, process

from gazette_py.core.allocator import cycles
from gazette_py.core.allocator import solve as solving
from gazette_py.core.allocator.solve import Current, Desired, Solver
from gazette_py.core.allocator.state import AllocState, observe
from gazette_py.protocol import keys
from gazette_py.protocol.route import ProcessID

A1, A2, B1, C1 = "a/broker-1", "a/broker-2", "b/broker-1", "c/broker-1"


class Counted(solving._Work):
    begun = 0

    def __init__(self, state: AllocState, current: Current) -> None:
        Counted.begun += 1
        super().__init__(state, current)


class Bench:
    """A solver, what it found last, and who holds what."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(solving, "_Work", Counted)
        self.maker, self.solver = Maker(), Solver()
        self.held: dict[str, tuple[ProcessID, ...]] = {}
        self.desired: Desired = {}
        for member in (A1, A2, B1, C1):
            self.maker.member(member, 10_000)
        for number in range(32):
            self.maker.item(f"item-{number:02}", 2)

    def begins(self) -> bool:
        """Solve, and tell whether that began anew."""
        before = Counted.begun
        state = observe(self.maker.keyspace(), 9)
        current = {item.name: self.held.get(item.name, ()) for item, _ in state.items}
        self.desired = self.solver.solve(state, current)
        return Counted.begun > before

    def assign_all(self) -> None:
        self.held = {name: tuple(sorted(holders)) for name, holders in self.desired.items()}

    def delete(self, name: str) -> None:
        self.maker.delete(keys.item_key(ROOT, name).encode())


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    made = Bench(monkeypatch)
    assert made.begins()
    made.assign_all()
    assert made.begins()  # Who holds them has changed, of all.
    return made


def test_what_did_not_change_is_found_again(bench: Bench) -> None:
    before = bench.desired
    assert not bench.begins()
    assert bench.desired == before
    assert bench.desired is not before  # It is the caller's.


def test_an_item_comes_changes_and_goes(bench: Bench) -> None:
    others = dict(bench.desired)
    bench.maker.item("more-00", 3)
    assert not bench.begins()
    assert len(bench.desired["more-00"]) == 3
    bench.maker.item("more-00", 1)
    assert not bench.begins()
    assert len(bench.desired["more-00"]) == 1
    bench.delete("more-00")
    assert not bench.begins()
    assert bench.desired == others
    bench.maker.item("more-00", 2)
    assert not bench.begins()
    assert len(bench.desired.pop("more-00")) == 2
    assert bench.desired == others


def test_an_assignment_by_others_is_taken_up(bench: Bench) -> None:
    """Both replicas are in one zone: one moves, and the other stays."""
    bench.held["item-00"] = (process(A1), process(A2))
    assert not bench.begins()
    assert len({member.zone for member in bench.desired["item-00"]}) == 2
    assert bench.desired["item-00"] & set(bench.held["item-00"])


def test_it_begins_anew_for_many_items_and_for_members(bench: Bench) -> None:
    for number in range(8):
        bench.maker.item(f"item-{number:02}", 3)
    assert bench.begins()
    bench.maker.member("c/broker-9")
    assert bench.begins()


def test_it_begins_anew_when_its_numbers_are_used_up(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A journal which is made anew takes a number each time."""
    monkeypatch.setattr(cycles, "SPARE", 1 - 32)
    bench.maker.member("c/broker-9")
    assert bench.begins()  # With room for one item more.
    bench.maker.item("more-00", 1)
    assert not bench.begins()
    bench.delete("more-00")
    assert not bench.begins()
    bench.maker.item("more-01", 1)
    assert bench.begins()


def test_it_begins_anew_after_it_failed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: object) -> None:
        raise MemoryError

    with monkeypatch.context() as broken:
        broken.setattr(Counted, "finish", fail)
        with pytest.raises(MemoryError):
            bench.begins()
    assert bench.begins()
