"""Who shall hold each item: the cheapest placement there is, mended from what holds.

What a placement costs, the dearest first:
    1. a replica which nobody holds;
    2. an item of two or more replicas which all are in one zone, though another has capacity;
    3. a replica which its holder has beyond its fair share;
    4. a replica which its holder did not have before.

Invariants:
    SO1  No member holds an item twice, or more than its effective limit.
    SO2  No placement is cheaper: what holds stays, unless the first three ask for a move; and
         solved anew from what was solved, nothing moves.
    SO3  The same input has the same result, on every broker.

`current_holders` copies what is needed, so that `solve` may run in another thread.

Source: gazette/core allocator/sparse_flow_network.go, whose tiers these are; it only prefers what
here is exact.
"""

from collections.abc import Mapping

from gazette_py.core.allocator.cycles import cancel_cycles
from gazette_py.core.allocator.placement import Placement, Problem
from gazette_py.core.allocator.state import AllocState
from gazette_py.core.keyspace import KeySpace
from gazette_py.protocol.route import ProcessID

Current = Mapping[str, tuple[ProcessID, ...]]
"""Who holds each item now, by name. The primary comes first."""

Desired = dict[str, frozenset[ProcessID]]
"""Members of each item, by name."""


def current_holders(state: AllocState, keyspace: KeySpace) -> Current:
    """Return who holds each item of `state` now."""
    return {
        item.name: tuple(
            assignment.member
            for assignment in sorted(keyspace.assignments_of(item.name), key=lambda a: a.slot)
        )
        for item, _ in state.items
    }


def solve(state: AllocState, current: Current) -> Desired:
    """Return who shall hold each item of `state`."""
    members = [member for member in state.members if state.shares[member].effective > 0]
    node_of = {member: node for node, member in enumerate(members, start=1)}
    limits = [state.shares[member].effective for member in members]
    placement = Placement(
        Problem(
            zones=["", *(member.zone for member in members)],
            limits=[0, *limits],
            fair=[0, *(_fair_share(limit, sum(limits), state.slots) for limit in limits)],
            wanted=[replication for _, replication in state.items],
            current=[
                [node_of[member] for member in current[item.name] if member in node_of]
                for item, _ in state.items
            ],
        )
    )
    placement.start()
    cancel_cycles(placement)
    return {
        item.name: frozenset(members[node - 1] for node in holders)
        for (item, _), holders in zip(state.items, placement.holders, strict=True)
    }


def _fair_share(limit: int, capacity: int, slots: int) -> int:
    """Return the part of a member's limit which all slots need, rounded up."""
    return limit if capacity <= slots else -(-limit * slots // capacity)
