"""Which changes may be made now, on the way to the desired assignment.

Invariants, which every broker of a cluster relies on:
    PL1  Of a journal which is not consistent nothing is removed, and of a consistent one only what
         exceeds its replication: whoever took part in the last append stays until its successors
         do.
    PL2  An assignment is added with an empty value, below the lease of its member.
    PL3  A move of an assignment to another slot keeps its value and lease.
    PL4  All changes of one item are made together.

Source: gazette/core allocator/item_state.go.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from gazette_py.core.allocator.solve import Desired
from gazette_py.core.allocator.state import AllocState
from gazette_py.core.keyspace import Assignment, Item, KeySpace, Member
from gazette_py.protocol.route import ProcessID


@dataclass(frozen=True, slots=True)
class Add:
    """Assign an item to a member."""

    journal: str
    member: Member
    slot: int


@dataclass(frozen=True, slots=True)
class Remove:
    """Take an assignment of an item which exists."""

    item: Item
    assignment: Assignment


@dataclass(frozen=True, slots=True)
class Move:
    """Give an assignment another slot."""

    assignment: Assignment
    slot: int


@dataclass(frozen=True, slots=True)
class RemoveDead:
    """Take the assignments of an item which does not exist any more."""

    journal: str
    assignments: tuple[Assignment, ...]


Change = Add | Remove | Move | RemoveDead
Checkpoint = list[Change]
"""Changes of one item."""


@dataclass(slots=True)
class _Loads:
    """What members hold, with what is planned."""

    total: dict[ProcessID, int] = field(default_factory=dict)
    primary: dict[ProcessID, int] = field(default_factory=dict)


def plan(state: AllocState, keyspace: KeySpace, desired: Desired) -> Iterator[Checkpoint]:
    """Yield the changes which may be made now, item by item."""
    loads = _Loads()
    for member in state.members:
        held = keyspace.assignments_by_member(member)
        loads.total[member] = len(held)
        loads.primary[member] = sum(assignment.slot == 0 for assignment in held)
    for journal in sorted(keyspace.assigned_journals()):
        if keyspace.item(journal) is None and (dead := keyspace.assignments_of(journal)):
            yield [RemoveDead(journal, dead)]
    for item, replication in state.items:
        wanted = desired.get(item.name, frozenset())
        changes = _ItemPlan(state, keyspace, loads, item, replication, wanted).changes()
        if changes:
            yield changes


class _ItemPlan:
    def __init__(
        self,
        state: AllocState,
        keyspace: KeySpace,
        loads: _Loads,
        item: Item,
        replication: int,
        desired: frozenset[ProcessID],
    ) -> None:
        self._state = state
        self._loads = loads
        self._item = item
        self._replication = replication
        self._desired = desired
        self._current = keyspace.assignments_of(item.name)
        self._is_consistent = keyspace.is_consistent(item.name)

    def changes(self) -> Checkpoint:
        removed = self._removals()
        staying = [a for a in self._current if a not in removed]
        changes: Checkpoint = [Remove(self._item, assignment) for assignment in removed]
        for assignment in removed:
            self._count(assignment.member, -1, is_primary=assignment.slot == 0)
        promoted = self._promotion(staying)
        if promoted is not None:
            changes.append(Move(promoted, 0))
            self._loads.primary[promoted.member] = self._loads.primary.get(promoted.member, 0) + 1
        added = self._additions(has_primary=bool(staying))
        changes += added
        if not removed and not added and promoted is None:
            changes += self._packing(staying)
        return changes

    def _removals(self) -> list[Assignment]:
        """Return assignments which are not desired, and may go now (PL1)."""
        candidates = [a for a in self._current if a.member not in self._desired]
        candidates.sort(key=lambda a: (-self._ratio(a.member, self._loads.total), a.key))
        if self._replication == 0:
            return candidates
        spare = len(self._current) - self._replication if self._is_consistent else 0
        return candidates[: max(0, spare)]

    def _promotion(self, staying: list[Assignment]) -> Assignment | None:
        if not staying or any(assignment.slot == 0 for assignment in staying):
            return None
        return min(
            staying,
            key=lambda a: (self._ratio(a.member, self._loads.primary), a.slot, a.key),
        )

    def _additions(self, *, has_primary: bool) -> list[Add]:
        held = {assignment.member for assignment in self._current}
        missing = [
            member
            for member in sorted(self._desired - held)
            if self._loads.total[member] < self._state.shares[member].effective
        ]
        if not has_primary and not self._current:
            # A new item's primary is whom we like: the one with the fewest.
            missing.sort(key=lambda m: (self._ratio(m, self._loads.primary), m))
        slot = max((assignment.slot for assignment in self._current), default=-1) + 1
        added = []
        for member in missing:
            added.append(Add(self._item.name, self._state.members[member], slot))
            self._count(member, 1, is_primary=slot == 0)
            slot += 1
        return added

    def _packing(self, staying: list[Assignment]) -> list[Move]:
        """Return a move of one assignment down to its rank."""
        for rank, assignment in enumerate(sorted(staying, key=lambda a: a.slot)):
            if assignment.slot > rank > 0:
                return [Move(assignment, rank)]
        return []

    def _count(self, member: ProcessID, change: int, *, is_primary: bool) -> None:
        self._loads.total[member] = self._loads.total.get(member, 0) + change
        if is_primary:
            self._loads.primary[member] = self._loads.primary.get(member, 0) + change

    def _ratio(self, member: ProcessID, loads: dict[ProcessID, int]) -> float:
        share = self._state.shares.get(member)
        if share is None or share.effective <= 0:
            return float("inf")
        return loads.get(member, 0) / share.effective
