"""Suspended journals on real brokers: they cost nothing, and go on at their offset.

That idle journals are suspended by themselves takes a quarter of an hour here; brokers with fast
pulses show it, in tests/unit/broker. Here they are told to.
"""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import urllib3
from local_clusters import apply, config, eventually, keyspace_of, spec, wait_consistent

from gazette_py.client import Client
from gazette_py.errors import SuspendedError
from gazette_py.local.cluster import LocalCluster
from gazette_py.protocol.enums import AppendSuspend, SuspendLevel
from gazette_py.protocol.journal import Suspend

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

CHANGES_MAX = 100  # etcd takes some 128 at once.
CALLS_MAX = 32
IDLE = [f"idle/{number:03}" for number in range(200)]
SOME = IDLE[::25]
LIVE = "live/journal"
FEW = [f"few/{number}" for number in range(6)]
APPENDERS = 4  # Of each journal, at once.


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[LocalCluster]:
    async with LocalCluster(config(tmp_path, brokers=3)) as started:
        yield started


async def suspend(client: Client, *journals: str) -> None:
    """Suspend journals. The answer says that they are."""
    slots = asyncio.Semaphore(CALLS_MAX)

    async def one(journal: str) -> None:
        async with slots:
            with pytest.raises(SuspendedError):
                await client.append(journal, suspend=AppendSuspend.NOW, timeout_s=60)

    await asyncio.gather(*map(one, journals))


async def suspended(cluster: LocalCluster, *journals: str) -> list[Suspend]:
    keyspace = await keyspace_of(cluster)
    items = [keyspace.item(journal) for journal in journals]
    return [item.spec.suspend for item in items if item is not None]


async def wait_replicas(cluster: LocalCluster, journals: Sequence[str], count: int) -> None:
    async def check() -> bool:
        keyspace = await keyspace_of(cluster)
        return all(len(keyspace.assignments_of(journal)) == count for journal in journals)

    await eventually(check, f"down to {count} replicas", 60)


async def get(url: str) -> tuple[int, str]:
    response = await asyncio.to_thread(urllib3.request, "GET", url, retries=False)
    return response.status, response.data.decode()


async def listings(cluster: LocalCluster, store: str) -> int:
    """Return how often brokers have listed a store."""
    pattern = rf'^gazette_store_operation_total{{operation="list",.*store="{store}".*}} (\S+)$'
    pages = [(await get(f"{broker.http}/debug/metrics"))[1] for broker in cluster.brokers]
    return sum(
        int(float(count)) for page in pages for count in re.findall(pattern, page, re.MULTILINE)
    )


async def test_200_suspended_journals_are_served_by_nobody(cluster: LocalCluster) -> None:
    """Their stores are listed no more, while that of a journal beside them is, each second."""
    for name in ("idle", "live"):
        (cluster.file_root / name).mkdir()
    async with cluster.connect() as client:
        await apply(client, spec(LIVE, replication=1, store="file:///live/"))
        idle = [spec(name, replication=2, store="file:///idle/") for name in IDLE]
        for at in range(0, len(idle), CHANGES_MAX):
            await apply(client, *idle[at : at + CHANGES_MAX])
        await wait_consistent(cluster, client, [LIVE, *IDLE])
        assert await listings(cluster, "file:///idle/") >= len(IDLE)

        await suspend(client, *IDLE)
        assert set(await suspended(cluster, *IDLE)) == {Suspend(SuspendLevel.FULL)}
        await wait_replicas(cluster, IDLE, 0)

        async def is_served_by_nobody() -> bool:
            statuses = [
                (await get(f"{broker.http}/debug/story?journal={name}"))[0]
                for broker in cluster.brokers
                for name in SOME
            ]
            return set(statuses) == {404}

        await eventually(is_served_by_nobody, "served by nobody")
        idle_before = await listings(cluster, "file:///idle/")
        live_before = await listings(cluster, "file:///live/")

        async def has_listed_the_other() -> bool:
            return await listings(cluster, "file:///live/") >= live_before + 4

        await eventually(has_listed_the_other, "listed")
        assert await listings(cluster, "file:///idle/") == idle_before

        results = await asyncio.gather(
            *(client.append(name, b"hello", timeout_s=60) for name in SOME)
        )
        assert {(result.commit.begin, result.commit.end) for result in results} == {(0, 5)}
        left = await suspended(cluster, *(name for name in IDLE if name not in SOME))
        assert set(left) == {Suspend(SuspendLevel.FULL)}


