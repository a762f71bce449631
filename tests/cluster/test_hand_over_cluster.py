"""Brokers which are told to leave while appends are under way: they leave, and nothing is lost."""

import asyncio
import itertools
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from local_clusters import apply, config, eventually, members_of, spec, wait_consistent

from gazette_py.client import Client
from gazette_py.errors import GazetteError
from gazette_py.local.cluster import LocalBroker, LocalCluster
from gazette_py.local.process import ChildProcess
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.pb import protocol_pb2_grpc
from gazette_py.rpc.channel import dial

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

JOURNAL = "hand/over"


async def leave(broker: LocalBroker, *, times: int, timeout_s: float) -> float:
    """Tell a broker to leave, and return how long it took. It must end by itself, with 0."""
    process, begun = broker.process, time.monotonic()
    assert process is not None
    for _ in range(times):
        process.send(signal.SIGTERM)
        await eventually(log_has(process, "broker_draining"), "draining")
    async with asyncio.timeout(timeout_s):
        assert await process.wait() == 0
    return time.monotonic() - begun


def log_has(process: ChildProcess, text: str) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        return text in process.log.read_text()

    return check


@pytest.mark.parametrize("role", ["primary", "replica"])
async def test_a_broker_told_twice_leaves_though_nobody_can_take_over(
    tmp_path: Path, role: str
) -> None:
    """Streams of the other primaries hold its spools, and would for ever."""
    options = config(tmp_path, brokers=3, extra_flags=("--broker.max-replication=3",))
    async with LocalCluster(options) as cluster:
        async with cluster.connect() as client:
            await apply(client, spec(JOURNAL))
            await wait_consistent(cluster, client, [JOURNAL])
            commit = (await client.append(JOURNAL, b"content")).commit
            members = await members_of(cluster, JOURNAL)
            await leave(members[0 if role == "primary" else 1], times=2, timeout_s=45.0)
        async with cluster.connect() as client:
            read = await client.read_all(JOURNAL, commit.begin, commit.end, block=True)
            assert read == b"content"


async def messages(begun: asyncio.Event, may_end: asyncio.Event) -> AsyncIterator[pb.AppendRequest]:
    yield pb.AppendRequest(journal=JOURNAL)
    while not may_end.is_set():
        yield pb.AppendRequest(content=b"x" * 8192)
        begun.set()
        await asyncio.sleep(0.05)
    yield pb.AppendRequest()


async def test_an_append_under_way_is_handed_over_whole(tmp_path: Path) -> None:
    """The primary leaves in the middle of an append, and others wait behind it."""
    options = config(tmp_path, brokers=4, extra_flags=("--broker.shutdown-timeout=60s",))
    async with LocalCluster(options) as cluster, cluster.connect() as client:
        await apply(client, spec(JOURNAL))
        await wait_consistent(cluster, client, [JOURNAL])
        primary, *_ = await members_of(cluster, JOURNAL)
        begun, may_end = asyncio.Event(), asyncio.Event()
        channel = dial(primary.endpoint)
        stub = protocol_pb2_grpc.JournalStub(channel)
        call = stub.Append(messages(begun, may_end), timeout=60)
        await begun.wait()
        waiting = [asyncio.create_task(retried(client, b"<%d>" % n)) for n in range(5)]
        leaving = asyncio.create_task(leave(primary, times=1, timeout_s=60.0))

        async def has_successor() -> bool:
            return len(await members_of(cluster, JOURNAL)) > 3

        await eventually(has_successor, "assigned to the fourth broker")
        may_end.set()
        response = await call
        assert response.status == pb.OK
        spans = [(response.commit.begin, response.commit.end)]
        spans += [await each for each in waiting]
        await leaving
        await channel.close()
        ordered = sorted(spans)
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(ordered))
        head = (await client.append(JOURNAL)).commit.end
        content = await client.read_all(JOURNAL, 0, head, block=True)
        assert len(content) == ordered[-1][1] == head
        begin, end = spans[0]
        assert content[begin:end] == b"x" * (end - begin)
        assert all(content.count(b"<%d>" % n) == 1 for n in range(5))


async def retried(client: Client, content: bytes) -> tuple[int, int]:
    """Append until it is known to be done."""
    while True:
        try:
            commit = (await client.append(JOURNAL, content, timeout_s=30.0)).commit
        except GazetteError as exc:
            if not exc.retryable:
                raise
            await asyncio.sleep(0.05)
        else:
            return commit.begin, commit.end
