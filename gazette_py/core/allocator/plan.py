"""Which changes may be made now, on the way to the desired assignment.

Invariants, which every broker of a cluster relies on:
    PL1  Of a journal which is not consistent nothing is removed, and of a consistent one only what
         exceeds its replication: whoever took part in the last append stays until its successors
         do.
    PL2  An assignment is added with an empty value, below the lease of its member.
    PL3  A move of an assignment to another slot keeps its value and lease.
    PL4  All changes of one item are made together.
    PL5  Members which are full and wait for one another's items do not wait for ever: an item takes
         a detour, by way of a member with room. Each detour lets one desired assignment come about,
         and what is desired is never removed, so that this ends.
    PL6  A primary hands over to another only when all else of its item is done, and only as long as
         less than `HANDOVERS_MAX` items are on the way: until its Route is written, appends wait.

Source: gazette/core allocator/item_state.go.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from gazette_py.core.allocator.primaries import Primaries
from gazette_py.core.allocator.solve import Desired
from gazette_py.core.allocator.state import AllocState
from gazette_py.core.keyspace import Assignment, Item, KeySpace, Member
from gazette_py.protocol.route import ProcessID

HANDOVERS_MAX = 8


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


class _Loads:
    """What members hold, with what is planned."""

    def __init__(self, state: AllocState, keyspace: KeySpace) -> None:
        self._shares = state.shares
        self.total: dict[ProcessID, int] = {}
        self.primary: dict[ProcessID, int] = {}
        for member in state.members:
            held = keyspace.assignments_by_member(member)
            self.total[member] = len(held)
            self.primary[member] = sum(assignment.slot == 0 for assignment in held)

    def room(self, member: ProcessID) -> int:
        return self._shares[member].effective - self.total[member]

    def count(self, member: ProcessID, replicas: int, primaries: int) -> None:
        self.total[member] = self.total.get(member, 0) + replicas
        self.primary[member] = self.primary.get(member, 0) + primaries

    def total_ratio(self, member: ProcessID) -> float:
        return self._ratio(member, self.total)

    def primary_ratio(self, member: ProcessID) -> float:
        return self._ratio(member, self.primary)

    def _ratio(self, member: ProcessID, loads: dict[ProcessID, int]) -> float:
        share = self._shares.get(member)
        if share is None or share.effective <= 0:
            return float("inf")
        return loads.get(member, 0) / share.effective


def plan(
    state: AllocState, keyspace: KeySpace, desired: Desired, primaries: Primaries
) -> Iterator[Checkpoint]:
    """Yield the changes which may be made now, item by item."""
    loads = _Loads(state, keyspace)
    awaited = _awaited(state, keyspace, loads, desired)
    has_changes = False
    for journal in sorted(keyspace.assigned_journals()):
        if keyspace.item(journal) is None:
            has_changes = True
            yield [RemoveDead(journal, keyspace.assignments_of(journal))]
    changing: set[str] = set()
    uneven: dict[str, Checkpoint] = {}
    for item, replication in state.items:
        item_plan = _ItemPlan(
            state,
            keyspace,
            loads,
            awaited,
            item,
            replication,
            desired[item.name],
            primaries.get(item.name),
        )
        if not item_plan.is_settled and (changes := item_plan.changes()):
            has_changes = True
            changing.add(item.name)
            yield changes
        elif handover := item_plan.handover():
            uneven[item.name] = handover
    if uneven:
        yield from _handovers(state, keyspace, changing, uneven)
    if (
        awaited
        and not has_changes
        and not uneven
        and (detour := _detour(state, keyspace, loads, awaited, desired))
    ):
        yield [detour]


def _handovers(
    state: AllocState, keyspace: KeySpace, changing: set[str], uneven: dict[str, Checkpoint]
) -> list[Checkpoint]:
    """Return as many hand-overs as may be made now (PL6)."""
    on_their_way = changing | {
        item.name for item, _ in state.items if not keyspace.is_consistent(item.name)
    }
    ready = [handover for name, handover in uneven.items() if name not in on_their_way]
    return ready[: max(0, HANDOVERS_MAX - len(on_their_way))]


def _awaited(
    state: AllocState, keyspace: KeySpace, loads: _Loads, desired: Desired
) -> set[ProcessID]:
    """Return members which are full, and shall hold more."""
    full = {member for member in state.members if loads.room(member) <= 0}
    awaited: set[ProcessID] = set()
    for name, wanted in desired.items():
        if missing := wanted & full:
            awaited |= missing - {a.member for a in keyspace.assignments_of(name)}
    return awaited


def _detour(
    state: AllocState,
    keyspace: KeySpace,
    loads: _Loads,
    awaited: set[ProcessID],
    desired: Desired,
) -> Add | None:
    """Return the addition of an item to a member which shall not keep it, or None.

    Thereby the item may leave a member which another waits for (PL5).
    """
    if not all(keyspace.is_consistent(item.name) for item, _ in state.items):
        return None  # There are changes yet to come.
    for item, replication in state.items:
        current = keyspace.assignments_of(item.name)
        held = {assignment.member for assignment in current}
        if len(held) < replication or not (held - desired[item.name]) & awaited:
            continue
        free = [m for m in state.members if m not in held and loads.room(m) > 0]
        if free:
            through = max(free, key=lambda m: (loads.room(m), m))
            return Add(item.name, state.members[through], max(a.slot for a in current) + 1)
    return None


class _ItemPlan:
    def __init__(
        self,
        state: AllocState,
        keyspace: KeySpace,
        loads: _Loads,
        awaited: set[ProcessID],
        item: Item,
        replication: int,
        desired: frozenset[ProcessID],
        primary: ProcessID | None,
    ) -> None:
        self._state = state
        self._loads = loads
        self._awaited = awaited
        self._item = item
        self._replication = replication
        self._desired = desired
        self._current = keyspace.assignments_of(item.name)
        self._primary = primary  # Who shall be.
        self._keyspace = keyspace

    @property
    def is_settled(self) -> bool:
        """Tell whether just who shall hold the item does, in slots from 0 on."""
        slots = sorted(assignment.slot for assignment in self._current)
        return (
            len(slots) == len(self._desired)
            and slots == list(range(len(slots)))
            and all(assignment.member in self._desired for assignment in self._current)
        )

    def changes(self) -> Checkpoint:
        removed = self._removals()
        staying = [a for a in self._current if a not in removed]
        changes: Checkpoint = [Remove(self._item, assignment) for assignment in removed]
        for assignment in removed:
            self._loads.count(assignment.member, -1, -(assignment.slot == 0))
        promoted = self._promotion(staying)
        if promoted is not None:
            changes.append(Move(promoted, 0))
            self._loads.count(promoted.member, 0, 1)
        added = self._additions()
        changes += added
        if not removed and not added and promoted is None:
            changes += self._packing(staying)
        return changes

    def _removals(self) -> list[Assignment]:
        """Return assignments which are not desired, and may go now (PL1)."""
        candidates = [a for a in self._current if a.member not in self._desired]
        if not candidates:
            return []  # As most often: whether it is consistent takes long to tell.
        candidates.sort(
            key=lambda a: (
                a.member not in self._awaited,  # These first: others wait for them.
                -self._loads.total_ratio(a.member),
                a.key,
            )
        )
        if self._replication == 0:
            return candidates
        is_consistent = self._keyspace.is_consistent(self._item.name)
        spare = len(self._current) - self._replication if is_consistent else 0
        return candidates[: max(0, spare)]

    def _promotion(self, staying: list[Assignment]) -> Assignment | None:
        if not staying or any(assignment.slot == 0 for assignment in staying):
            return None
        return min(
            staying,
            key=lambda a: (
                a.member != self._primary,
                self._loads.primary_ratio(a.member),
                a.slot,
                a.key,
            ),
        )

    def handover(self) -> Checkpoint:
        """Return the moves by which the primary changes places, if nothing else is to do (PL6).

        Others may hold the item, too: those who cannot be spared, as replicas are not all placed.
        """
        if self._primary is None or not self._desired <= {a.member for a in self._current}:
            return []
        primary = next(a for a in self._current if a.slot == 0)
        if primary.member == self._primary:
            return []
        successor = next(a for a in self._current if a.member == self._primary)
        return [Move(primary, successor.slot), Move(successor, 0)]

    def _additions(self) -> list[Add]:
        held = {assignment.member for assignment in self._current}
        missing = [m for m in sorted(self._desired - held) if self._loads.room(m) > 0]
        if not self._current:
            missing.sort(key=lambda m: (m != self._primary, self._loads.primary_ratio(m), m))
        next_slot = max((assignment.slot for assignment in self._current), default=-1) + 1
        added = []
        for slot, member in enumerate(missing, start=next_slot):
            added.append(Add(self._item.name, self._state.members[member], slot))
            self._loads.count(member, 1, int(slot == 0))
        return added

    def _packing(self, staying: list[Assignment]) -> list[Move]:
        """Return a move of one assignment down to its rank."""
        for rank, assignment in enumerate(sorted(staying, key=lambda a: a.slot)):
            if assignment.slot > rank > 0:
                return [Move(assignment, rank)]
        return []