async def fill(client: Client) -> dict[str, int]:
    """Append to each of a few journals, and return where they end."""
    ends = {}
    for number, journal in enumerate(FEW):
        content = b"before" * (100 + number)
        ends[journal] = (await client.append(journal, content, timeout_s=30)).commit.end
    return ends


async def resume(client: Client, ends: dict[str, int]) -> None:
    """Append to all, several at once: each journal goes on exactly where it ended."""

    async def append(journal: str, number: int) -> tuple[int, bytes]:
        content = b"<after %d>" % number
        result = await client.append(journal, content, timeout_s=60)
        return result.commit.begin, content

    for journal, appended in zip(
        ends,
        await asyncio.gather(
            *(asyncio.gather(*(append(name, n) for n in range(APPENDERS))) for name in ends)
        ),
        strict=True,
    ):
        offset, whole = ends[journal], b""
        for begin, content in sorted(appended):
            assert begin == offset
            offset, whole = offset + len(content), whole + content
        assert await client.read_all(journal, ends[journal], offset, block=True) == whole


async def test_partly_suspended_journals_are_read_and_go_on_where_they_ended(
    cluster: LocalCluster,
) -> None:
    async with cluster.connect() as client:
        await apply(client, *(spec(name, replication=2) for name in FEW))
        await wait_consistent(cluster, client, FEW)
        ends = await fill(client)
        await suspend(client, *FEW)
        assert await suspended(cluster, *FEW) == [
            Suspend(SuspendLevel.PARTIAL, end) for end in ends.values()
        ]
        await wait_replicas(cluster, FEW, 1)
        for number, (journal, end) in enumerate(ends.items()):
            assert await client.read_all(journal, 0, end) == b"before" * (100 + number)
            with pytest.raises(SuspendedError):
                await client.append(journal, suspend=AppendSuspend.NO_RESUME, timeout_s=30)
        await resume(client, ends)
        await wait_consistent(cluster, client, FEW)
        for number, (journal, end) in enumerate(ends.items()):
            assert await client.read_all(journal, 0, end) == b"before" * (100 + number)


async def test_suspended_journals_without_content_go_on_where_they_ended(
    cluster: LocalCluster,
) -> None:
    """Their content was pruned, and no broker of then lives: only etcd knows where they ended.

    One replica has it, since a second would store it again. Two fresh ones take up from there.
    """
    async with cluster.connect() as client:
        await apply(client, *(spec(name, replication=1) for name in FEW))
        await wait_consistent(cluster, client, FEW)
        ends = await fill(client)
        await suspend(client, *FEW)

        async def are_listed() -> bool:
            """Until a broker has seen a fragment in its store, it keeps its own copy."""
            found = [each for name in FEW async for each in client.fragments(name)]
            journals = {each.fragment.journal for each in found if each.fragment.mod_time}
            return len(found) == len(FEW) and journals == set(FEW)

        await eventually(are_listed, "listed")
        for name in FEW:
            shutil.rmtree(cluster.file_root / name)

        full = {name: Suspend(SuspendLevel.FULL, end) for name, end in ends.items()}

        async def are_full() -> bool:
            await suspend(client, *FEW)  # They are, once their replicas know of no content.
            return await suspended(cluster, *FEW) == list(full.values())

        await eventually(are_full, "suspended fully")
        await wait_replicas(cluster, FEW, 0)
        for journal in FEW:
            with pytest.raises(SuspendedError):
                await client.read_all(journal, 0, ends[journal])
        await apply(client, *(spec(n, replication=2, suspend=each) for n, each in full.items()))
    for broker in cluster.brokers:
        assert broker.process is not None
        await broker.process.kill()
    for name in FEW:
        assert not (cluster.file_root / name).exists()
    # One by one: all at once, as `start_brokers`, they would be resumed where their files end.
    for broker in cluster.brokers:
        await cluster.start_broker(broker)
    assert await suspended(cluster, *FEW) == list(full.values())
    async with cluster.connect() as client:
        await resume(client, ends)
        await wait_consistent(cluster, client, FEW)
