"""Who shall be the primary of each item, of those who shall hold it.

What a choice costs, the dearest first:
    1. members which are primary of more, or of less, than their part: the sum of squares of
       primaries, each over its member's limit;
    2. a primary which hands over, or a first one which has to get the item before.

Invariants:
    PR1  It never asks for a move of a replica: holders are given.
    PR2  No choice costs less: primaries are as even as holders allow, in every zone and among
         zones. Chosen anew from what was chosen, nobody hands over.
    PR3  Loads within `1 / BAND_PARTS` of a member's part cost the same. A hand-over makes appends
         of its journal wait, so that small differences are let be. A part of less than
         `BAND_PARTS / 2` primaries has no such band: there, one more or less is a lot.

It is a minimum-cost flow, contracted to members as that of `cycles` is: an item may go from its
primary to any other holder. The node `_ANYWHERE` gives and takes what members have more or less.
Leaders of the reference only fill vacant places; what is chosen here they let be.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from heapq import heapify, heappop, heapreplace
from math import lcm

from gazette_py.core.allocator.search import Arc, Step, negative_cycle
from gazette_py.core.allocator.solve import Current, Desired
from gazette_py.core.allocator.state import AllocState
from gazette_py.core.keyspace import KeySpace
from gazette_py.protocol.route import ProcessID

BAND_PARTS = 20

Primaries = Mapping[str, ProcessID]
"""The primary of each item, by name; items without one are left out."""

_ANYWHERE = 0


def current_primaries(state: AllocState, keyspace: KeySpace) -> Primaries:
    """Return who is primary of each item of `state` now."""
    return {
        item.name: assignment.member
        for item, _ in state.items
        for assignment in keyspace.assignments_of(item.name)
        if assignment.slot == 0
    }


def choose_primaries(
    state: AllocState, current: Current, primaries: Primaries, desired: Desired
) -> Primaries:
    """Return who shall be primary, given who is, who holds and who shall hold each item."""
    chosen = {
        name: primary for name, primary in primaries.items() if primary in desired.get(name, ())
    }
    vacant = [name for name, holders in desired.items() if holders and name not in chosen]
    loads = _Loads(state, chosen, len(chosen) + len(vacant))
    for name in vacant:
        held = current[name]
        chosen[name] = min(
            desired[name], key=lambda m: (loads.gain(m), m not in held, loads.ratio(m), m)
        )
        loads.count(chosen[name], 1)
    late = (current[name] and chosen[name] not in current[name] for name in vacant)
    if not loads.are_even() or any(late):
        _Flow(current, primaries, desired, chosen, loads).run()
    return chosen


class _Loads:
    """How many items members are primary of, and what one more or less of them costs."""

    def __init__(self, state: AllocState, chosen: Primaries, items: int) -> None:
        self.members = [m for m in state.members if state.shares[m].effective > 0]
        self._limit = {m: state.shares[m].effective for m in self.members}
        self._total = sum(self._limit.values())
        self._items = items
        self._scale = lcm(*self._limit.values())
        self.load = Counter(chosen.values())

    def count(self, member: ProcessID, primaries: int) -> None:
        self.load[member] += primaries

    def gain(self, member: ProcessID) -> int:
        """Return what one primary more costs a member."""
        return self._cost(member, 2 * self.load[member] + 1)

    def lose(self, member: ProcessID) -> int:
        """Return what one primary less saves a member."""
        return self._cost(member, 2 * self.load[member] - 1)

    def ratio(self, member: ProcessID) -> int:
        """Return the primaries of a member for each unit of its limit, times a constant."""
        return self._scale // self._limit[member] * self.load[member]

    def are_even(self) -> bool:
        """Tell whether no hand-over would make them more even."""
        highest = max((self.lose(m) for m in self.members if self.load[m]), default=0)
        return highest <= min((self.gain(m) for m in self.members), default=0)

    def _cost(self, member: ProcessID, twice: int) -> int:
        # The part is items * limit / total. Costs are times total and scale: they stay integers.
        limit = self._limit[member]
        part = 2 * self._items * limit
        has_band = part >= BAND_PARTS * self._total
        if has_band and abs(twice * self._total - part) * BAND_PARTS <= part:
            return self._scale * 2 * self._items
        return self._scale // limit * twice * self._total


class _Flow:
    """Hands primaries over, as long as that costs less."""

    def __init__(
        self,
        current: Current,
        primaries: Primaries,
        desired: Desired,
        chosen: dict[str, ProcessID],
        loads: _Loads,
    ) -> None:
        self._names = list(chosen)
        self._current, self._primaries, self._desired = current, primaries, desired
        self._chosen, self._loads = chosen, loads
        self._members = loads.members
        self._node_of = {m: node for node, m in enumerate(self._members, start=1)}
        nodes = range(len(self._members) + 1)
        # Items which can go from a member to another: at cost -1, 0 and 1.
        self._offers = [[_offers() for _ in nodes] for _ in nodes]
        self._rows: list[list[Arc]] = [[] for _ in nodes]
        self._outweigh = 2 * len(self._names) + 1  # No cycle hands over as many.
        for item in range(len(self._names) - 1, -1, -1):  # The first is on top.
            self._offer(item)

    def run(self) -> None:
        """Hand over from the most to the least loaded, then by way of others."""
        self._straight()
        stale = set(range(len(self._rows)))
        while True:
            for node in stale:
                self._rows[node] = list(self._arcs(node))
            cycle = negative_cycle(self._rows)
            if cycle is None:
                return
            stale = {_ANYWHERE}
            for step in cycle:
                stale |= {step.source, step.target}
                self._take(step)

    def _straight(self) -> None:
        givers = [(-self._loads.lose(m), node) for m, node in self._node_of.items()]
        heapify(givers)
        while givers:
            _, source = givers[0]
            member = self._members[source - 1]
            step = self._straight_from(source)
            if step is None:
                heappop(givers)  # Should it get more, what is left to do goes by way of others.
                continue
            self._take(step)
            heapreplace(givers, (-self._loads.lose(member), source))

    def _straight_from(self, source: int) -> Step | None:
        saved = self._loads.lose(self._members[source - 1])
        gains = ((self._loads.gain(m), node) for m, node in self._node_of.items() if node != source)
        for _, target in sorted(pair for pair in gains if pair[0] < saved):
            arc = self._cheapest(source, target)
            if arc is not None:
                return arc.step
        return None

    def _arcs(self, source: int) -> Iterator[Arc]:
        if source == _ANYWHERE:
            for member, node in self._node_of.items():
                if self._loads.load[member]:
                    cost = -self._outweigh * self._loads.lose(member)
                    yield Arc(Step(_ANYWHERE, node, None), cost)
            return
        gain = self._loads.gain(self._members[source - 1])
        yield Arc(Step(source, _ANYWHERE, None), self._outweigh * gain)
        for target in self._node_of.values():
            arc = self._cheapest(source, target)
            if arc is not None:
                yield arc

    def _cheapest(self, source: int, target: int) -> Arc | None:
        for cost, items in self._offers[source][target]:
            while items:
                if self._node_of[self._chosen[self._names[items[-1]]]] == source:
                    return Arc(Step(source, target, items[-1]), cost)
                items.pop()
        return None

    def _take(self, step: Step) -> None:
        if step.item is None:
            return
        name, target = self._names[step.item], self._members[step.target - 1]
        self._loads.count(self._chosen[name], -1)
        self._loads.count(target, 1)
        self._chosen[name] = target
        self._offer(step.item)

    def _offer(self, item: int) -> None:
        name = self._names[item]
        source, before = self._node_of[self._chosen[name]], self._cost(name, self._chosen[name])
        for member in self._desired[name]:
            if member != self._chosen[name]:
                cost = self._cost(name, member) - before
                self._offers[source][self._node_of[member]][cost + 1][1].append(item)

    def _cost(self, name: str, member: ProcessID) -> int:
        primary = self._primaries.get(name)
        if primary is not None and primary in self._desired[name]:
            return int(member != primary)
        # It is vacant, or will be. Who holds the item already can follow at once.
        return int(bool(self._current[name]) and member not in self._current[name])


def _offers() -> list[tuple[int, list[int]]]:
    return [(cost, []) for cost in (-1, 0, 1)]
