"""Who shall hold each item: a simple solver which keeps what holds.

It starts from the current assignment and mends what is wrong with it, each time along the shortest
chain of moves which ends at a member with room.

Goals, the first the most important:
    1. as many replicas as there is room for, of distinct members, none beyond its effective limit;
    2. two zones for every item of two or more replicas, if there are two;
    3. members within their fair share;
    4. as few moves as that takes.

The first is reached whenever it can be. The others are preferences, as in the reference.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from gazette_py.core.allocator.state import AllocState
from gazette_py.core.keyspace import KeySpace
from gazette_py.protocol.route import ProcessID

Desired = dict[str, frozenset[ProcessID]]
"""Members of each item, by name."""


@dataclass(frozen=True, slots=True)
class _Step:
    """Part of a chain: `item` goes from the previous member of the chain to `to`."""

    to: ProcessID
    item: str
    before: "_Step | None"


def solve(state: AllocState, keyspace: KeySpace) -> Desired:
    """Return who shall hold each item of `state`."""
    current = {
        item.name: {
            assignment.member
            for assignment in keyspace.assignments_of(item.name)
            if assignment.member in state.members
        }
        for item, _ in state.items
    }
    return _Solver(state, current).solve()


class _Solver:
    def __init__(self, state: AllocState, current: Mapping[str, set[ProcessID]]) -> None:
        self._members = list(state.members)
        self._limits = {m: max(0, state.shares[m].effective) for m in self._members}
        self._fair = {m: _fair_share(self._limits[m], state) for m in self._members}
        self._zones = {m.zone for m in self._members if self._limits[m] > 0}
        self._wanted = {item.name: replication for item, replication in state.items}
        self._current = current
        self._holders: dict[str, set[ProcessID]] = {}
        self._held: dict[ProcessID, set[str]] = {m: set() for m in self._members}

    def solve(self) -> Desired:
        for item, wanted in self._wanted.items():
            self._holders[item] = set()
            for member in self._kept(item, wanted):
                self._give(item, member)
        for bounds in (self._fair, self._limits):
            self._unload(bounds)
        for bounds in (self._fair, self._limits):
            self._fill(bounds)
        for bounds in (self._fair, self._limits):
            self._spread(bounds)
        return {item: frozenset(holders) for item, holders in self._holders.items()}

    # What is kept.

    def _kept(self, item: str, wanted: int) -> list[ProcessID]:
        """Return up to `wanted` current members, of several zones if they are."""
        rest = sorted(self._current[item], key=lambda m: (self._load(m) >= self._limits[m], m))
        kept: list[ProcessID] = []
        while rest and len(kept) < wanted:
            zones = {member.zone for member in kept}
            chosen = next((m for m in rest if m.zone not in zones), rest[0])
            rest.remove(chosen)
            kept.append(chosen)
        return kept

    def _give(self, item: str, member: ProcessID) -> None:
        self._holders[item].add(member)
        self._held[member].add(item)

    def _take(self, item: str, member: ProcessID) -> None:
        self._holders[item].discard(member)
        self._held[member].discard(item)

    def _load(self, member: ProcessID) -> int:
        return len(self._held[member])

    # What is mended.

    def _unload(self, bounds: Mapping[ProcessID, int]) -> None:
        """Move items away from members beyond their bound."""
        for member in self._members:
            while self._load(member) > bounds[member]:
                if not self._move_away(member, bounds):
                    break
        if bounds is self._limits:
            for member in self._members:
                while self._load(member) > bounds[member]:
                    self._take(max(self._held[member]), member)  # There is no room anywhere.

    def _move_away(self, member: ProcessID, bounds: Mapping[ProcessID, int]) -> bool:
        chain = self._chain([_Step(member, "", None)], bounds)
        if chain is None:
            return False
        self._apply(chain)
        return True

    def _fill(self, bounds: Mapping[ProcessID, int]) -> None:
        """Give items which lack replicas to members with room."""
        for item, wanted in self._wanted.items():
            while len(self._holders[item]) < wanted:
                starts = [_Step(m, item, None) for m in self._candidates(item, self._holders[item])]
                chain = self._chain(starts, bounds)
                if chain is None:
                    break
                self._apply(chain)

    def _spread(self, bounds: Mapping[ProcessID, int]) -> None:
        """Move a replica of items which lie in one zone to another, if there is one."""
        if len(self._zones) < 2:
            return
        for item, wanted in self._wanted.items():
            holders = self._holders[item]
            if wanted < 2 or len(holders) < 2 or len({m.zone for m in holders}) > 1:
                continue
            zone = next(iter(holders)).zone
            out = max(holders, key=lambda m: (self._load(m), m not in self._current[item], m))
            self._take(item, out)
            starts = [
                _Step(m, item, None)
                for m in self._candidates(item, self._holders[item])
                if m.zone != zone
            ]
            chain = self._chain(starts, bounds)
            if chain is None:
                self._give(item, out)
            else:
                self._apply(chain)

    def _candidates(self, item: str, holders: set[ProcessID]) -> list[ProcessID]:
        """Return members which may take a replica, the best first."""
        zones = {member.zone for member in holders}

        def badness(member: ProcessID) -> tuple[bool, bool, float, ProcessID]:
            return (
                member.zone in zones,
                member not in self._current[item],
                self._load(member) / (self._limits[member] or 1),
                member,
            )

        free = (m for m in self._members if m not in holders and self._limits[m] > 0)
        return sorted(free, key=badness)

    def _chain(self, starts: list[_Step], bounds: Mapping[ProcessID, int]) -> _Step | None:
        """Return the shortest chain from one of `starts` to a member with room, breadth first."""
        queue = deque(starts)
        seen = {step.to for step in starts}
        while queue:
            step = queue.popleft()
            # A start without an item is a member which must give something away.
            if step.item and self._load(step.to) < bounds[step.to]:
                return step
            for item in sorted(self._held[step.to]):
                for member in self._candidates(item, self._holders[item] - {step.to}):
                    if member not in seen and self._may_move(item, step.to, member):
                        seen.add(member)
                        queue.append(_Step(member, item, step))
        return None

    def _may_move(self, item: str, source: ProcessID, target: ProcessID) -> bool:
        """Tell whether the move leaves the item in two zones, if it was."""
        before = {member.zone for member in self._holders[item]}
        after = {member.zone for member in self._holders[item] - {source}} | {target.zone}
        return len(after) >= min(2, len(before))

    def _apply(self, step: _Step) -> None:
        last: _Step | None = step
        while last is not None:
            if last.item:
                if last.before is not None:
                    self._take(last.item, last.before.to)
                self._give(last.item, last.to)
            last = last.before


def _fair_share(limit: int, state: AllocState) -> int:
    """Return the share of a member's limit which all slots need, rounded up."""
    if state.capacity <= state.slots:
        return limit
    return -(-limit * state.slots // state.capacity)
