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
    SO3  The same inputs in the same order have the same result. Another order may choose another of
         several placements which cost the same.
    SO4  A `Solver` keeps its work: when few items have changed, it begins with what it found, and
         looks at these alone. It begins anew when members changed, or many items.

`current_holders` copies what is needed, so that a solver may run in another thread.

Source: gazette/core allocator/sparse_flow_network.go, whose tiers these are; it only prefers what
here is exact.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gazette_py.core.allocator.cycles import Arcs
from gazette_py.core.allocator.placement import Placement, Problem
from gazette_py.core.allocator.state import AllocState
from gazette_py.core.keyspace import KeySpace
from gazette_py.protocol.route import ProcessID

CHANGED_PART = 8
"""When more than one of so many items has changed, it is quicker to begin anew."""

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
    return Solver().solve(state, current)


class Solver:
    """Solves for one state after another."""

    def __init__(self) -> None:
        self._work: _Work | None = None

    def solve(self, state: AllocState, current: Current) -> Desired:
        """Return who shall hold each item of `state`."""
        work, self._work = self._work, None  # Should it fail half-way, the next begins anew.
        if work is None or not work.change(state, current):
            work = _Work(state, current)
        work.finish()
        self._work = work
        return dict(work.desired)


@dataclass(slots=True)
class _Known:
    number: int
    wanted: int
    current: tuple[ProcessID, ...]


class _Work:
    """What was solved, and all that is needed to go on from there."""

    def __init__(self, state: AllocState, current: Current) -> None:
        self.desired: Desired = {}
        self._members = _members(state)
        self._node_of = {member: node for node, (member, _) in enumerate(self._members, start=1)}
        self._known = {
            item.name: _Known(number, wanted, current[item.name])
            for number, (item, wanted) in enumerate(state.items)
        }
        self._names = list(self._known)
        self._placement = Placement(
            Problem(
                zones=["", *(member.zone for member, _ in self._members)],
                limits=[0, *(limit for _, limit in self._members)],
                fair=self._fair(state),
                wanted=[known.wanted for known in self._known.values()],
                current=[self._nodes(known.current) for known in self._known.values()],
            )
        )
        self._placement.start()
        self._arcs = Arcs(self._placement)
        self._changed: Iterable[int] = range(len(self._names))

    def change(self, state: AllocState, current: Current) -> bool:
        """Take up what has changed, or return False if it is too much."""
        if _members(state) != self._members or state.slots > self._placement.slots_max:
            return False
        changed = self._changes(state, current)
        numbers = len(self._names) + sum(name not in self._known for name, _, _ in changed)
        if len(changed) > 1 + len(self._known) // CHANGED_PART or numbers > self._arcs.items_max:
            return False
        self._placement.fair = self._fair(state)
        self._changed = [self._change(*each) for each in changed]
        self._placement.fill(self._changed)
        self._arcs.renew(self._changed)
        return True

    def finish(self) -> None:
        """Make the placement as cheap as can be."""
        self._arcs.cancel_cycles()
        for number in {*self._changed, *self._arcs.moved}:
            if (name := self._names[number]) in self._known:
                holders = self._placement.holders[number]
                self.desired[name] = frozenset(self._members[node - 1][0] for node in holders)
        self._arcs.moved.clear()

    def _changes(
        self, state: AllocState, current: Current
    ) -> list[tuple[str, int, tuple[ProcessID, ...] | None]]:
        """Return names, replication and holders of items which differ; None: it is gone."""
        changes: list[tuple[str, int, tuple[ProcessID, ...] | None]] = []
        seen = 0
        for item, wanted in state.items:
            name = item.name
            known, held = self._known.get(name), current[name]
            seen += known is not None
            if known is None or known.wanted != wanted or known.current != held:
                changes.append((name, wanted, held))
        if seen < len(self._known):
            changes += [(name, 0, None) for name in self._known.keys() - current.keys()]
        return changes

    def _change(self, name: str, wanted: int, current: tuple[ProcessID, ...] | None) -> int:
        if current is None:
            number = self._known.pop(name).number
            del self.desired[name]
        else:
            if name not in self._known:
                self._known[name] = _Known(len(self._names), wanted, current)
                self._names.append(name)
            known = self._known[name]
            known.wanted, known.current = wanted, current
            number = known.number
        self._placement.change(number, wanted, self._nodes(current or ()))
        return number

    def _fair(self, state: AllocState) -> list[int]:
        capacity = sum(limit for _, limit in self._members)
        return [0, *(_fair_share(limit, capacity, state.slots) for _, limit in self._members)]

    def _nodes(self, members: Iterable[ProcessID]) -> list[int]:
        return [self._node_of[member] for member in members if member in self._node_of]


def _members(state: AllocState) -> list[tuple[ProcessID, int]]:
    """Return those who can hold anything, with their limits."""
    shares = ((member, state.shares[member].effective) for member in state.members)
    return [(member, limit) for member, limit in shares if limit > 0]


def _fair_share(limit: int, capacity: int, slots: int) -> int:
    """Return the part of a member's limit which all slots need, rounded up."""
    return limit if capacity <= slots else -(-limit * slots // capacity)
