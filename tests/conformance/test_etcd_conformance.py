"""What every implementation of `etcd.base.Etcd` does, a real etcd included."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass

import pytest
from etcd_server import EtcdServer, etcd

from gazette_py.clock import SYSTEM
from gazette_py.errors import EtcdCompactedError, EtcdError, EtcdLeaseLostError
from gazette_py.etcd.base import Compare, Delete, Etcd, Event, Put, Target, WatchBatch
from gazette_py.etcd.client import connect
from gazette_py.testing.memory_etcd import MemoryEtcd

TIMEOUT_S = 20.0


@dataclass
class Subject:
    """A client, and what an operator or time does to its etcd."""

    client: Etcd
    compact: Callable[[int], None]
    let_expire: Callable[[int], None]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    with etcd(tmp_path_factory.mktemp("etcd")) as running:
        yield running


@pytest.fixture(params=["memory", "etcd"])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    if request.param == "memory":
        memory = MemoryEtcd()
        yield Subject(memory, memory.compact, memory.expire_lease)
        return
    running: EtcdServer = request.getfixturevalue("server")
    client = await connect(running.url)

    def compact(revision: int) -> None:
        running.post("/v3/kv/compaction", {"revision": str(revision)})

    # A lease of etcd expires by itself.
    yield Subject(client, compact, lambda lease: None)
    await client.close()


@pytest.fixture
def store(subject: Subject) -> Etcd:
    return subject.client


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> bytes:
    """Return a prefix of the test's own."""
    return f"/{request.node.name}/".encode()


def watching(store: Etcd, prefix: bytes, revision: int) -> "aclosing[AsyncGenerator[WatchBatch]]":
    batches = store.watch_prefix(prefix, revision)
    assert isinstance(batches, AsyncGenerator)
    return aclosing(batches)


async def put(store: Etcd, key: bytes, value: bytes = b"", **more: object) -> int:
    result = await store.txn([], [Put(key, value, **more)])  # type: ignore[arg-type]
    return result.header.revision


async def take(batches: AsyncIterator[WatchBatch], count: int) -> list[Event]:
    """Return the next `count` events."""
    events: list[Event] = []
    async with asyncio.timeout(TIMEOUT_S):
        while len(events) < count:
            events += (await anext(batches)).events
    assert len(events) == count
    return events


async def next_events(batches: AsyncIterator[WatchBatch]) -> tuple[Event, ...]:
    """Return the events of the next batch which has some."""
    async with asyncio.timeout(TIMEOUT_S):
        while not (batch := await anext(batches)).events:
            pass
    return batch.events


async def test_a_range_has_keys_in_order_with_their_revisions(store: Etcd, prefix: bytes) -> None:
    first = await put(store, prefix + b"b", b"1")
    second = await put(store, prefix + b"a", b"2")
    third = await put(store, prefix + b"b", b"3")
    await put(store, prefix[:-1] + b"~outside", b"4")
    found = await store.range_prefix(prefix)
    assert [
        (kv.key, kv.value, kv.create_revision, kv.mod_revision, kv.version) for kv in found.kvs
    ] == [
        (prefix + b"a", b"2", second, second, 1),
        (prefix + b"b", b"3", first, third, 2),
    ]
    assert found.header.revision >= third
    assert found.header.cluster_id
    assert found.header.member_id
    assert found.header.raft_term


async def test_a_range_of_many_keys_at_an_old_revision(store: Etcd, prefix: bytes) -> None:
    revision = 0
    for first in range(0, 2100, 100):
        ops = [Put(prefix + b"%05d" % n, b"old") for n in range(first, first + 100)]
        revision = (await store.txn([], ops)).header.revision
    await put(store, prefix + b"00000", b"new")
    found = await store.range_prefix(prefix, revision)
    assert len(found.kvs) == 2100
    assert {kv.value for kv in found.kvs} == {b"old"}


@pytest.mark.parametrize("target", list(Target))
async def test_a_guard_of_a_missing_key_equals_zero(
    store: Etcd, prefix: bytes, target: Target
) -> None:
    assert (await store.txn([Compare(prefix, target, 0)], [])).succeeded
    assert not (await store.txn([Compare(prefix, target, 1)], [])).succeeded


