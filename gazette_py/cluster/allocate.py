"""The allocator's loop: runs in every broker, and acts in the one which leads.

Invariants:
    AL1  Every transaction compares the modification revision of the leader's own member key: a
         leader which was deposed, or has changed, fails at once.
    AL2  A round ends at its first failed comparison. The next begins once the key space has news.
    AL3  Solving runs in a thread, beside the appends of this broker. What was solved is used only
         while items and members are still those it was solved for.

Source: gazette/core allocator/allocator.go.
"""

import asyncio
from typing import Protocol

from gazette_py.clock import Clock
from gazette_py.cluster.mirror import Mirror
from gazette_py.core.allocator.plan import Add, Change, Checkpoint, Move, Remove, RemoveDead, plan
from gazette_py.core.allocator.primaries import Primaries, choose_primaries, current_primaries
from gazette_py.core.allocator.shortfall import LIMITS, Limit, Shortfall, shortfalls
from gazette_py.core.allocator.solve import Desired, Solver, current_holders
from gazette_py.core.allocator.state import AllocState, observe
from gazette_py.core.keyspace import KeySpace, Member
from gazette_py.errors import EtcdError
from gazette_py.etcd.base import Compare, Delete, Etcd, Op, Put, Target
from gazette_py.protocol.keys import assignment_key, item_key
from gazette_py.protocol.route import ProcessID
from gazette_py.telemetry.log import get_logger

log = get_logger(__name__)

TXN_OPS_MAX = 128
"""Comparisons, and operations, which etcd takes in one transaction by default."""

RETRY_S = 1.0
"""After etcd could not be reached, or refused us."""


class AllocatorMetrics(Protocol):
    """Hears of the leader's work."""

    def allocator_round(self, *, added: int, removed: int, packed: int) -> None:
        """Changes were written."""

    def allocator_solved(self, seconds: float, *, items: int, members: int, slots: int) -> None:
        """The desired assignment was solved for."""

    def allocator_short(self, limit: str, journals: int) -> None:
        """So many journals cannot be placed as they ask, because of a limit."""


async def run_allocator(
    etcd: Etcd,
    mirror: Mirror,
    self_id: ProcessID,
    *,
    max_replication: int,
    clock: Clock,
    metrics: AllocatorMetrics,
) -> None:
    """Converge, as long as we lead, at every change of the key space. Runs until cancelled."""
    loop = _Allocator(etcd, mirror, self_id, max_replication, clock, metrics)
    while True:
        seen = mirror.keyspace.header.revision
        try:
            written = await loop.converge()
        except EtcdError as exc:
            # Also if it refuses, as when it has run out of space. To end here would help nobody: so
            # would the next leader, and the one after that.
            log.warning("allocator_round_failed", err=str(exc))
            await clock.sleep(RETRY_S)
            continue
        await mirror.wait_change(max(seen, written - 1))


