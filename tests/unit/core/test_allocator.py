"""Who shall serve what, and the steps from here to there."""

from collections.abc import Callable

import pytest
from keyspaces import Maker, process

from gazette_py.core.allocator.cycles import cancel_cycles
from gazette_py.core.allocator.placement import Placement, Problem
from gazette_py.core.allocator.plan import Add, Checkpoint, Move, Remove, RemoveDead, plan
from gazette_py.core.allocator.primaries import choose_primaries, current_primaries
from gazette_py.core.allocator.solve import Desired, current_holders, solve
from gazette_py.core.allocator.state import observe, shed_capacities
from gazette_py.core.keyspace import KeySpace
from gazette_py.protocol.enums import SuspendLevel
from gazette_py.protocol.journal import Suspend
from gazette_py.protocol.route import ProcessID

A1, A2, B1, B2, C1 = "a/broker-1", "a/broker-2", "b/broker-1", "b/broker-2", "c/broker-1"


def ids(*texts: str) -> frozenset[ProcessID]:
    return frozenset(process(text) for text in texts)


def solved(keyspace: KeySpace) -> Desired:
    state = observe(keyspace, 9)
    return solve(state, current_holders(state, keyspace))


def planned(keyspace: KeySpace, desired: Desired | None = None) -> list[Checkpoint]:
    state = observe(keyspace, 9)
    current = current_holders(state, keyspace)
    if desired is None:
        desired = solve(state, current)
    primaries = choose_primaries(state, current, current_primaries(state, keyspace), desired)
    return list(plan(state, keyspace, desired, primaries))


# State.


def test_it_is_solved_anew_for_other_members_or_items_but_not_for_other_assignments() -> None:
    def fingerprint(change: Callable[[Maker], object]) -> tuple[object, ...]:
        maker = Maker()
        for member in (A1, A2, B1):
            maker.member(member)
        maker.item("aaaa", 2)
        change(maker)
        return observe(maker.keyspace(), 9).fingerprint()

    before = fingerprint(lambda maker: None)
    assert fingerprint(lambda maker: maker.assign_all("aaaa", A1)) == before
    changes: list[Callable[[Maker], object]] = [
        lambda maker: maker.member(C1),
        lambda maker: maker.member(B1, 11),
        lambda maker: maker.member(B1, exiting=True),
        lambda maker: maker.item("bbbb"),
        lambda maker: maker.item("aaaa", 1),
        lambda maker: maker.item("aaaa", 2, suspend=Suspend(SuspendLevel.PARTIAL)),
    ]
    for change in changes:
        assert fingerprint(change) != before


def test_capacity_is_what_members_can_take_in_the_long_run() -> None:
    maker = Maker()
    maker.member(A1, 5)
    maker.member(B1, 3, exiting=True)
    maker.item("aaaa", 1)
    assert observe(maker.keyspace(), 9).capacity == 5


def test_the_leader_is_the_oldest_member() -> None:
    maker = Maker()
    maker.member(B1)
    maker.member(A1)
    leader = observe(maker.keyspace(), 9).leader
    assert leader is not None
    assert leader.broker.id == process(B1)
    assert observe(Maker().keyspace(), 9).leader is None


def test_replication_is_capped_and_suspended_items_want_less() -> None:
    maker = Maker()
    maker.item("aaaa", 5)
    maker.item("bbbb", 5, suspend=Suspend(SuspendLevel.PARTIAL))
    maker.item("cccc", 5, suspend=Suspend(SuspendLevel.FULL))
    state = observe(maker.keyspace(), 3)
    assert [replication for _, replication in state.items] == [3, 1, 0]
    assert state.slots == 4


@pytest.mark.parametrize(
    ("limits", "replications", "sheds"),
    [
        ("5x 5x 5 5 5", [1, 1], [5, 5, 0, 0, 0]),
        ("3x 3x 3x 3", [1] * 5, [3, 3, 1, 0]),
        ("2x 2", [1] * 5, [0, 0]),
        ("10x 10x 10 10", [3, 2, 1], [10, 0, 0, 0]),
        ("5 5", [1], [0, 0]),
        ("", [], []),
    ],
)
def test_what_exiting_members_give_up(
    limits: str, replications: list[int], sheds: list[int]
) -> None:
    maker = Maker()
    for number, limit in enumerate(limits.split()):
        maker.member(f"z/broker-{number}", int(limit.strip("x")), exiting=limit.endswith("x"))
    members = list(maker.keyspace().members.values())
    found = shed_capacities(members, sum(replications), max(replications, default=0))
    assert [found.get(member.broker.id, 0) for member in members] == sheds


