"""The solver's placements cost as little as those of an exact integer program (SO1, SO2)."""

from dataclasses import dataclass, field

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, milp

from gazette_py.core.allocator.cycles import cancel_cycles
from gazette_py.core.allocator.placement import Placement, Problem
from gazette_py.core.allocator.solve import _fair_share

Cost = tuple[int, int, int, int]
"""Replicas which nobody holds, items in one zone, replicas beyond fair shares, moves."""


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Draw a small cluster, with any items held by any members, too many or too few."""
    members = draw(st.integers(1, 6))
    zones = draw(st.lists(st.sampled_from("abc"), min_size=members, max_size=members))
    limits = draw(st.lists(st.integers(1, 8), min_size=members, max_size=members))
    wanted = draw(st.lists(st.integers(0, 4), min_size=1, max_size=8))
    nodes = st.permutations(range(1, members + 1))
    current = [draw(nodes)[: draw(st.integers(0, min(members, r + 1)))] for r in wanted]
    return Problem(
        zones=["", *zones],
        limits=[0, *limits],
        fair=[0, *(_fair_share(limit, sum(limits), sum(wanted)) for limit in limits)],
        wanted=wanted,
        current=current,
    )


def cost_of(placement: Placement) -> Cost:
    """Count what the placement costs, from its holders alone."""
    problem, holders = placement.problem, placement.holders
    loads = [sum(node in held for held in holders) for node in range(len(problem.limits))]
    assert loads == placement.load
    assert all(load <= limit for load, limit in zip(loads, problem.limits, strict=True))
    demands = list(zip(problem.wanted, holders, problem.current, strict=True))
    has_zones = len(set(problem.zones[1:])) > 1
    return (
        sum(wanted - len(held) for wanted, held, _ in demands),
        sum(
            has_zones
            and wanted > 1
            and len(held) == wanted
            and len({problem.zones[node] for node in held}) == 1
            for wanted, held, _ in demands
        ),
        sum(max(0, load - fair) for load, fair in zip(loads, problem.fair, strict=True)),
        sum(len(held - set(current)) for _, held, current in demands),
    )


@dataclass
class Program:
    """Rows and columns of an integer program: minimise the costs, each row within its bounds."""

    costs: list[int] = field(default_factory=list)
    uppers: list[float] = field(default_factory=list)
    rows: list[tuple[dict[int, int], float, float]] = field(default_factory=list)

    def column(self, cost: int, upper: float) -> int:
        self.costs.append(cost)
        self.uppers.append(upper)
        return len(self.costs) - 1

    def solve(self) -> list[int]:
        matrix = np.zeros((len(self.rows), len(self.costs)))
        for number, (terms, _, _) in enumerate(self.rows):
            for column, factor in terms.items():
                matrix[number, column] = factor
        lows, highs = [row[1] for row in self.rows], [row[2] for row in self.rows]
        found = milp(
            self.costs,
            constraints=LinearConstraint(matrix, lows, highs),
            bounds=Bounds(0, self.uppers),
            integrality=np.ones(len(self.costs)),
        )
        assert found.success, found.message
        return [round(value) for value in found.x]


def least_cost(problem: Problem) -> Cost:
    """Return the cost of an optimum, by the tiers which `solve` documents."""
    nodes, zones = range(1, len(problem.limits)), sorted(set(problem.zones[1:]))
    outweigh = sum(problem.wanted) + 1  # No tier counts as many units.
    program = Program()
    held: list[dict[int, int]] = []
    unplaced, one_zone, beyond = [], [], []
    for wanted, current in zip(problem.wanted, problem.current, strict=True):
        columns = {node: program.column(int(node not in current), 1) for node in nodes}
        held.append(columns)
        lacking = program.column(outweigh**3, wanted)
        unplaced.append(lacking)
        row = dict.fromkeys([*columns.values(), lacking], 1)
        program.rows.append((row, wanted, wanted))
        for zone in zones if wanted > 1 and len(zones) > 1 else []:
            surplus = program.column(outweigh**2, 1)
            one_zone.append(surplus)
            inside = {c: 1 for node, c in columns.items() if problem.zones[node] == zone}
            program.rows.append((inside | {surplus: -1}, -np.inf, wanted - 1))
    for node in nodes:
        row = {columns[node]: 1 for columns in held}
        program.rows.append((row, 0, problem.limits[node]))
        surplus = program.column(outweigh, np.inf)
        beyond.append(surplus)
        program.rows.append((row | {surplus: -1}, -np.inf, problem.fair[node]))
    values = program.solve()
    moves = sum(
        values[column]
        for columns, current in zip(held, problem.current, strict=True)
        for node, column in columns.items()
        if node not in current
    )
    return (
        sum(values[column] for column in unplaced),
        sum(values[column] for column in one_zone),
        sum(values[column] for column in beyond),
        moves,
    )


@settings(max_examples=400, deadline=None)
@given(problems())
def test_no_placement_is_cheaper(problem: Problem) -> None:
    placement = Placement(problem)
    placement.start()
    cancel_cycles(placement)

    assert cost_of(placement) == least_cost(problem)
