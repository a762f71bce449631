"""What every implementation of `etcd.base.Etcd` does, a real etcd included."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest
from etcd_server import etcd

from gazette_py.errors import EtcdCompactedError, EtcdError, EtcdUnavailableError
from gazette_py.etcd.base import Compare, Delete, Etcd, Event, Put, Target, WatchBatch
from gazette_py.etcd.client import connect
from gazette_py.testing.memory_etcd import MemoryEtcd

TIMEOUT_S = 20.0


@pytest.fixture(scope="module")
def etcd_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with etcd(tmp_path_factory.mktemp("etcd")) as url:
        yield url


@pytest.fixture(params=["memory", "etcd"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Etcd]:
    client: Etcd
    if request.param == "memory":
        client = MemoryEtcd()
    else:
        client = await connect(request.getfixturevalue("etcd_url"))
    try:
        yield client
    finally:
        await client.close()


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> bytes:
    """Return a prefix of the test's own."""
    return f"/{request.node.name}/".encode()


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
    with pytest.raises(EtcdError, match="too many operations"):
        await store.txn([], [Put(prefix + b"%d" % n, b"") for n in range(129)])
    with pytest.raises(EtcdError, match="lease"):
        await store.txn([], [Put(prefix, b"", lease=12345)])
    with pytest.raises(EtcdError, match="key not found"):
        await store.txn([], [Put(prefix, b"", ignore_lease=True)])
    assert (await store.range_prefix(prefix)).kvs == ()


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
    async with aclosing(store.watch_prefix(prefix, revision + 1)) as batches:  # type: ignore[type-var]
        await store.revoke_lease(lease)
        events = await take(batches, 3)
    assert all(event.is_delete for event in events)
    assert len({event.kv.mod_revision for event in events}) == 1
    await store.revoke_lease(lease)  # Again is no error.


async def test_a_watch_begins_in_the_past_and_goes_on(store: Etcd, prefix: bytes) -> None:
    first = await put(store, prefix + b"a", b"1")
    await put(store, prefix + b"a", b"2")
    await put(store, prefix[:-1] + b"~outside", b"")
    async with aclosing(store.watch_prefix(prefix, first)) as batches:  # type: ignore[type-var]
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
    async with aclosing(store.watch_prefix(prefix, revision + 1)) as batches:  # type: ignore[type-var]
        await store.txn([], ops)
        async with asyncio.timeout(TIMEOUT_S):
            while not (batch := await anext(batches)).events:
                pass
    assert [event.kv.key for event in batch.events] == [op.key for op in ops]


async def test_many_large_revisions_are_caught_up_with(store: Etcd, prefix: bytes) -> None:
    revision = 0
    for n in range(12):  # More than one message may hold.
        written = await put(store, prefix + b"%d" % n, b"x" * 1_000_000)
        revision = revision or written
    async with aclosing(store.watch_prefix(prefix, revision)) as batches:  # type: ignore[type-var]
        events = await take(batches, 12)
    assert [event.kv.key for event in events] == [prefix + b"%d" % n for n in range(12)]


async def test_progress_tells_that_nothing_more_came(store: Etcd, prefix: bytes) -> None:
    revision = await put(store, prefix + b"a")
    async with aclosing(store.watch_prefix(prefix, revision)) as batches:  # type: ignore[type-var]
        await take(batches, 1)
        outside = await put(store, b"/outside/" + prefix)

        async def progress() -> int:
            while True:
                batch = await anext(batches)
                assert not batch.events
                if batch.header.revision >= outside:
                    return batch.header.revision

        waiting = asyncio.ensure_future(progress())
        async with asyncio.timeout(TIMEOUT_S):
            while not waiting.done():
                await store.request_progress()
                await asyncio.wait([waiting], timeout=0.1)
        assert waiting.result() >= outside


async def test_a_lease_which_is_gone_is_noticed(store: Etcd) -> None:
    lease = await store.grant_lease(60)
    keeper = store.keep_alive(lease, 60)
    await store.revoke_lease(lease)
    late = store.keep_alive(lease, 60)
    async with asyncio.timeout(TIMEOUT_S):
        await late.wait_lost()
    assert late.valid_until() == 0.0
    await keeper.stop()
    await late.stop()


async def test_compaction_of_memory() -> None:
    store = MemoryEtcd()
    first = await put(store, b"a", b"1")
    second = await put(store, b"a", b"2")
    store.compact(second)
    with pytest.raises(EtcdCompactedError):
        await store.range_prefix(b"a", first)
    with pytest.raises(EtcdCompactedError):
        await anext(store.watch_prefix(b"a", first))


async def test_compaction_of_etcd(etcd_url: str) -> None:
    store = await connect(etcd_url)
    try:
        first = await put(store, b"/compacted/a", b"1")
        second = await put(store, b"/compacted/a", b"2")
        _compact(etcd_url, second)
        with pytest.raises(EtcdCompactedError):
            await store.range_prefix(b"/compacted/", first)
        batches = store.watch_prefix(b"/compacted/", first)
        with pytest.raises(EtcdCompactedError):
            await anext(batches)
    finally:
        await store.close()


def _compact(url: str, revision: int) -> None:
    """Compact by etcd's JSON gateway: brokers never do, so our client cannot."""
    subprocess.run(
        ["curl", "-sf", f"{url}/v3/kv/compaction", "-d", f'{{"revision": "{revision}"}}'],
        check=True,
        capture_output=True,
    )


async def test_a_lease_is_kept_alive_by_its_thread(etcd_url: str) -> None:
    store = await connect(etcd_url)
    try:
        lease = await store.grant_lease(1)
        await put(store, b"/kept", b"", lease=lease)
        keeper = store.keep_alive(lease, 1)
        before = keeper.valid_until()
        await asyncio.sleep(2.5)
        assert keeper.valid_until() > before + 1
        assert (await store.range_prefix(b"/kept")).kvs
        await keeper.stop()
        await asyncio.sleep(3)
        assert not (await store.range_prefix(b"/kept")).kvs
    finally:
        await store.close()


async def test_an_etcd_which_ends_is_unavailable_and_its_lease_is_lost(tmp_path: Path) -> None:
    with etcd(tmp_path) as url:
        store = await connect(url, timeout_s=1.0)
        lease = await store.grant_lease(1)
        keeper = store.keep_alive(lease, 1)
    with pytest.raises(EtcdUnavailableError, match="127.0.0.1"):
        await store.range_prefix(b"a")
    async with asyncio.timeout(TIMEOUT_S):
        await keeper.wait_lost()
    await keeper.stop()
    await store.close()


async def test_a_watch_survives_a_restart(tmp_path: Path) -> None:
    with etcd(tmp_path) as url:
        store = await connect(url)
        batches = store.watch_prefix(b"/a", 1)
        await put(store, b"/a", b"1")
        await take(batches, 1)
    port = url.rpartition(":")[2]
    # Its data is gone with it: the new one counts revisions anew, far below where we were.
    with etcd(tmp_path, f"--listen-client-urls=http://127.0.0.1:{port}"):
        other = await connect(url)
        for n in range(4):
            await put(other, b"/a", b"%d" % n)
        events = await take(batches, 1)
        assert events[0].kv.mod_revision > 2
        await other.close()
    await batches.aclose()  # type: ignore[attr-defined]
    await store.close()


async def test_an_address_which_nobody_listens_at() -> None:
    with pytest.raises(EtcdUnavailableError, match="127.0.0.1:1"):
        await connect("http://127.0.0.1:1", timeout_s=0.5)
