"""The leader's transactions: what they compare, how large they are, and what follows a failure."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from keyspaces import ROOT, process, spec

from gazette_py.cluster.allocate import run_allocator
from gazette_py.cluster.mirror import Mirror
from gazette_py.errors import EtcdError
from gazette_py.etcd.base import Compare, Op, Put, Target, TxnResult
from gazette_py.protocol import convert, keys
from gazette_py.protocol.route import BrokerSpec, Route
from gazette_py.testing.memory_etcd import MemoryEtcd

LEADER, SECOND, THIRD = "a/leader", "b/second", "c/third"
DEADLINE_S = 10


class Hurry:
    """A clock which does not wait."""

    def now(self) -> float:
        return 0.0

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)

    def uniform(self, low: float, high: float) -> float:
        return low

    def token_hex(self, nbytes: int) -> str:
        return "0" * 2 * nbytes


class Recording(MemoryEtcd):
    """Keeps the allocator's transactions, and does `before_next` ahead of the next one."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[tuple[Sequence[Compare], Sequence[Op], bool]] = []
        self.before_next: Callable[[], object] | None = None
        self.errors: list[EtcdError] = []

    async def txn(
        self, compares: Sequence[Compare], success: Sequence[Op], failure: Sequence[Op] = ()
    ) -> TxnResult:
        if self.errors:
            raise self.errors.pop(0)
        before, self.before_next = self.before_next, None
        if before is not None:
            before()
        result = await super().txn(compares, success, failure)
        self.made.append((compares, success, result.succeeded))
        return result


class Ignored:
    """Metrics which nobody reads."""

    def allocator_round(self, *, added: int, removed: int, packed: int) -> None: ...

    def allocator_solved(self, seconds: float, *, items: int, members: int, slots: int) -> None: ...

    def allocator_short(self, limit: str, journals: int) -> None: ...


def member_key(member: str) -> bytes:
    return keys.member_key(ROOT, process(member)).encode()


class Bench:
    """An etcd of three members, and the mirror which one of them has of it."""

    def __init__(self) -> None:
        self.etcd = Recording()
        self.hand = self.etcd.client()  # Not recorded.
        self.mirror = Mirror(self.etcd, ROOT, clock=Hurry(), watch_delay_s=0)
        self.leases: dict[str, int] = {}

    async def announce(self, *members: str) -> None:
        for member in members:
            self.leases[member] = await self.hand.grant_lease(10)
            await self.hand.txn([], [self._member(member)])

    def _member(self, member: str) -> Put:
        broker = BrokerSpec(
            id=process(member), endpoint=f"http://{member}", journal_limit=1000, exiting=False
        )
        value = convert.broker_to_pb(broker).SerializeToString()
        return Put(member_key(member), value, lease=self.leases[member])

    async def create(self, *journals: str) -> None:
        for journal in journals:
            value = convert.journal_to_pb(spec(journal)).SerializeToString()
            await self.hand.txn([], [Put(keys.item_key(ROOT, journal).encode(), value)])

    def touch(self, member: str) -> None:
        """Rewrite the key of a member, so that its modification revision grows."""
        self.hand._apply([self._member(member)])
        self.hand._server.wake()

    async def mod_revision(self, member: str) -> int:
        return (await self.hand.range_prefix(member_key(member))).kvs[0].mod_revision

    async def assigned(self) -> list[tuple[str, int, bytes]]:
        """Return the key below the root, the lease and the value of every assignment."""
        prefix = f"{ROOT}/assign/".encode()
        found = await self.hand.range_prefix(prefix)
        return [(kv.key.removeprefix(prefix).decode(), kv.lease, kv.value) for kv in found.kvs]

    async def until_assigned(self, count: int) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while len(await self.assigned()) != count:
                await asyncio.sleep(0)

    @asynccontextmanager
    async def allocating(self, member: str) -> AsyncIterator[asyncio.Task[None]]:
        """Run mirror and allocator of a member."""
        await self.mirror.load((await self.hand.txn([], [])).header.revision)
        mirroring = asyncio.create_task(self.mirror.run())
        allocating = asyncio.create_task(
            run_allocator(
                self.etcd,
                self.mirror,
                process(member),
                max_replication=9,
                clock=Hurry(),
                metrics=Ignored(),
            )
        )
        try:
            yield allocating
        finally:
            for task in (allocating, mirroring):
                task.cancel()
            await asyncio.wait([allocating, mirroring])