async def test_guards_of_an_existing_key(store: Etcd, prefix: bytes) -> None:
    lease = await store.grant_lease(60)
    created = await put(store, prefix, b"1")
    changed = await put(store, prefix, b"2", lease=lease)
    for target, value in (
        (Target.VERSION, 2),
        (Target.CREATE, created),
        (Target.MOD, changed),
        (Target.LEASE, lease),
    ):
        assert (await store.txn([Compare(prefix, target, value)], [])).succeeded
        assert not (await store.txn([Compare(prefix, target, value + 1)], [])).succeeded


async def test_a_transaction_does_all_of_one_side(store: Etcd, prefix: bytes) -> None:
    await put(store, prefix + b"old")
    guard = Compare(prefix + b"old", Target.VERSION, 1)
    made = await store.txn([guard], [Delete(prefix + b"old"), Put(prefix + b"new", b"1")])
    assert made.succeeded
    assert [kv.key for kv in (await store.range_prefix(prefix)).kvs] == [prefix + b"new"]
    lost = await store.txn([guard], [Delete(prefix + b"new")], [Put(prefix + b"else", b"")])
    assert not lost.succeeded
    found = await store.range_prefix(prefix)
    assert [kv.key for kv in found.kvs] == [prefix + b"else", prefix + b"new"]
    assert {kv.mod_revision for kv in found.kvs} == {made.header.revision, lost.header.revision}


async def test_what_a_transaction_may_not_hold(store: Etcd, prefix: bytes) -> None:
    with pytest.raises(EtcdError, match="duplicate key"):
        await store.txn([], [Put(prefix, b"1"), Put(prefix, b"2")])
    with pytest.raises(EtcdError, match="duplicate key"):
        await store.txn([], [Delete(prefix), Put(prefix, b"2")])
    with pytest.raises(EtcdError, match="too many operations"):
        await store.txn([], [Put(prefix + b"%d" % n, b"") for n in range(129)])
    with pytest.raises(EtcdError, match="too many operations"):
        await store.txn([Compare(prefix, Target.MOD, 0)] * 129, [])
    with pytest.raises(EtcdError, match="key is not provided"):
        await store.txn([], [Put(b"", b"")])
    with pytest.raises(EtcdError, match="lease is provided"):
        await store.txn([], [Put(prefix, b"", lease=12345, ignore_lease=True)])
    with pytest.raises(EtcdLeaseLostError, match="lease not found"):
        await store.txn([], [Put(prefix, b"", lease=12345)])
    with pytest.raises(EtcdError, match="key not found"):
        await store.txn([], [Put(prefix, b"", ignore_lease=True)])
    assert (await store.range_prefix(prefix)).kvs == ()


async def test_a_transaction_with_one_bad_operation_does_nothing(
    store: Etcd, prefix: bytes
) -> None:
    before = await put(store, prefix + b"a", b"1")
    with pytest.raises(EtcdError, match="key not found"):
        await store.txn(
            [], [Put(prefix + b"a", b"2"), Put(prefix + b"missing", b"", ignore_lease=True)]
        )
    assert [(kv.key, kv.value) for kv in (await store.range_prefix(prefix)).kvs] == [
        (prefix + b"a", b"1")
    ]
    assert (await store.txn([], [])).header.revision == before


async def test_a_transaction_of_as_much_as_is_allowed(store: Etcd, prefix: bytes) -> None:
    guards = [Compare(prefix + b"%03d" % n, Target.VERSION, 0) for n in range(128)]
    puts = [Put(prefix + b"%03d" % n, b"") for n in range(128)]
    assert (await store.txn(guards, puts)).succeeded
    assert len((await store.range_prefix(prefix)).kvs) == 128


async def test_deleting_what_is_missing_makes_no_revision(store: Etcd, prefix: bytes) -> None:
    before = await put(store, prefix + b"a")
    after = await store.txn([], [Delete(prefix + b"b"), Delete(prefix + b"b")])
    assert after.succeeded
    assert after.header.revision == before


