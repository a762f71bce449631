"""Brokers of the reference and ours in one cluster: they share journals, and hand them over."""

from pathlib import Path

import pytest
from go_programs import barriers, go_member, leader, primaries
from local_clusters import apply, broker_of, config, eventually, keyspace_of, spec, wait_consistent

from gazette_py.client import Change, Client, connect
from gazette_py.lake import Lake
from gazette_py.local.cluster import LocalCluster
from gazette_py.protocol.enums import CompressionCodec

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

JOURNALS = ("mixed/one", "mixed/two", "mixed/three", "mixed/four")
CODECS = (
    CompressionCodec.GZIP,
    CompressionCodec.SNAPPY,
    CompressionCodec.NONE,
    CompressionCodec.GZIP,
)


async def write(client: Client, contents: dict[str, bytes], rounds: int) -> None:
    for number in range(rounds):
        for journal in contents:
            content = f"{journal} {number} ".encode() * 100 + b"\n"
            await client.append(journal, content, timeout_s=30)
            contents[journal] += content


async def check(client: Client, contents: dict[str, bytes]) -> None:
    for journal, content in contents.items():
        assert await client.read_all(journal, 0, len(content), block=True) == content


async def test_journals_live_on_brokers_of_both_kinds(tmp_path: Path, go_broker: str) -> None:
    contents = dict.fromkeys(JOURNALS, b"")
    options = config(tmp_path, brokers=3, zones=("a", "b", "c"))
    async with LocalCluster(options) as cluster:
        # The cap of the cluster is 2: each journal has two of the four brokers.
        async with (
            go_member(cluster, go_broker, "d", replication=2) as go,
            cluster.connect() as client,
        ):
            specs = [
                spec(j, replication=4, codec=codec, length=1 << 14)
                for j, codec in zip(JOURNALS, CODECS, strict=True)
            ]
            await apply(client, *specs)

            async def go_serves() -> bool:
                keyspace = await keyspace_of(cluster)
                served = [keyspace.route_of(j).members for j in JOURNALS]
                return any(m.suffix == "go-broker" for route in served for m in route) and all(
                    len(route) == 2 and keyspace.is_consistent(j)
                    for j, route in zip(JOURNALS, served, strict=True)
                )

            await eventually(go_serves, "served by the other kind, too")
            await write(client, contents, 20)
            await check(client, contents)
            async with connect(go.endpoint, cache_size=0) as by_go:
                await check(by_go, contents)
            await go.drain()
        # Its journals went to ours, with all which was acknowledged.
        async with cluster.connect() as client:
            for journal in JOURNALS:
                await client.append(journal, timeout_s=30)
            assert "go-broker" not in (await primaries(cluster)).values()
            await check(client, contents)
            await write(client, contents, 5)
            await check(client, contents)
        assert await cluster.stop_brokers()
        async with Lake("file:///", file_root=str(cluster.file_root)) as lake:
            for journal, content in contents.items():
                assert b"".join([piece async for piece in lake.read(journal)]) == content


async def test_ours_drain_to_theirs_and_theirs_to_ours(tmp_path: Path, go_broker: str) -> None:
    contents = dict.fromkeys(JOURNALS, b"")
    async with LocalCluster(config(tmp_path, brokers=1, zones=("a",))) as cluster:
        async with cluster.connect() as client:
            await apply(client, *(spec(j, replication=1, length=1 << 14) for j in JOURNALS))
            await write(client, contents, 5)
        async with go_member(cluster, go_broker, "b") as go:
            ours = cluster.brokers[0].process
            assert ours is not None
            assert await ours.stop(60)
            assert ours.exit_code == 0
            async with connect(go.endpoint, file_root=str(cluster.file_root)) as client:
                await wait_consistent(cluster, client, JOURNALS)
                assert set((await primaries(cluster)).values()) == {"go-broker"}
                await check(client, contents)
                await write(client, contents, 5)
                await check(client, contents)
            await cluster.start_broker(cluster.brokers[0])
            await go.drain()
        async with cluster.connect() as client:
            await wait_consistent(cluster, client, JOURNALS)
            assert set((await primaries(cluster)).values()) == {"broker-0"}
            await check(client, contents)


async def test_either_kind_leads_the_allocator(tmp_path: Path, go_broker: str) -> None:
    """Journals are made, moved and deleted, and members drain, whoever leads."""
    contents: dict[str, bytes] = {}
    options = config(tmp_path, brokers=2, extra_flags=("--broker.max-replication=3",))

    async def make(client: Client, *journals: str) -> None:
        await apply(client, *(spec(j, length=1 << 14) for j in journals))
        await wait_consistent(cluster, client, journals)
        contents.update(dict.fromkeys(journals, b""))
        await write(client, contents, 3)

    async def delete(client: Client, journal: str) -> None:
        await client.apply([Change(expect_mod_revision=-1, delete=journal)])
        del contents[journal]

        async def is_gone() -> bool:
            return not (await keyspace_of(cluster)).assignments_of(journal)

        await eventually(is_gone, "without assignments")

    async def restart(index: int) -> None:
        broker = broker_of(cluster, f"broker-{index}")
        assert broker.process is not None
        theirs = (first.endpoint, second.endpoint)
        async with barriers(theirs, contents):
            assert await broker.process.stop(30)
        assert broker.process.exit_code == 0
        assert "broker_leaves_with_assignments" not in broker.process.log.read_text()
        async with connect(",".join(theirs)) as client:
            await wait_consistent(cluster, client, list(contents))
        await cluster.start_broker(broker)

    async with (
        LocalCluster(options) as cluster,
        go_member(cluster, go_broker, "c", name="go-0", replication=3) as first,
        go_member(cluster, go_broker, "d", name="go-1", replication=3) as second,
    ):
        async with cluster.connect() as client:
            assert (await leader(cluster)).startswith("broker-")
            await make(client, "led/ours-1", "led/ours-2", "led/ours-3")
            await delete(client, "led/ours-1")
        await restart(0)
        await restart(1)
        async with cluster.connect() as client:
            assert await leader(cluster) == "go-0"
            await make(client, "led/theirs-1", "led/theirs-2", "led/theirs-3")
            await delete(client, "led/theirs-1")
            await delete(client, "led/ours-2")
        await restart(0)
        # It drains while it leads. R=3 is left without a member to spare.
        async with barriers(cluster.endpoints, contents):
            await first.drain()
        assert await leader(cluster) == "go-1"
        async with cluster.connect() as client:
            await wait_consistent(cluster, client, list(contents))
            await write(client, contents, 3)
            for broker in (*cluster.endpoints, second.endpoint):
                async with connect(broker, cache_size=0) as one:
                    await check(one, contents)