class _Allocator:
    def __init__(
        self,
        etcd: Etcd,
        mirror: Mirror,
        self_id: ProcessID,
        max_replication: int,
        clock: Clock,
        metrics: AllocatorMetrics,
    ) -> None:
        self._etcd = etcd
        self._mirror = mirror
        self._self_id = self_id
        self._max_replication = max_replication
        self._clock = clock
        self._metrics = metrics
        self._fingerprint: object = None
        self._solver = Solver()
        self._desired: Desired = {}
        self._primaries: Primaries = {}
        self._short: dict[Limit, Shortfall] = {}

    async def converge(self) -> int:
        """Make the changes which may be made now; return the last revision written, or 0."""
        state = await self._solved_state()
        if state is None:
            return 0
        leader, keyspace = state.leader, self._mirror.keyspace
        assert leader is not None
        revision, batch = 0, _Batch(keyspace.root, leader)
        for checkpoint in list(plan(state, keyspace, self._desired, self._primaries)):
            if not batch.has_room(checkpoint):
                written = await self._write(batch)
                if not written:
                    return revision
                revision, batch = written, _Batch(keyspace.root, leader)
            batch.add(checkpoint)
        if batch.ops:
            revision = await self._write(batch) or revision
        return revision

    async def _solved_state(self) -> AllocState | None:
        """Return what there is now, which `_desired` was solved for, or None if another leads."""
        while True:
            keyspace = self._mirror.keyspace
            state = observe(keyspace, self._max_replication)
            if state.leader is None or state.leader.broker.id != self._self_id:
                # What we solved for is of another time.
                self._fingerprint, self._solver = None, Solver()
                return None
            fingerprint = state.fingerprint()
            if fingerprint == self._fingerprint:
                return state
            await self._solve(state, keyspace)
            self._fingerprint = fingerprint

    async def _solve(self, state: AllocState, keyspace: KeySpace) -> None:
        started = self._clock.monotonic()
        current, primaries = current_holders(state, keyspace), current_primaries(state, keyspace)
        self._desired = await asyncio.to_thread(self._solver.solve, state, current)
        self._primaries = await asyncio.to_thread(
            choose_primaries, state, current, primaries, self._desired
        )
        self._metrics.allocator_solved(
            self._clock.monotonic() - started,
            items=len(state.items),
            members=len(state.members),
            slots=state.slots,
        )
        short = shortfalls(state, self._desired)
        for limit in LIMITS:
            journals = short[limit].journals if limit in short else ()
            self._metrics.allocator_short(limit, len(journals))
        for each in short.values():
            if each != self._short.get(each.limit):
                log.warning(
                    "cannot_place", limit=each.limit, journals=len(each.journals), why=each.why
                )
        self._short = short

    async def _write(self, batch: "_Batch") -> int:
        """Return the revision, or 0 if a comparison failed."""
        result = await self._etcd.txn(batch.compares, batch.ops)
        if not result.succeeded:
            return 0
        self._metrics.allocator_round(added=batch.added, removed=batch.removed, packed=batch.packed)
        return result.header.revision


class _Batch:
    """One transaction in the making."""

    def __init__(self, root: str, leader: Member) -> None:
        self.compares = [Compare(leader.key, Target.MOD, leader.mod_revision)]
        self.ops: list[Op] = []
        self.added = self.removed = self.packed = 0
        self._root = root
        self._compared = {leader.key}

    def has_room(self, checkpoint: Checkpoint) -> bool:
        """Tell whether a checkpoint fits. Into an empty batch everything must."""
        if not self.ops:
            return True
        size = 2 * sum(
            len(change.assignments) + 1 if isinstance(change, RemoveDead) else 1
            for change in checkpoint
        )
        return max(len(self.compares), len(self.ops)) + size <= TXN_OPS_MAX

    def add(self, checkpoint: Checkpoint) -> None:
        """Take the changes of one item."""
        for change in checkpoint:
            self._add(change)

    def _add(self, change: Change) -> None:
        match change:
            case Add(journal, member, slot):
                self._compare(member.key, Target.MOD, member.mod_revision)
                key = assignment_key(self._root, journal, member.broker.id, slot).encode()
                self.ops.append(Put(key, b"", lease=member.lease))
                self.added += 1
            case Remove(item, assignment):
                key = item_key(self._root, item.name).encode()
                self._compare(key, Target.MOD, item.mod_revision)
                self._compare(assignment.key, Target.MOD, assignment.mod_revision)
                self.ops.append(Delete(assignment.key))
                self.removed += 1
            case Move(assignment, slot):
                self._compare(assignment.key, Target.MOD, assignment.mod_revision)
                moved = assignment_key(self._root, assignment.journal, assignment.member, slot)
                self.ops.append(Delete(assignment.key))
                self.ops.append(Put(moved.encode(), assignment.value, lease=assignment.lease))
                self.packed += 1
            case RemoveDead(journal, assignments):
                self._compare(item_key(self._root, journal).encode(), Target.CREATE, 0)
                for assignment in assignments:
                    self._compare(assignment.key, Target.MOD, assignment.mod_revision)
                    self.ops.append(Delete(assignment.key))
                    self.removed += 1

    def _compare(self, key: bytes, target: Target, equals: int) -> None:
        if key not in self._compared:
            self._compared.add(key)
            self.compares.append(Compare(key, target, equals))