async def test_ignore_lease_keeps_the_lease_and_a_plain_put_drops_it(
    store: Etcd, prefix: bytes
) -> None:
    lease = await store.grant_lease(60)
    await put(store, prefix + b"kept", b"1", lease=lease)
    await put(store, prefix + b"dropped", b"1", lease=lease)
    await put(store, prefix + b"kept", b"2", ignore_lease=True)
    await put(store, prefix + b"dropped", b"2")
    found = (await store.range_prefix(prefix)).kvs
    assert [(kv.value, kv.lease) for kv in found] == [(b"2", 0), (b"2", lease)]
    await store.revoke_lease(lease)
    assert [kv.key for kv in (await store.range_prefix(prefix)).kvs] == [prefix + b"dropped"]


async def test_keys_of_a_lease_go_in_one_revision(store: Etcd, prefix: bytes) -> None:
    lease = await store.grant_lease(60)
    revision = 0
    for n in range(3):
        revision = await put(store, prefix + b"%d" % n, b"", lease=lease)
    async with watching(store, prefix, revision + 1) as batches:
        await store.revoke_lease(lease)
        events = await take(batches, 3)
    assert all(event.is_delete for event in events)
    assert len({event.kv.mod_revision for event in events}) == 1
    await store.revoke_lease(lease)  # Again is no error.


async def test_a_watch_begins_in_the_past_and_goes_on(store: Etcd, prefix: bytes) -> None:
    first = await put(store, prefix + b"a", b"1")
    await put(store, prefix + b"a", b"2")
    await put(store, prefix[:-1] + b"~outside", b"")
    async with watching(store, prefix, first) as batches:
        events = await take(batches, 2)
        assert [event.kv.value for event in events] == [b"1", b"2"]
        await store.txn([], [Put(prefix + b"b", b"3"), Delete(prefix + b"a")])
        events = await take(batches, 2)
    assert [(event.kv.key, event.is_delete) for event in events] == [
        (prefix + b"b", False),
        (prefix + b"a", True),
    ]


async def test_all_of_a_revision_comes_in_one_batch_however_large(
    store: Etcd, prefix: bytes
) -> None:
    revision = await put(store, prefix + b"begin")
    ops = [Put(prefix + b"%03d" % n, b"x" * 13_000) for n in range(100)]
    async with watching(store, prefix, revision + 1) as batches:
        await store.txn([], ops)
        events = await next_events(batches)
    assert [event.kv.key for event in events] == [op.key for op in ops]


async def test_many_large_revisions_are_caught_up_with(store: Etcd, prefix: bytes) -> None:
    revision = 0
    for n in range(12):  # More than one message may hold.
        written = await put(store, prefix + b"%d" % n, b"x" * 1_000_000)
        revision = revision or written
    async with watching(store, prefix, revision) as batches:
        events = await take(batches, 12)
    assert [event.kv.key for event in events] == [prefix + b"%d" % n for n in range(12)]


async def progress(batches: AsyncIterator[WatchBatch], revision: int) -> None:
    """Return once the watch has told that there was nothing up to `revision`."""
    while True:
        batch = await anext(batches)
        assert not batch.events
        if batch.header.revision >= revision:
            return


async def test_progress_tells_that_nothing_more_came(store: Etcd, prefix: bytes) -> None:
    revision = await put(store, prefix + b"a")
    async with watching(store, prefix, revision) as batches:
        await take(batches, 1)
        outside = await put(store, b"/outside/" + prefix)
        waiting = asyncio.ensure_future(progress(batches, outside))
        async with asyncio.timeout(TIMEOUT_S):
            while not waiting.done():
                await store.request_progress()
                await asyncio.wait([waiting], timeout=0.1)
        await waiting


async def test_a_watch_outlives_those_who_gave_up_waiting_for_its_progress(
    store: Etcd, prefix: bytes
) -> None:
    revision = await put(store, prefix + b"a")
    async with watching(store, prefix, revision) as batches:
        await take(batches, 1)
        waiting = asyncio.ensure_future(progress(batches, revision))
        async with asyncio.timeout(TIMEOUT_S):
            while not waiting.done():
                asked = [asyncio.ensure_future(store.request_progress()) for _ in range(3)]
                await asyncio.wait([waiting], timeout=0)
                asked[1].cancel()
                await asyncio.wait(asked)
        await waiting
        await put(store, prefix + b"a", b"2")
        assert [event.kv.value for event in await next_events(batches)] == [b"2"]


