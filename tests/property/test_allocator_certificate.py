"""A certificate that nothing is cheaper (SO2): no cycle of negative cost is left in all the graph.

The graph is that of the problem's statement, with a node for every item, zone of an item and
member, and costs are tuples of the tiers: nothing of how the solver works is relied on.
"""

import random
from collections.abc import Hashable, Iterator, Sequence
from collections.abc import Set as AbstractSet

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gazette_py.core.allocator.cycles import cancel_cycles
from gazette_py.core.allocator.placement import Placement, Problem
from gazette_py.core.allocator.solve import _fair_share

Cost = tuple[int, int, int, int]
"""Replicas which nobody holds, items in one zone, replicas beyond fair shares, moves."""

FREE = (0, 0, 0, 0)
UNPLACED, ONE_ZONE, BEYOND, MOVE = (
    (1, 0, 0, 0),
    (0, 1, 0, 0),
    (0, 0, 1, 0),
    (0, 0, 0, 1),
)

Holders = Sequence[AbstractSet[int]]
Arc = tuple[Hashable, Hashable, Cost]


def plus(one: Cost, other: Cost) -> Cost:
    return (one[0] + other[0], one[1] + other[1], one[2] + other[2], one[3] + other[3])


def minus(cost: Cost) -> Cost:
    return (-cost[0], -cost[1], -cost[2], -cost[3])


def arcs_of(
    problem: Problem, holders: Holders
) -> Iterator[tuple[Hashable, Hashable, int, list[Cost]]]:
    """Yield arcs of the network: from, to, how much flows, and the cost of each unit it takes."""
    zones = problem.zones
    nodes = range(1, len(zones))
    has_zones = len(set(zones[1:])) > 1
    for item, (wanted, held, current) in enumerate(
        zip(problem.wanted, holders, problem.current, strict=True)
    ):
        yield ("item", item), "end", wanted - len(held), [UNPLACED] * wanted
        for zone in set(zones[1:]):
            units = [FREE] * wanted
            if has_zones and wanted > 1:
                units[-1] = ONE_ZONE
            inside = sum(zones[node] == zone for node in held)
            yield ("item", item), ("zone", item, zone), inside, units
        for node in nodes:
            cost = FREE if node in current else MOVE
            yield ("zone", item, zones[node]), node, int(node in held), [cost]
    for node in nodes:
        load, fair = sum(node in held for held in holders), problem.fair[node]
        units = [FREE] * min(fair, problem.limits[node])
        yield node, "end", load, units + [BEYOND] * (problem.limits[node] - len(units))


def residual(problem: Problem, holders: Holders) -> list[Arc]:
    """Return what could flow otherwise: one unit more of an arc, or one unit less."""
    arcs: list[Arc] = []
    for source, target, flow, units in arcs_of(problem, holders):
        assert 0 <= flow <= len(units), f"{source} to {target}: {flow} of {len(units)}"
        if flow < len(units):
            arcs.append((source, target, units[flow]))
        if flow > 0:
            arcs.append((target, source, minus(units[flow - 1])))
    return arcs


def certify(problem: Problem, holders: Holders) -> bool:
    """Tell whether potentials exist under which no arc costs less than nothing."""
    arcs = residual(problem, holders)
    potential = {node: FREE for source, target, _ in arcs for node in (source, target)}
    for _ in range(len(potential) + 1):
        lower = False
        for source, target, cost in arcs:
            through = plus(potential[source], cost)
            if through < potential[target]:
                potential[target], lower = through, True
        if not lower:
            return True
    return False


def solved(problem: Problem) -> Placement:
    placement = Placement(problem)
    placement.start()
    cancel_cycles(placement)
    return placement


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Draw a cluster, with any items held by any members, too many or too few."""
    members = draw(st.integers(1, 8))
    random_ = random.Random(draw(st.integers(0, 2**32)))
    return problem_of(random_, members, draw(st.integers(1, 12)), draw(st.sampled_from([2, 6, 20])))


def problem_of(random_: random.Random, members: int, items: int, limit_max: int) -> Problem:
    limits = [random_.randint(1, limit_max) for _ in range(members)]
    wanted = [random_.randint(0, 4) for _ in range(items)]
    nodes = range(1, members + 1)
    return Problem(
        zones=["", *(random_.choice("abc") for _ in range(members))],
        limits=[0, *limits],
        fair=[0, *(_fair_share(limit, sum(limits), sum(wanted)) for limit in limits)],
        wanted=wanted,
        current=[random_.sample(nodes, random_.randint(0, min(members, r + 1))) for r in wanted],
    )


@settings(max_examples=300, deadline=None)
@given(problems())
def test_no_cycle_of_negative_cost_is_left(problem: Problem) -> None:
    assert certify(problem, solved(problem).holders)


@pytest.mark.parametrize("seed", range(6))
def test_nor_is_there_in_larger_clusters(seed: int) -> None:
    problem = problem_of(random.Random(seed), 20, 120, 20 if seed % 2 else 40)
    assert certify(problem, solved(problem).holders)


def test_a_placement_which_is_not_the_cheapest_gets_no_certificate() -> None:
    problem = Problem(
        zones=["", "a", "a", "b"],
        limits=[0, 2, 2, 2],
        fair=[0, 2, 2, 2],
        wanted=[2],
        current=[[1, 2]],
    )
    assert certify(problem, [{1, 3}])
    assert not certify(problem, [{1, 2}])  # One zone.
    assert not certify(problem, [{1}])  # A replica which nobody holds.
    held = Problem(problem.zones, problem.limits, problem.fair, problem.wanted, [[1, 3]])
    assert not certify(held, [{2, 3}])  # A move for nothing.
    spread = Problem(problem.zones, problem.limits, [0, 1, 1, 1], [1, 1], [[1], [1]])
    assert certify(spread, [{1}, {2}])
    assert not certify(spread, [{1}, {1}])  # Beyond a fair share.
