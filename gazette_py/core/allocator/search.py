"""Finds a cycle of negative cost: Bellman and Ford's search, from every node at once.

Pure, and of no particular graph. Its caller keeps the arcs; of those between the same two nodes
the cheapest will do.
"""

from collections.abc import Sequence
from typing import NamedTuple


class Step(NamedTuple):
    """Something goes from a node to another."""

    source: int
    target: int
    item: int | None  # None: a change of load, not of an item.


class Arc(NamedTuple):
    """A step which can be taken, and what it costs."""

    step: Step
    cost: int


def negative_cycle(arcs: Sequence[Sequence[Arc]]) -> list[Step] | None:
    """Return a cycle of negative cost, or None, given the arcs from each node."""
    distance = [0] * len(arcs)
    before: list[Step | None] = [None] * len(arcs)
    while True:
        nearer = False
        for source, row in enumerate(arcs):
            reached = distance[source]
            for step, cost in row:
                if reached + cost < distance[step.target]:
                    distance[step.target] = reached + cost
                    before[step.target] = step
                    nearer = True
        if not nearer:
            return None
        if (cycle := _closed(before)) is not None:
            return cycle


def _closed(before: list[Step | None]) -> list[Step] | None:
    """Return the cycle which the steps by which nodes were reached make, if they do."""
    seen_from: dict[int, int] = {}  # The node from which a walk first came to a node.
    for start in range(len(before)):
        node = start
        while node not in seen_from:
            seen_from[node] = start
            if (step := before[node]) is None:
                break
            node = step.source
        else:
            if seen_from[node] == start:
                return _cycle_of(before, node)
    return None


def _cycle_of(before: list[Step | None], node: int) -> list[Step]:
    steps: list[Step] = []
    at = node
    while not steps or at != node:
        step = before[at]
        assert step is not None
        steps.append(step)
        at = step.source
    return steps[::-1]
