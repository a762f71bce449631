"""Makes a placement as cheap as can be, by cycles of steps which lower its cost.

This is a minimum-cost flow, contracted to its members: of all items which could take a step from
one node to another only the cheapest counts, so that a search looks at pairs of members, however
many items there are. From `OUTSIDE` an arc leads to a member which gives up one replica of its
load, or gets one which nobody held; to `OUTSIDE` from a member which takes one more, or drops one.

Invariants:
    CY1  Every arc is offered at its cost as of now: whenever an item has moved, all of its arcs are
         offered anew, and offers which do not hold any more are dropped when they come up.
    CY2  Without a cycle of negative cost no placement is cheaper. Each one taken lowers the cost,
         so that this ends.
    CY3  Most items only have steps of one and the same cost. They are not offered, but found when
         an arc is asked for; once such an item has moved, it is offered like any other.
"""

from collections.abc import Callable, Iterable
from heapq import heapify, heappop, heappush

from gazette_py.core.allocator.placement import OUTSIDE, SPARE, Placement
from gazette_py.core.allocator.search import Arc, Step, negative_cycle


def cancel_cycles(placement: Placement) -> None:
    """Take cycles of negative cost until there is none."""
    Arcs(placement).cancel_cycles()


class _Usual:
    """Items whose steps have the same usual cost, which nobody offered yet (CY3)."""

    def __init__(self, placement: Placement, cost: int, nodes: int) -> None:
        self.items: list[list[int]] = [[] for _ in range(nodes)]  # Of holders, ascending.
        self._placement = placement
        self._costs = [placement.usual_cost_outside(cost)] + [cost] * (nodes - 1)  # By target.
        self._next = [[0] * nodes for _ in range(nodes)]  # Items before were passed over.

    def first(
        self, source: int, target: int, is_usual: list[bool], dearer: list[tuple[int, int]]
    ) -> tuple[int, int] | None:
        """Return cost and number of the first item which can take a step at the usual cost.

        Those which are passed over, since their step costs more, are added to `dearer`.
        """
        items, usual = self.items[source], self._costs[target]
        for at in range(self._next[source][target], len(items)):
            item = items[at]
            if not is_usual[item]:
                continue
            cost = self._placement.step_cost(item, source, target)
            if cost == usual:
                self._next[source][target] = at
                return cost, item
            if cost is not None:
                dearer.append((cost, item))
        self._next[source][target] = len(items)
        return None