async def test_assignments_are_empty_and_below_the_lease_of_their_member() -> None:
    bench = Bench()
    await bench.announce(LEADER, SECOND, THIRD)
    await bench.create("a/journal")
    async with bench.allocating(LEADER):
        await bench.until_assigned(3)
        assert await bench.assigned() == [
            ("a/journal#a#leader#0", bench.leases[LEADER], b""),
            ("a/journal#b#second#1", bench.leases[SECOND], b""),
            ("a/journal#c#third#2", bench.leases[THIRD], b""),
        ]


async def test_many_items_go_in_transactions_which_etcd_takes() -> None:
    """AL1: each of them compares the leader's key."""
    bench = Bench()
    await bench.announce(LEADER, SECOND, THIRD)
    await bench.create(*(f"journal/{n:03}" for n in range(150)))
    leads = Compare(member_key(LEADER), Target.MOD, await bench.mod_revision(LEADER))
    async with bench.allocating(LEADER):
        await bench.until_assigned(450)
    assert len(bench.etcd.made) >= 4
    for compares, ops, is_made in bench.etcd.made:
        assert leads in compares
        assert len(compares) <= 128
        assert len(ops) <= 128
        assert is_made


async def test_a_hand_over_is_one_transaction_which_keeps_values_and_leases() -> None:
    bench = Bench()
    await bench.announce(LEADER, SECOND)
    await bench.create("a/journal", "b/journal")
    value = convert.route_to_pb(Route((process(LEADER), process(SECOND)), 0)).SerializeToString()
    for journal in ("a/journal", "b/journal"):
        for slot, member in enumerate((LEADER, SECOND)):
            key = keys.assignment_key(ROOT, journal, process(member), slot).encode()
            await bench.hand.txn([], [Put(key, value, lease=bench.leases[member])])
    before = await bench.hand.range_prefix(f"{ROOT}/assign/a/".encode())
    async with bench.allocating(LEADER):
        async with asyncio.timeout(DEADLINE_S):
            while len(bench.etcd.made) < 1:
                await asyncio.sleep(0)
        assert await bench.assigned() == [
            ("a/journal#a#leader#1", bench.leases[LEADER], value),
            ("a/journal#b#second#0", bench.leases[SECOND], value),
            ("b/journal#a#leader#0", bench.leases[LEADER], value),
            ("b/journal#b#second#1", bench.leases[SECOND], value),
        ]
    ((compares, ops, is_made),) = bench.etcd.made
    assert is_made
    assert len(ops) == 4
    for kv in before.kvs:
        assert Compare(kv.key, Target.MOD, kv.mod_revision) in compares


async def test_only_the_oldest_member_writes() -> None:
    bench = Bench()
    await bench.announce(LEADER, SECOND)
    await bench.create("a/journal")
    async with bench.allocating(SECOND):
        for _ in range(20):
            await asyncio.sleep(0)
        assert bench.etcd.made == []
        await bench.hand.revoke_lease(bench.leases[LEADER])
        await bench.until_assigned(1)  # It leads now, and is the only one.
    assert [key for key, _, _ in await bench.assigned()] == ["a/journal#b#second#0"]


async def test_a_leader_whose_key_has_changed_writes_nothing_before_it_knows() -> None:
    """AL1, AL2: the next round compares the key as it is then."""
    bench = Bench()
    await bench.announce(LEADER, SECOND, THIRD)
    await bench.create("a/journal")
    bench.etcd.before_next = lambda: bench.touch(LEADER)
    async with bench.allocating(LEADER):
        await bench.until_assigned(3)
    assert [is_made for _, _, is_made in bench.etcd.made] == [False, True]


async def test_a_leader_goes_on_after_etcd_has_refused() -> None:
    """As one which has no space left does. Would leaders end for it, all brokers would in turn."""
    bench = Bench()
    await bench.announce(LEADER, SECOND, THIRD)
    await bench.create("a/journal")
    bench.etcd.errors = [EtcdError("database space exceeded") for _ in range(3)]
    async with bench.allocating(LEADER) as allocating:
        await bench.until_assigned(3)
        assert not allocating.done()
    assert bench.etcd.errors == []
