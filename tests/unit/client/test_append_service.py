"""Appends by the service, to brokers of this process whose calls fail when a test wants it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from gazette_py.client import Client
from gazette_py.client.append_service import UNSEEN_MAX, AppendService
from gazette_py.client.counts import Counts
from gazette_py.clock import SYSTEM
from gazette_py.core.append_queue import APPEND_BYTES, Limits
from gazette_py.errors import (
    AppendAbandonedError,
    AppendOutcomeUnknownError,
    JournalNotFoundError,
    RpcDeadlineError,
    StoreUnhealthyError,
    WrongAppendOffsetError,
)
from gazette_py.protocol.labels import Label, LabelSelector, LabelSet
from gazette_py.testing import InProcessCluster

ONE, TWO = "served/one", "served/two"


@pytest.fixture(scope="module")
def started() -> Iterator[InProcessCluster]:
    with InProcessCluster() as cluster:
        cluster.create(ONE, TWO)
        yield cluster


@pytest.fixture
def cluster(started: InProcessCluster) -> Iterator[InProcessCluster]:
    yield started
    started.faults.clear()


@pytest.fixture
async def client(cluster: InProcessCluster) -> AsyncIterator[Client]:
    async with cluster.connect() as made:
        yield made


async def test_many_small_appends_share_few_calls(client: Client) -> None:
    head = await client.write_head(ONE)
    async with client.append_service() as service:
        pending = [await service.append(ONE, b"%05d\n" % n) for n in range(2000)]
        done = await asyncio.gather(*pending)
    assert [each.begin for each in done] == [head + 6 * n for n in range(2000)]
    assert [each.end - each.begin for each in done] == [6] * 2000
    assert len({id(each.result) for each in done}) < 20
    content = await client.read_all(ONE, head, head + 12_000)
    assert content == b"".join(b"%05d\n" % n for n in range(2000))


async def test_calls_grow_while_one_is_under_way(client: Client, cluster: InProcessCluster) -> None:
    cluster.faults.delay("Append", 1.0)
    async with client.append_service() as service:
        first = await service.append(ONE, b"first")
        await asyncio.sleep(0.1)  # It is under way.
        others = []
        for n in range(50):
            others.append(await service.append(ONE, b"%d" % n))
            await asyncio.sleep(0)
        done = await asyncio.gather(first, *others)
    assert len({id(each.result) for each in done}) == 2


async def test_who_wants_more_than_there_is_room_for_waits(
    client: Client, cluster: InProcessCluster
) -> None:
    cluster.faults.delay("Append", 1.0)
    each = 1000 + APPEND_BYTES
    async with client.append_service(bytes_max=2 * each) as service:
        for _ in range(2):
            await service.append(ONE, b"x" * 1000)
        assert service.held_bytes == 2 * each
        assert service.try_append(ONE, b"y") is None
        waiting = asyncio.create_task(service.append(ONE, b"z" * 1000))
        given_up = asyncio.create_task(service.append(ONE, b"never"))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        given_up.cancel()
        done = await (await waiting)
        assert await client.read_all(ONE, done.begin, done.end) == b"z" * 1000
        pending = service.try_append(ONE, b"y")
        assert pending is not None
        assert (await pending).begin == done.end, "what was given up is not there"
        with pytest.raises(ValueError, match=r"use Client\.append, which streams"):
            await service.append(ONE, b"x" * 10_000)


async def test_what_brokers_cannot_take_now_is_tried_again(
    client: Client, cluster: InProcessCluster
) -> None:
    cluster.faults.refuse("Append", times=3)
    async with client.append_service() as service:
        done = await asyncio.gather(
            *[await service.append(ONE, b"%d" % n) for n in range(5)],
        )
    assert await client.read_all(ONE, done[0].begin, done[-1].end) == b"01234"


async def test_an_unknown_outcome_is_told_and_not_repeated(
    client: Client, cluster: InProcessCluster
) -> None:
    head = await client.write_head(ONE)
    cluster.faults.drop("Append")
    async with client.append_service() as service:
        lost = await service.append(ONE, b"lost")
        with pytest.raises(AppendOutcomeUnknownError):
            await lost
        after = await (await service.append(ONE, b"next"))
    assert after.begin == head + 4, "it happened, once"


async def test_at_least_once_repeats_it(client: Client, cluster: InProcessCluster) -> None:
    head = await client.write_head(ONE)
    cluster.faults.drop("Append")
    async with client.append_service(at_least_once=True) as service:
        done = await (await service.append(ONE, b"twice"))
    assert done.begin == head + 5
    assert await client.read_all(ONE, head, done.end) == b"twicetwice"


async def test_a_guarded_append_is_not_there_twice(
    client: Client, cluster: InProcessCluster
) -> None:
    head = (await client.append(ONE, b"before")).commit.end
    cluster.faults.drop("Append")
    async with client.append_service(at_least_once=True) as service:
        guarded = await service.append(ONE, b"once", offset=head)
        with pytest.raises(AppendOutcomeUnknownError, match="WRONG_APPEND_OFFSET"):
            await guarded
        with pytest.raises(WrongAppendOffsetError):
            await (await service.append(ONE, b"never", offset=head))
    assert await client.write_head(ONE) == head + 4


async def test_registers_are_those_of_one_append(client: Client) -> None:
    mine = LabelSet((Label("writer", "me"),))
    async with client.append_service() as service:
        await (await service.append(TWO, b"mine", union_registers=mine))
        checked = await service.append(TWO, b"still", check_registers=LabelSelector(mine))
        free = await service.append(TWO, b"whoever")
        assert (await checked).end == (await free).begin


async def test_one_append_comes_after_another(client: Client, cluster: InProcessCluster) -> None:
    heads = [await client.write_head(name) for name in (ONE, TWO)]
    cluster.faults.delay("Append", 1.0)
    async with client.append_service() as service:
        first = await service.append(ONE, b"first")
        second = await service.append(TWO, b"second", after=[first])
        await asyncio.sleep(0.15)
        assert not first.done()
        assert await client.write_head(TWO) == heads[1], "it has not begun"
        await second
        assert first.done()


async def test_what_comes_after_one_which_failed_is_not_sent(client: Client) -> None:
    head = await client.write_head(TWO)
    async with client.append_service() as service:
        first = await service.append("served/nowhere", b"first")
        second = await service.append(TWO, b"second", after=[first])
        with pytest.raises(JournalNotFoundError):
            await first
        with pytest.raises(AppendAbandonedError, match="served/nowhere"):
            await second
        assert await (await service.append(TWO, b"other")), "others go on"
    assert await client.write_head(TWO) == head + 5


async def test_a_deadline_ends_the_tries(client: Client, cluster: InProcessCluster) -> None:
    head = await client.write_head(ONE)
    cluster.faults.refuse("Append", times=None)
    async with client.append_service() as service:
        late = await service.append(ONE, b"late", timeout_s=0.3)
        with pytest.raises(RpcDeadlineError):
            await late
        cluster.faults.clear()
    assert await client.write_head(ONE) == head


async def test_leaving_sends_what_is_held_and_tells_what_failed(client: Client) -> None:
    head = await client.write_head(ONE)
    with pytest.raises(JournalNotFoundError):  # noqa: PT012  # It is raised as the context ends.
        async with client.append_service(linger_s=60) as service:
            await service.append("served/nowhere", b"nobody awaits it")
            await service.append(ONE, b"held")
    assert await client.read_all(ONE, head, head + 4) == b"held"


async def test_a_service_which_is_never_flushed_keeps_few_failures(client: Client) -> None:
    limits = Limits(bytes_max=1 << 20, batch_bytes_max=1 << 10, linger_s=0, sends_max=8)
    service = AppendService(
        client.append, SYSTEM, limits, counts=Counts(), at_least_once=False, timeout_s=60
    )
    failed = [await service.append(f"served/nowhere/{n}", b"x") for n in range(UNSEEN_MAX + 20)]
    while not all(pending.done() for pending in failed):
        await asyncio.sleep(0)
    assert len(service._unseen) == UNSEEN_MAX
    with pytest.raises(JournalNotFoundError):
        await service.flush()
    assert service._unseen == []


async def test_a_store_which_is_unhealthy_for_a_while_is_no_end(client: Client) -> None:
    """As brokers tell it: the status of an append, for as long as health checks fail."""
    told = [StoreUnhealthyError(ONE, "FRAGMENT_STORE_UNHEALTHY", "away")] * 3

    async def send(*args: Any, **more: Any) -> Any:
        if told:
            raise told.pop()
        return await client.append(*args, **more)

    limits = Limits(bytes_max=1 << 20, batch_bytes_max=1 << 10, linger_s=0, sends_max=1)
    service = AppendService(
        send, SYSTEM, limits, counts=Counts(), at_least_once=False, timeout_s=60
    )
    done = await (await service.append(ONE, b"hello"))
    assert await client.read_all(ONE, done.begin, done.end) == b"hello"
    assert not told


async def test_a_bug_of_a_call_is_raised_and_leaves_nobody_waiting() -> None:
    async def send(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError

    limits = Limits(bytes_max=1 << 20, batch_bytes_max=1 << 10, linger_s=0, sends_max=1)
    service = AppendService(
        send, SYSTEM, limits, counts=Counts(), at_least_once=False, timeout_s=60
    )
    pending = await service.append(ONE, b"hello")
    with pytest.raises(ZeroDivisionError):
        await pending
    assert service.held_bytes == 0


async def test_a_flush_does_not_wait_for_what_comes_later(client: Client) -> None:
    gate = asyncio.Event()

    async def send(journal: str, *args: Any, **more: Any) -> Any:
        if journal == TWO:
            await gate.wait()
        return await client.append(journal, *args, **more)

    limits = Limits(bytes_max=1 << 20, batch_bytes_max=1 << 10, linger_s=0, sends_max=2)
    service = AppendService(
        send, SYSTEM, limits, counts=Counts(), at_least_once=False, timeout_s=60
    )
    first = await service.append(ONE, b"first")
    flushing = asyncio.create_task(service.flush())
    await asyncio.sleep(0)  # It has begun.
    later = await service.append(TWO, b"later")
    await asyncio.wait_for(flushing, 10)
    assert (first.done(), later.done()) == (True, False)
    gate.set()
    await service.flush()
    assert later.done()


async def test_closing_sends_what_is_held_and_accepts_no_more(client: Client) -> None:
    async with client.append_service(linger_s=60) as service:
        held = await service.append(ONE, b"held")
        await service.aclose()
        assert held.done()
        with pytest.raises(RuntimeError, match="is closed"):
            await service.append(ONE, b"too late")
        with pytest.raises(RuntimeError, match="is closed"):
            service.try_append(ONE, b"too late")
    done = await held
    assert await client.read_all(ONE, done.begin, done.end) == b"held"
