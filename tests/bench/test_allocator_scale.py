"""The allocator's solver at scale: how long it takes, how many replicas move, and primaries.

    pytest -m bench -s tests/bench/test_allocator_scale.py

GAZETTE_BENCH_LARGE=1 adds 100,000 journals on 100 brokers. Times are of the process, so that other
work of the machine counts little. A row's moves are replicas which go to another member; beside
them is the least there can be: replicas which nobody holds, and those which members have beyond
their fair share. Then come hand-overs of journals which had a primary, and the fewest and the most
primaries of a member.
"""

import os
import time
from collections import Counter
from dataclasses import dataclass, field

import pytest
from keyspaces import Maker, process

from gazette_py.core.allocator.primaries import Primaries, choose_primaries
from gazette_py.core.allocator.solve import Current, Desired, Solver
from gazette_py.core.allocator.state import AllocState, observe

pytestmark = [pytest.mark.bench, pytest.mark.timeout(1800)]

SHORT = "GAZETTE_BENCH_SECONDS" in os.environ
SIZES = [(300, 10, 3)] if SHORT else [(5_000, 30, 3)]
if "GAZETTE_BENCH_LARGE" in os.environ:
    SIZES.append((100_000, 100, 3))


@dataclass
class Cluster:
    """Members with room for half as much again as there is, and who holds what."""

    journals: int
    members: int
    replication: int
    maker: Maker = field(default_factory=Maker)
    held: Current = field(default_factory=dict)
    primaries: Primaries = field(default_factory=dict)
    solver: Solver = field(default_factory=Solver)

    def __post_init__(self) -> None:
        for n in range(self.members):
            self.join(n)
        for n in range(self.journals):
            self.maker.item(f"scale/journal-{n:06}", self.replication)

    def join(self, n: int) -> None:
        limit = self.journals * self.replication * 3 // (2 * self.members)
        self.maker.member(f"zone-{n % 3}/broker-{n:03}", limit)

    def leave(self, n: int) -> None:
        member = process(f"zone-{n % 3}/broker-{n:03}")
        key = next(
            key for key in self.maker.kvs if key.endswith(str(member).replace("/", "#").encode())
        )
        self.maker.delete(key)
        self.held = {
            name: tuple(holder for holder in holders if holder != member)
            for name, holders in self.held.items()
        }

    def state(self) -> AllocState:
        state = observe(self.maker.keyspace(), 9)
        for item, _ in state.items:
            self.held.setdefault(item.name, ())  # type: ignore[attr-defined]  # It is ours.
        return state

    def least(self, state: AllocState) -> int:
        """Return how many replicas have to go to another member at least."""
        load = Counter(holder for holders in self.held.values() for holder in holders)
        fair = {
            m: -(-share.limit * state.slots // state.capacity) for m, share in state.shares.items()
        }
        beyond = sum(max(0, count - fair[member]) for member, count in load.items())
        return max(state.slots - load.total(), beyond)

    def solve(self, what: str) -> None:
        state = self.state()
        least = self.least(state)
        before, led = self.held, self.primaries
        began = time.process_time()
        found: Desired = self.solver.solve(state, before)
        solved = time.process_time()
        self.primaries = choose_primaries(state, before, led, found)
        chosen = time.process_time()
        moves = sum(len(found[name] - set(before[name])) for name in found)
        placed = sum(len(holders) for holders in found.values())
        handovers = sum(
            led[name] in found[name] and led[name] != primary
            for name, primary in self.primaries.items()
            if name in led
        )
        loads = Counter(self.primaries.values())
        few, many = min(loads[m] for m in state.members), max(loads.values())
        print(
            f"| {what} | {(solved - began) * 1000:,.0f} ms | {(chosen - solved) * 1000:,.0f} ms"
            f" | {moves:,} | {least:,} | {handovers:,} | {few:,}..{many:,} |"
        )
        assert placed == state.slots
        assert moves >= least
        self.held = {
            name: before[name] if holders == set(before[name]) else tuple(sorted(holders))
            for name, holders in found.items()
        }


@pytest.mark.parametrize(("journals", "members", "replication"), SIZES)
def test_solving(journals: int, members: int, replication: int) -> None:
    cluster = Cluster(journals, members, replication)
    print(f"\n{journals:,} journals x {members} brokers x R={replication}")
    print("| what | assignments | primaries | moves | least | hand-overs | primaries each |")
    print("|---|---|---|---|---|---|---|")
    cluster.solve("cold")
    cluster.solve("all of it assigned")
    cluster.solve("nothing changed")
    cluster.maker.item("scale/journal-more", replication)
    cluster.solve("a journal more")
    cluster.join(members)
    cluster.solve("a broker joined")
    cluster.solve("all of it assigned")
    cluster.leave(1)
    cluster.solve("a broker left")
