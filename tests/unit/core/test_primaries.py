"""Who shall be primary, and how it gets to be."""

import pytest
from keyspaces import Maker, process

from gazette_py.core.allocator.plan import HANDOVERS_MAX, Checkpoint, Move, plan
from gazette_py.core.allocator.primaries import (
    BAND_PARTS,
    Primaries,
    choose_primaries,
    current_primaries,
)
from gazette_py.core.allocator.solve import current_holders, solve
from gazette_py.core.allocator.state import observe
from gazette_py.core.keyspace import KeySpace

A, B, C = "a/broker-1", "b/broker-1", "c/broker-1"


def chosen(keyspace: KeySpace) -> Primaries:
    state = observe(keyspace, 9)
    current = current_holders(state, keyspace)
    now = current_primaries(state, keyspace)
    return choose_primaries(state, current, now, solve(state, current))


def planned(keyspace: KeySpace) -> list[Checkpoint]:
    state = observe(keyspace, 9)
    desired = solve(state, current_holders(state, keyspace))
    return list(plan(state, keyspace, desired, chosen(keyspace)))


def held(count: int, *members: str, limit: int = 1000) -> Maker:
    """Return members of which the first is primary of all items, which all hold."""
    maker = Maker()
    for member in members:
        maker.member(member, limit)
    for number in range(count):
        maker.item(f"item-{number:03}", len(members))
        maker.assign_all(f"item-{number:03}", *members)
    return maker


def counts(primaries: Primaries) -> dict[str, int]:
    found = [str(member) for member in primaries.values()]
    return {member: found.count(member) for member in sorted(set(found))}


def test_a_primary_changes_places_with_its_successor_in_one_checkpoint() -> None:
    ((first, second),) = planned(held(2, A, B).keyspace())
    assert isinstance(first, Move)
    assert isinstance(second, Move)
    assert (first.assignment.member, first.slot) == (process(A), 1)
    assert (second.assignment.member, second.slot) == (process(B), 0)
    assert first.assignment.journal == second.assignment.journal == "item-000"


def test_one_more_or_less_is_let_be() -> None:
    assert planned(held(1, A, B).keyspace()) == []


def test_only_so_many_hand_over_at_once() -> None:
    """PL6: those which are not consistent yet count."""
    maker = held(40, A, B)
    assert len(planned(maker.keyspace())) == HANDOVERS_MAX
    maker.item("on-the-way", 2)
    maker.assign_all("on-the-way", B, A, consistent=False)
    maker.item("on-its-way", 2)
    handovers = [c for c in planned(maker.keyspace()) if isinstance(c[0], Move)]
    assert len(handovers) == HANDOVERS_MAX - 2


def test_by_way_of_others() -> None:
    """Who has too many shares no item with whom has too few."""
    maker = Maker()
    for member in (A, B, C):
        maker.member(member)
    for name, members in (("ab-1", (A, B)), ("ab-2", (A, B)), ("bc-1", (B, C))):
        maker.item(name, 2)
        maker.assign_all(name, *members)
    keyspace = maker.keyspace()
    state = observe(keyspace, 9)
    current = current_holders(state, keyspace)
    desired = {name: frozenset(holders) for name, holders in current.items()}
    primaries = choose_primaries(state, current, current_primaries(state, keyspace), desired)
    assert counts(primaries) == {A: 1, B: 1, C: 1}


def test_an_item_whose_primary_leaves_is_led_by_one_who_holds_it_already() -> None:
    maker = Maker()
    for member in (A, B):
        maker.member(member)
    maker.member(C, 0)
    maker.item("item", 2)
    maker.assign_all("item", C, B)
    assert chosen(maker.keyspace()) == {"item": process(B)}


@pytest.mark.parametrize(
    ("first", "second", "handed_over"), [(105, 95, 0), (106, 94, 1), (94, 106, 1), (200, 0, 95)]
)
def test_many_primaries_have_a_band(first: int, second: int, handed_over: int) -> None:
    """PR3: what is within a twentieth of a member's part is even enough."""
    assert BAND_PARTS == 20
    maker = held(first, A, B)
    for number in range(second):
        maker.item(f"other-{number:03}", 2)
        maker.assign_all(f"other-{number:03}", B, A)
    keyspace = maker.keyspace()
    before = current_primaries(observe(keyspace, 9), keyspace)
    after = chosen(keyspace)
    assert sum(after[name] != before[name] for name in before) == handed_over


def test_what_nobody_shall_hold_has_no_primary() -> None:
    maker = Maker()
    maker.member(A, 0)
    maker.item("item", 1)
    assert chosen(maker.keyspace()) == {}
    assert planned(maker.keyspace()) == []


def test_new_items_are_led_evenly_within_the_band_too() -> None:
    maker = Maker()
    for member in (A, B):
        maker.member(member, 1000)
    for number in range(400):
        maker.item(f"item-{number:03}", 2)
    assert counts(chosen(maker.keyspace())) == {A: 200, B: 200}