# Solving.


def test_a_new_item_goes_to_distinct_zones_and_distinct_members() -> None:
    maker = Maker()
    for member in (A1, A2, B1, C1):
        maker.member(member)
    for name in ("aaaa", "bbbb", "cccc", "dddd"):
        maker.item(name)
    desired = solved(maker.keyspace())
    for holders in desired.values():
        assert len(holders) == 3
        assert len({member.zone for member in holders}) >= 2
    loads = [sum(process(m) in h for h in desired.values()) for m in (A1, A2, B1, C1)]
    assert max(loads) <= 3  # The fair share of 12 slots.


def test_what_holds_is_kept() -> None:
    maker = Maker()
    for member in (A1, A2, B1, C1):
        maker.member(member)
    maker.item("aaaa")
    maker.assign_all("aaaa", A2, B1, C1)
    assert solved(maker.keyspace())["aaaa"] == ids(A2, B1, C1)


def test_a_lost_member_is_replaced_and_the_rest_stays() -> None:
    maker = Maker()
    for member in (A1, A2, B1):
        maker.member(member)
    maker.item("aaaa")
    maker.assign_all("aaaa", A2, B1, C1)  # C1 is no member any more.
    assert solved(maker.keyspace())["aaaa"] == ids(A1, A2, B1)


def test_limits_are_kept_and_as_much_as_possible_is_placed() -> None:
    maker = Maker()
    maker.member(A1, 1)
    maker.member(B1, 2)
    for name in ("aaaa", "bbbb", "cccc"):
        maker.item(name, 2)
    desired = solved(maker.keyspace())
    assert sum(len(holders) for holders in desired.values()) == 3
    assert sum(process(A1) in holders for holders in desired.values()) == 1


def test_a_full_member_hands_an_item_on_to_make_room() -> None:
    maker = Maker()
    maker.member(A1, 1)
    maker.member(B1, 1)
    maker.item("aaaa", 1)
    maker.item("bbbb", 2)
    maker.assign_all("aaaa", A1)
    maker.member(C1, 1)
    desired = solved(maker.keyspace())
    assert len(desired["aaaa"]) == 1
    assert len(desired["bbbb"]) == 2


def test_two_zones_come_before_fewest_moves() -> None:
    maker = Maker()
    for member in (A1, A2, B1):
        maker.member(member)
    maker.item("aaaa", 2)
    maker.assign_all("aaaa", A1, A2)
    holders = solved(maker.keyspace())["aaaa"]
    assert {member.zone for member in holders} == {"a", "b"}


def test_one_zone_is_enough_where_there_is_no_other() -> None:
    maker = Maker()
    maker.member(A1)
    maker.member(A2)
    maker.member(B1, 0)
    maker.item("aaaa", 2)
    assert solved(maker.keyspace())["aaaa"] == ids(A1, A2)


def test_a_zone_without_room_is_no_reason_to_lose_a_replica() -> None:
    maker = Maker()
    maker.member(A1, 9)
    maker.member(A2, 9)
    maker.member(B1, 1)
    maker.item("aaaa", 1)
    maker.assign_all("aaaa", B1)
    maker.item("bbbb", 2)
    maker.assign_all("bbbb", A1, A2)
    desired = solved(maker.keyspace())
    assert sum(len(holders) for holders in desired.values()) == 3


def test_an_exiting_member_is_emptied() -> None:
    maker = Maker()
    maker.member(A1, exiting=True)
    for member in (A2, B1, C1):
        maker.member(member)
    maker.item("aaaa")
    maker.assign_all("aaaa", A1, B1, C1)
    assert solved(maker.keyspace())["aaaa"] == ids(A2, B1, C1)


def test_a_new_member_takes_its_share() -> None:
    maker = Maker()
    maker.member(A1, 100)
    maker.member(B1, 100)
    for number in range(10):
        maker.item(f"item-{number}", 1)
        maker.assign_all(f"item-{number}", A1)
    desired = solved(maker.keyspace())
    assert sum(process(B1) in holders for holders in desired.values()) == 5