async def test_keys_of_an_expired_lease_are_deleted(subject: Subject, prefix: bytes) -> None:
    store = subject.client
    lease = await store.grant_lease(1)
    other = await store.grant_lease(60)
    await put(store, prefix + b"other", b"", lease=other)
    revision = await put(store, prefix + b"a", b"", lease=lease)
    async with watching(store, prefix, revision + 1) as batches:
        subject.let_expire(lease)
        events = await take(batches, 1)
    assert [(event.kv.key, event.is_delete) for event in events] == [(prefix + b"a", True)]
    assert [kv.key for kv in (await store.range_prefix(prefix)).kvs] == [prefix + b"other"]
    with pytest.raises(EtcdLeaseLostError):
        await put(store, prefix + b"a", b"", lease=lease)
    await store.revoke_lease(other)


async def test_a_lease_which_is_revoked_is_noticed_by_its_keeper(store: Etcd) -> None:
    lease = await store.grant_lease(3)
    keeper = store.keep_alive(lease, 3)
    waiting = asyncio.ensure_future(keeper.wait_lost())
    await store.revoke_lease(lease)
    async with asyncio.timeout(TIMEOUT_S):
        await waiting
    assert keeper.valid_until() == 0.0
    await keeper.stop()


async def test_a_keeper_of_a_lease_which_never_was_notices(store: Etcd) -> None:
    keeper = store.keep_alive(12345, 60)
    assert keeper.valid_until() <= SYSTEM.monotonic()
    async with asyncio.timeout(TIMEOUT_S):
        await keeper.wait_lost()
    assert keeper.valid_until() == 0.0
    await keeper.stop()


async def test_compaction_forgets_what_was_before_and_nothing_else(
    subject: Subject, prefix: bytes
) -> None:
    store = subject.client
    first = await put(store, prefix + b"a", b"1")
    await put(store, prefix + b"b", b"1")
    second = await put(store, prefix + b"a", b"2")
    async with watching(store, prefix, first) as batches:
        await take(batches, 3)
        subject.compact(second)
        with pytest.raises(EtcdCompactedError):
            await store.range_prefix(prefix, first)
        with pytest.raises(EtcdCompactedError):
            async with watching(store, prefix, first) as late:
                await anext(late)
        found = await store.range_prefix(prefix, second)
        assert [(kv.key, kv.value) for kv in found.kvs] == [
            (prefix + b"a", b"2"),
            (prefix + b"b", b"1"),
        ]
        third = await put(store, prefix + b"a", b"3")
        assert [event.kv.mod_revision for event in await take(batches, 1)] == [third]
    async with watching(store, prefix, second) as batches:
        assert [event.kv.value for event in await take(batches, 2)] == [b"2", b"3"]


async def test_a_range_of_a_revision_to_come_is_refused(store: Etcd, prefix: bytes) -> None:
    revision = await put(store, prefix)
    with pytest.raises(EtcdError, match="future revision"):
        await store.range_prefix(prefix, revision + 1000)


async def test_a_range_and_a_watch_of_everything(store: Etcd, prefix: bytes) -> None:
    revision = await put(store, prefix)
    assert prefix in {kv.key for kv in (await store.range_prefix(b"")).kvs}
    async with watching(store, b"", revision) as batches:
        assert [event.kv.key for event in await take(batches, 1)] == [prefix]


async def test_a_watch_from_no_revision_begins_now(store: Etcd, prefix: bytes) -> None:
    await put(store, prefix + b"a", b"1")
    async with watching(store, prefix, 0) as batches:
        waiting = asyncio.ensure_future(next_events(batches))
        async with asyncio.timeout(TIMEOUT_S):
            while not waiting.done():  # It begins some time after it was asked for.
                await put(store, prefix + b"a", b"2")
                await asyncio.wait([waiting], timeout=0.05)
    assert {event.kv.value for event in waiting.result()} == {b"2"}