class Arcs:
    """The cheapest step between any two nodes."""

    def __init__(self, placement: Placement) -> None:
        self._placement = placement
        self.items_max = 2 * len(placement.holders) + SPARE
        self.moved: set[int] = set()  # Items, since it was last emptied.
        self._nodes = range(len(placement.load))
        # Offers are cost * items_max + item: integers are quick to compare, and small.
        self._offers: list[list[list[int]]] = [[[] for _ in self._nodes] for _ in self._nodes]
        self._usual = [_Usual(placement, cost, len(self._nodes)) for cost in (0, 1)]
        self._is_usual = [False] * len(placement.holders)
        for item in range(len(placement.holders)):
            cost = placement.usual_cost(item)
            if cost is None:
                self._offer(item, list.append)
                continue
            self._is_usual[item] = True
            for holder in placement.holders[item]:
                self._usual[cost].items[holder].append(item)
        for row in self._offers:
            for offers in row:
                heapify(offers)
        self._rows: list[list[Arc]] = [[] for _ in self._nodes]
        self._stale = set(self._nodes)

    def cancel_cycles(self) -> None:
        """Take cycles of negative cost until there is none."""
        while (found := negative_cycle(self._rows_now())) is not None:
            cycle: list[Step] | None = found
            while cycle is not None:
                self._take(_without_repeats(self._placement, cycle))
                # Most often other items can go the same way.
                cycle = self._again(cycle)

    def renew(self, items: Iterable[int]) -> None:
        """Offer items anew which have changed, and look again at what load costs."""
        for item in items:
            if item == len(self._is_usual):
                self._is_usual.append(False)
            self._is_usual[item] = False
            self._offer(item, heappush)
        self._stale.update(self._nodes)

    def _rows_now(self) -> list[list[Arc]]:
        """Return the arcs from each node, as of now."""
        for source in self._stale:
            arcs = (self._cheapest(source, target) for target in self._nodes)
            self._rows[source] = [arc for arc in arcs if arc is not None]
        self._stale.clear()
        return self._rows

    def _again(self, cycle: list[Step]) -> list[Step] | None:
        """Return a cycle of negative cost over the same nodes, if there still is one."""
        steps, total = [], 0
        for source, target, _ in cycle:
            arc = self._cheapest(source, target)
            if arc is None:
                return None
            steps.append(arc.step)
            total += arc.cost
        return steps if total < 0 else None

    def _take(self, steps: list[Step]) -> None:
        """Take steps, and bring up to date what they change."""
        self._stale.add(OUTSIDE)
        items = sorted({step.item for step in steps if step.item is not None})
        for source, target, item in steps:
            self._stale |= {source, target}
            if item is not None:
                self._placement.move(item, source, target)
        for item in items:
            self._stale |= self._placement.holders[item]
            self._is_usual[item] = False
            self._offer(item, heappush)
        self.moved.update(items)

    def _offer(self, item: int, put: Callable[[list[int], int], None]) -> None:
        for source, targets in self._placement.steps_of(item):
            row = self._offers[source]
            for target, cost in targets:
                put(row[target], cost * self.items_max + item)

    def _cheapest(self, source: int, target: int) -> Arc | None:
        of_item, of_load = self._best(source, target), self._load_arc(source, target)
        if of_item is None or of_load is None:
            return of_item or of_load
        return of_load if of_load.cost < of_item.cost else of_item

    def _best(self, source: int, target: int) -> Arc | None:
        if source == target:
            return None
        offers = self._offers[source][target]
        for usual in self._usual:
            dearer: list[tuple[int, int]] = []
            first = usual.first(source, target, self._is_usual, dearer)
            for cost, item in dearer:
                heappush(offers, cost * self.items_max + item)
            if first is not None:
                # Of both kinds the first is the cheaper one.
                return self._cheaper(source, target, first)
        return self._cheaper(source, target, None)

    def _cheaper(self, source: int, target: int, usual: tuple[int, int] | None) -> Arc | None:
        """Return the cheapest of what was offered and a step of the usual cost."""
        offers = self._offers[source][target]
        while offers:
            cost, item = divmod(offers[0], self.items_max)
            if usual is not None and usual < (cost, item):
                break
            if self._placement.step_cost(item, source, target) == cost:
                return Arc(Step(source, target, item), cost)
            heappop(offers)
        if usual is None:
            return None
        return Arc(Step(source, target, usual[1]), usual[0])

    def _load_arc(self, source: int, target: int) -> Arc | None:
        step = Step(source, target, None)
        cost = _load_cost(self._placement, step)
        return None if cost is None else Arc(step, cost)


def _load_cost(placement: Placement, step: Step) -> int | None:
    if step.source == step.target or OUTSIDE not in step[:2]:
        return None
    if step.source == OUTSIDE:
        return placement.lose_cost(step.target)
    return placement.gain_cost(step.source)


def _without_repeats(placement: Placement, steps: list[Step]) -> list[Step]:
    """Return a cycle of negative cost which is sure to cost what its steps do.

    Two steps of one item may each count on the same place in a zone. Such a cycle is two which meet
    in that item, of which one at least is negative.
    """
    while (parts := _split(steps)) is not None:
        cheaper = next((part for part in parts if _cost(placement, part) < 0), None)
        if cheaper is None:
            break  # They do not meet: each keeps to a zone of its own.
        steps = cheaper
    return steps


def _split(steps: list[Step]) -> tuple[list[Step], list[Step]] | None:
    first: dict[int, int] = {}
    for end, (source, target, item) in enumerate(steps):
        if item is None:
            continue
        begin = first.setdefault(item, end)
        if begin != end:
            inner = [Step(source, steps[begin].target, item), *steps[begin + 1 : end]]
            outer = [
                *steps[:begin],
                Step(steps[begin].source, target, item),
                *steps[end + 1 :],
            ]
            return _moving(inner), _moving(outer)
    return None


def _moving(steps: list[Step]) -> list[Step]:
    return [step for step in steps if step.source != step.target]


def _cost(placement: Placement, steps: list[Step]) -> int:
    cost = 0
    for step in steps:
        if step.item is None:
            cost += _load_cost(placement, step) or 0
        else:
            cost += placement.step_cost(step.item, step.source, step.target) or 0
    return cost