def test_a_limit_lowered_below_what_is_held_without_room_elsewhere() -> None:
    maker = Maker()
    maker.member(A1, 1)
    for name in ("aaaa", "bbbb"):
        maker.item(name, 1)
        maker.assign_all(name, A1)
    assert sum(len(holders) for holders in solved(maker.keyspace()).values()) == 1


def test_of_too_many_replicas_those_of_several_zones_are_kept() -> None:
    maker = Maker()
    for member in (A1, A2, B1):
        maker.member(member)
    maker.item("aaaa", 2)
    maker.assign_all("aaaa", A1, A2, B1)
    holders = solved(maker.keyspace())["aaaa"]
    assert {member.zone for member in holders} == {"a", "b"}


def test_a_replica_is_given_up_if_another_item_makes_more_of_its_place() -> None:
    """One of four is not placed either way, but neither item is in one zone."""
    maker = Maker()
    for member in (A1, A2, B1):
        maker.member(member, 1)
    maker.item("aaaa", 2)
    maker.item("bbbb", 2)
    maker.assign_all("aaaa", A1, A2)
    maker.assign_all("bbbb", B1)
    desired = solved(maker.keyspace())
    assert desired["aaaa"] in (ids(A1), ids(A2))
    assert desired["aaaa"] | desired["bbbb"] == ids(A1, A2, B1)


def test_a_cycle_of_steps_which_meets_itself_in_an_item_is_parted() -> None:
    """The item's two steps may each count on the same place in a zone: they go one at a time."""
    placement = Placement(
        Problem(
            zones=["", "b", "a", "a", "b"],
            limits=[0, 1, 4, 1, 1],
            fair=[0, 1, 4, 1, 1],
            wanted=[1, 3, 2],
            current=[[], [1, 3, 2, 4], [3]],
        )
    )
    placement.start()
    cancel_cycles(placement)
    assert placement.holders == [{2}, {1, 2, 3}, {2, 4}]


def test_a_cycle_whose_steps_keep_to_zones_of_their_own_is_taken_whole() -> None:
    placement = Placement(
        Problem(
            zones=["", "b", "c", "c", "a"],
            limits=[0, 2, 2, 4, 2],
            fair=[0, 1, 1, 2, 1],
            wanted=[2, 3],
            current=[[4, 2, 1], [4]],
        )
    )
    placement.start()
    cancel_cycles(placement)
    assert placement.holders == [{1, 3}, {2, 3, 4}]


# Planning.


def test_a_new_item_is_added_with_slots_from_zero_and_primaries_are_spread() -> None:
    maker = Maker()
    for member in (A1, B1, C1):
        maker.member(member)
    for name in ("aaaa", "bbbb", "cccc"):
        maker.item(name)
    checkpoints = planned(maker.keyspace())
    primaries = set()
    for checkpoint in checkpoints:
        adds = [change for change in checkpoint if isinstance(change, Add)]
        assert [add.slot for add in adds] == [0, 1, 2]
        primaries.add(adds[0].member.broker.id)
    assert primaries == ids(A1, B1, C1)


def test_additions_come_first_and_an_inconsistent_item_loses_nothing() -> None:
    maker = Maker()
    for member in (A1, A2, B1, C1):
        maker.member(member)
    maker.item("aaaa")
    maker.assign_all("aaaa", A1, B1, C1)
    wanted = {"aaaa": ids(A2, B1, C1)}
    ((add,),) = planned(maker.keyspace(), wanted)
    assert isinstance(add, Add)
    assert (add.member.broker.id, add.slot) == (process(A2), 3)
    maker.assign("aaaa", A2, 3)
    assert planned(maker.keyspace(), wanted) == []  # The new one does not show the Route yet.


def test_a_consistent_item_loses_only_what_exceeds_its_replication() -> None:
    maker = Maker()
    for member in (A1, A2, B1, C1):
        maker.member(member)
    maker.item("aaaa")
    maker.assign_all("aaaa", A1, B1, C1, A2)
    ((remove, promote),) = planned(maker.keyspace(), {"aaaa": ids(A2, B1, C1)})
    assert isinstance(remove, Remove)
    assert remove.assignment.member == process(A1)
    assert isinstance(promote, Move)  # A1 was primary.
    assert promote.slot == 0
    assert planned(maker.keyspace(), {"aaaa": ids(A2, B1, C1)}) != []


