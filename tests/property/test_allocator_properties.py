"""Random clusters converge, by steps of which each is safe."""

from dataclasses import replace

from hypothesis import example, given, settings
from hypothesis import strategies as st
from keyspaces import ROOT, Maker, process

from gazette_py.core.allocator.plan import Add, Change, Move, Remove, RemoveDead, plan
from gazette_py.core.allocator.primaries import Primaries, choose_primaries, current_primaries
from gazette_py.core.allocator.solve import Desired, current_holders, solve
from gazette_py.core.allocator.state import observe
from gazette_py.core.keyspace import KeySpace
from gazette_py.protocol import keys
from gazette_py.protocol.route import Route

ROUNDS_MAX = 60

MEMBERS = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 6), st.booleans()), min_size=1, max_size=6
)
ITEMS = st.lists(st.integers(1, 3), min_size=0, max_size=8)


def build(members: list[tuple[str, int, bool]], items: list[int], held: list[int]) -> Maker:
    maker = Maker()
    names = []
    for number, (zone, limit, exiting) in enumerate(members):
        names.append(f"{zone}/broker-{number}")
        maker.member(names[-1], limit, exiting=exiting)
    for number, replication in enumerate(items):
        maker.item(f"item-{number}", replication)
        count = held[number % len(held)] % (len(names) + 1) if held else 0
        if count:
            chosen = [names[(number + k) % len(names)] for k in range(count)]
            maker.assign_all(f"item-{number}", *chosen, consistent=number % 2 == 0)
    return maker


def perform(maker: Maker, change: Change) -> None:
    match change:
        case Add(journal, member, slot):
            maker.put(keys.assignment_key(ROOT, journal, member.broker.id, slot), b"", member.lease)
        case Remove(_, assignment):
            maker.delete(assignment.key)
        case Move(assignment, slot):
            value = maker.kvs[assignment.key].value
            maker.delete(assignment.key)
            key = keys.assignment_key(ROOT, assignment.journal, assignment.member, slot)
            assert key.encode() not in maker.kvs
            maker.put(key, value, assignment.lease)
        case RemoveDead(_, assignments):
            for assignment in assignments:
                maker.delete(assignment.key)


def synchronise(maker: Maker, keyspace: KeySpace) -> None:
    """Do what primaries do: write the Route into every assignment."""
    from gazette_py.protocol import convert

    for journal in list(keyspace.assigned_journals()):
        route = keyspace.route_of(journal)
        if route.primary < 0:
            continue
        shown = Route(route.members, route.primary)
        for assignment in keyspace.assignments_of(journal):
            value = convert.route_to_pb(shown).SerializeToString()
            maker.kvs[assignment.key] = replace(maker.kvs[assignment.key], value=value)


def check_step(before: KeySpace, after: KeySpace) -> None:
    state = observe(before, 9)
    for item, replication in state.items:
        was, now = before.assignments_of(item.name), after.assignments_of(item.name)
        assert len({a.member for a in now}) == len(now), "a member holds an item twice"
        stays = {a.member for a in was} & {a.member for a in now}
        if len(stays) < len(was):
            assert before.is_consistent(item.name)
            assert len(stays) >= replication
        assert not was or stays, "nobody hands over"
    for member, share in state.shares.items():
        held = len(after.assignments_by_member(member))
        assert held <= max(share.effective, len(before.assignments_by_member(member)))


def solved(keyspace: KeySpace) -> tuple[Desired, Primaries]:
    state = observe(keyspace, 9)
    current = current_holders(state, keyspace)
    desired = solve(state, current)
    now = current_primaries(state, keyspace)
    return desired, choose_primaries(state, current, now, desired)


def converge(maker: Maker) -> tuple[KeySpace, Desired]:
    fingerprint: object = None
    desired: Desired = {}
    primaries: Primaries = {}
    for _ in range(ROUNDS_MAX):
        keyspace = maker.keyspace()
        state = observe(keyspace, 9)
        if state.fingerprint() != fingerprint:
            fingerprint, (desired, primaries) = state.fingerprint(), solved(keyspace)
        checkpoints = plan(state, keyspace, desired, primaries)
        changes = [change for checkpoint in checkpoints for change in checkpoint]
        for change in changes:
            perform(maker, change)
        after = maker.keyspace()
        check_step(keyspace, after)
        was_consistent = all(keyspace.is_consistent(j) for j in keyspace.assigned_journals())
        synchronise(maker, after)
        if not changes and was_consistent:
            return maker.keyspace(), desired
    raise AssertionError("it does not converge")


@settings(max_examples=150, deadline=None)
@given(MEMBERS, ITEMS, st.lists(st.integers(0, 4), max_size=3))
def test_clusters_converge_safely(
    members: list[tuple[str, int, bool]], items: list[int], held: list[int]
) -> None:
    maker = build(members, items, held)
    keyspace, desired = converge(maker)
    state = observe(keyspace, 9)
    loads = {m: sum(m in h for h in desired.values()) for m in state.members}
    for member, share in state.shares.items():
        assert loads[member] <= max(0, share.effective)
    for item, replication in state.items:
        assert len(desired[item.name]) <= replication
    # As many as there is room for: nobody with room could take what is missing.
    for item, replication in state.items:
        if len(desired[item.name]) < replication:
            for member, share in state.shares.items():
                assert member in desired[item.name] or loads[member] >= share.effective
    assert solve(state, current_holders(state, keyspace)) == solve(
        state, current_holders(state, keyspace)
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 6), ITEMS)
def test_with_room_everything_is_placed_in_two_zones_and_stays(
    count: int, items: list[int]
) -> None:
    maker = build([("abc"[n % 3], 100, False) for n in range(count)], items, [])
    keyspace, desired = converge(maker)
    state = observe(keyspace, 9)
    for item, replication in state.items:
        holders = {a.member for a in keyspace.assignments_of(item.name)}
        assert holders == desired[item.name]
        assert len(holders) == min(replication, count)
        if len(holders) > 1:
            assert len({member.zone for member in holders}) > 1
    # Solved anew from there, nothing moves.
    assert solve(state, current_holders(state, keyspace)) == desired
    assert process("a/broker-0") in state.members


@settings(max_examples=150, deadline=None)
@example(
    [("a", 0, False), ("a", 0, False), ("a", 5, False), ("a", 0, False), ("a", 3, False)],
    [1, 2, 3, 1, 1],
    [2],
)  # A member cannot be spared as a replica is not placed.
@given(MEMBERS, ITEMS, st.lists(st.integers(0, 4), max_size=3))
def test_the_next_leader_changes_nothing(
    members: list[tuple[str, int, bool]], items: list[int], held: list[int]
) -> None:
    keyspace, _ = converge(build(members, items, held))
    desired, primaries = solved(keyspace)
    assert list(plan(observe(keyspace, 9), keyspace, desired, primaries)) == []
