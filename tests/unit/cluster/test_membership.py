"""Joining the cluster, losing the lease, joining anew; and a mirror whose etcd comes and goes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
from keyspaces import ROOT, process, spec

from gazette_py.clock import SYSTEM
from gazette_py.cluster import mirror as mirror_module
from gazette_py.cluster.mirror import Mirror
from gazette_py.cluster.session import ANNOUNCE_S_MIN, Session
from gazette_py.errors import EtcdError, EtcdUnavailableError
from gazette_py.etcd.base import Compare, Delete, Etcd, Op, Put, TxnResult
from gazette_py.protocol import convert, keys
from gazette_py.protocol.route import BrokerSpec
from gazette_py.testing.memory_etcd import MemoryEtcd

BROKER = BrokerSpec(id=process("a/broker-1"), endpoint="http://a:1", journal_limit=10)


class FastClock:
    """A clock on which every wait is over at once, and which has moved on by it."""

    def __init__(self, on_sleep: Callable[[], None] | None = None) -> None:
        self.time = 1000.0
        self.on_sleep = on_sleep

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        if self.on_sleep is not None:
            self.on_sleep()
        await asyncio.sleep(0)

    def uniform(self, low: float, high: float) -> float:
        return low

    def token_hex(self, nbytes: int) -> str:
        return "0" * 2 * nbytes


def session_of(etcd: Etcd, clock: FastClock | None = None) -> Session:
    return Session(etcd, ROOT, BROKER, ttl_s=2, clock=clock or FastClock())


async def members(etcd: Etcd) -> list[int]:
    """Return the lease of each member key."""
    listed = await etcd.range_prefix(f"{ROOT}/members/".encode())
    return [kv.lease for kv in listed.kvs]


async def test_a_session_which_lost_its_lease_joins_with_another() -> None:
    etcd = MemoryEtcd()
    async with session_of(etcd) as session:
        (first,) = await members(etcd)
        assert session.valid_until() > 0
        created = session.revision
        etcd.expire_lease(first)
        await session.wait_lost()
        assert session.valid_until() == 0.0
        await session.rejoin()
        (second,) = await members(etcd)
        assert second != first
        assert session.valid_until() > 0
        assert session.revision > created
    assert await members(etcd) == []


async def test_an_earlier_process_of_the_same_id_is_waited_for() -> None:
    etcd = MemoryEtcd()
    async with session_of(etcd):
        (earlier,) = await members(etcd)
        clock = FastClock(on_sleep=lambda: etcd.expire_lease(earlier))
        async with session_of(etcd, clock):
            (ours,) = await members(etcd)
            assert ours != earlier


async def test_two_brokers_of_one_id_are_one_too_many() -> None:
    etcd, clock = MemoryEtcd(), FastClock()
    async with session_of(etcd):
        before = await members(etcd)
        began = clock.time
        with pytest.raises(EtcdError, match=r"a broker a/broker-1 is in the cluster.*--broker\.id"):
            async with session_of(etcd, clock):
                pytest.fail("joined")
        assert clock.time - began >= ANNOUNCE_S_MIN
        assert await members(etcd) == before


class AwayEtcd(MemoryEtcd):
    """Does not answer as often as told."""

    unanswered = 0

    async def txn(
        self, compares: Sequence[Compare], success: Sequence[Op], failure: Sequence[Op] = ()
    ) -> TxnResult:
        if self.unanswered:
            self.unanswered -= 1
            raise EtcdUnavailableError("etcd does not answer")
        return await super().txn(compares, success, failure)


@asynccontextmanager
async def following(mirror: Mirror) -> AsyncIterator["asyncio.Task[None]"]:
    """Have the mirror follow etcd, for as long as a test may take."""
    running = asyncio.create_task(mirror.run())
    try:
        async with asyncio.timeout(5):
            yield running
    finally:
        running.cancel()
        await asyncio.wait([running])


async def put_item(etcd: Etcd, name: str) -> int:
    value = convert.journal_to_pb(spec(name)).SerializeToString()
    return (await etcd.txn([], [Put(keys.item_key(ROOT, name).encode(), value)])).header.revision


async def test_a_compacted_mirror_loads_anew_once_etcd_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mirror_module, "RELOAD_RETRY_S", 0.001)
    etcd = AwayEtcd()
    mirror = Mirror(etcd, ROOT, clock=SYSTEM, watch_delay_s=0)
    await mirror.load(await put_item(etcd, "aa/one"))
    reloads: list[bool] = []
    mirror.add_observer(lambda delta: reloads.append(delta.is_reload))
    for name in ("aa/two", "aa/three"):
        newest = await put_item(etcd, name)
    etcd.compact(newest)
    etcd.unanswered = 3
    async with following(mirror) as running:
        while mirror.read_through < newest:
            assert not running.done()
            await asyncio.sleep(0.001)
    assert sorted(mirror.keyspace.items) == ["aa/one", "aa/three", "aa/two"]
    assert reloads == [True]
    assert etcd.unanswered == 0


async def test_to_catch_up_is_to_see_what_etcd_has_now() -> None:
    etcd = MemoryEtcd()
    mirror = Mirror(etcd, ROOT, clock=SYSTEM, watch_delay_s=0)
    await mirror.load(await put_item(etcd, "aa/one"))
    async with following(mirror):
        await put_item(etcd, "aa/two")
        await mirror.catch_up()
        assert mirror.keyspace.item("aa/two") is not None


async def test_an_audit_finds_what_differs_and_the_mirror_is_loaded_anew() -> None:
    etcd = MemoryEtcd()
    mirror = Mirror(etcd, ROOT, clock=SYSTEM, watch_delay_s=0)
    await mirror.load(await put_item(etcd, "aa/one"))
    reloads: list[bool] = []
    mirror.add_observer(lambda delta: reloads.append(delta.is_reload))
    async with following(mirror):
        await put_item(etcd, "aa/two")
        assert await mirror.audit() == 0
        del mirror.keyspace.items["aa/one"]  # As a bug might.
        assert await mirror.audit() == 1
        while mirror.keyspace.item("aa/one") is None:
            await asyncio.sleep(0)
        assert await mirror.audit() == 0
        # And it goes on to follow.
        await put_item(etcd, "aa/three")
        await mirror.catch_up()
        assert sorted(mirror.keyspace.items) == ["aa/one", "aa/three", "aa/two"]
        assert reloads.count(True) == 1


async def test_a_key_deleted_while_we_compare_is_no_difference() -> None:
    etcd = MemoryEtcd()
    mirror = Mirror(etcd, ROOT, clock=SYSTEM, watch_delay_s=0)
    await put_item(etcd, "aa/one")
    await mirror.load(await put_item(etcd, "aa/two"))
    listing = etcd.range_prefix

    async def range_then_delete(*args: object, **more: object) -> object:
        listed = await listing(*args, **more)  # type: ignore[arg-type]  # As given.
        await etcd.txn([], [Delete(keys.item_key(ROOT, "aa/one").encode())])
        await mirror.catch_up()
        return listed

    etcd.range_prefix = range_then_delete  # type: ignore[assignment,method-assign]  # For a moment.
    async with following(mirror):
        assert await mirror.audit() == 0