def test_of_several_unwanted_only_so_many_go_as_may() -> None:
    maker = Maker()
    for member in (A1, A2, B1, B2):
        maker.member(member)
    maker.item("aaaa", 3)
    maker.assign_all("aaaa", A1, A2, B1, B2)
    (changes,) = planned(maker.keyspace(), {"aaaa": ids(A1)})
    assert [type(change) for change in changes] == [Remove]


def test_a_fully_suspended_item_loses_all_at_once() -> None:
    maker = Maker()
    for member in (A1, B1, C1):
        maker.member(member)
    maker.item("aaaa", suspend=Suspend(SuspendLevel.FULL))
    maker.assign_all("aaaa", A1, B1, C1, consistent=False)
    (changes,) = planned(maker.keyspace())
    assert [type(change) for change in changes] == [Remove] * 3


def test_a_vacant_primary_is_promoted_by_least_load() -> None:
    maker = Maker()
    for member in (B1, C1):
        maker.member(member)
    maker.item("aaaa", 2)
    maker.assign_all("aaaa", B1, C1)
    maker.item("bbbb", 2)
    maker.assign("bbbb", B1, 1)
    maker.assign("bbbb", C1, 2)
    (changes,) = planned(maker.keyspace())
    (move,) = changes
    assert isinstance(move, Move)
    assert (move.assignment.member, move.slot) == (process(C1), 0)


def test_slots_are_packed_one_at_a_time() -> None:
    maker = Maker()
    for member in (A1, B1, C1):
        maker.member(member)
    maker.item("aaaa")
    maker.assign("aaaa", A1, 0)
    maker.assign("aaaa", B1, 4)
    maker.assign("aaaa", C1, 7)
    ((move,),) = planned(maker.keyspace())
    assert isinstance(move, Move)
    assert (move.assignment.member, move.slot) == (process(B1), 1)


def test_an_addition_waits_for_room() -> None:
    maker = Maker()
    maker.member(A1, 1)
    maker.member(B1, 1)
    maker.item("aaaa", 1)
    maker.item("bbbb", 1)
    maker.assign_all("aaaa", A1)
    maker.assign_all("bbbb", B1)
    assert planned(maker.keyspace(), {"aaaa": ids(B1), "bbbb": ids(A1)}) == []


def exchange(*, consistent: bool = True) -> tuple[Maker, Desired]:
    """Return two full members which shall exchange items, and a third with room."""
    maker = Maker()
    for member in (A1, B1, C1):
        maker.member(member, 1)
    for name, member in (("aaaa", A1), ("bbbb", B1)):
        maker.item(name, 1)
        maker.assign_all(name, member, consistent=consistent)
    return maker, {"aaaa": ids(B1), "bbbb": ids(A1)}


def test_of_full_members_which_wait_for_each_other_one_takes_a_detour() -> None:
    """PL5."""
    maker, wanted = exchange()
    ((add,),) = planned(maker.keyspace(), wanted)
    assert isinstance(add, Add)
    assert (add.journal, add.member.broker.id, add.slot) == ("aaaa", process(C1), 1)


def test_no_detour_is_taken_while_changes_are_to_come() -> None:
    maker, wanted = exchange(consistent=False)
    assert planned(maker.keyspace(), wanted) == []


def test_a_detour_is_of_an_item_which_may_leave_who_is_waited_for() -> None:
    """Neither of one which lacks replicas itself, nor of one which stays where it is."""
    maker, wanted = exchange()
    maker.member(B2, 1)
    for name, replication in (("aa-lacking", 3), ("aa-staying", 1)):
        maker.item(name, replication)
        maker.assign_all(name, B2)
        wanted[name] = ids(B2)
    ((add,),) = planned(maker.keyspace(), wanted)
    assert isinstance(add, Add)
    assert add.journal == "aaaa"


def test_assignments_of_a_deleted_item_are_removed() -> None:
    maker = Maker()
    maker.member(A1)
    maker.assign_all("gone", A1)
    ((change,),) = planned(maker.keyspace())
    assert isinstance(change, RemoveDead)
    assert [a.member for a in change.assignments] == [process(A1)]


def test_an_assignment_of_an_unknown_member_goes_first() -> None:
    maker = Maker()
    maker.member(A1)
    maker.member(B1, 0)
    maker.item("aaaa", 1)
    maker.assign_all("aaaa", A1, B1, "z/unknown")
    (changes,) = planned(maker.keyspace(), {"aaaa": ids(A1)})
    assert [c.assignment.member for c in changes if isinstance(c, Remove)] == [
        process(B1),
        process("z/unknown"),
    ]
