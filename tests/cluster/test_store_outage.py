"""A store which is down, or hangs, delays persistence and loses nothing.

Appends go on meanwhile: what they wrote is on every replica's disk. Once the store is back,
everything gets there by itself, also from brokers which were asked to end.
"""

import asyncio
import contextlib
import re
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import urllib3
from local_clusters import apply, config, eventually, keyspace_of, spec, wait_consistent
from versitygw_server import VersityGW, versitygw_process

from gazette_py.client import Client
from gazette_py.lake import Lake
from gazette_py.local.cluster import LocalCluster
from gazette_py.protocol.enums import CompressionCodec

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

JOURNALS = {
    "outage/zstd": CompressionCodec.ZSTANDARD,
    "outage/raw": CompressionCodec.NONE,
    "outage/offload": CompressionCodec.GZIP_OFFLOAD_DECOMPRESSION,
}
APPENDS = 20
FRAGMENT_BYTES = 1 << 10  # Less than an append: each is a fragment of its own.


@pytest.fixture
def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[VersityGW]:
    directory = tmp_path / "s3"
    directory.mkdir()
    with versitygw_process(directory) as running:
        for name, value in running.server.environment().items():
            monkeypatch.setenv(name, value)
        yield running


class Load:
    """What was acknowledged, by journal."""

    def __init__(self, client: Client) -> None:
        self.content = dict.fromkeys(JOURNALS, b"")
        self._client = client

    async def append(self, note: str) -> None:
        for serial in range(APPENDS):
            for journal in JOURNALS:
                record = f"{journal} {note} {serial}\n".encode() * 50
                result = await self._client.append(journal, record, timeout_s=30.0)
                assert result.commit.begin == len(self.content[journal])
                self.content[journal] += record


@contextlib.asynccontextmanager
async def cluster_of(tmp_path: Path, gateway: VersityGW) -> AsyncIterator[LocalCluster]:
    store = gateway.server.url()
    cluster = LocalCluster(config(tmp_path, store=store, brokers=3, stop_timeout_s=120.0))
    async with cluster:
        yield cluster


async def create(cluster: LocalCluster, client: Client) -> None:
    store = cluster.config.store
    specs = [
        spec(journal, store=store, replication=2, length=FRAGMENT_BYTES, codec=codec)
        for journal, codec in JOURNALS.items()
    ]
    await apply(client, *specs)
    await wait_consistent(cluster, client, list(JOURNALS))


async def failures(cluster: LocalCluster) -> int:
    """Return how many attempts to store a fragment have failed, on all brokers."""

    def scrape(port: int) -> str:
        with urllib3.PoolManager(retries=False) as pool:
            url = f"http://127.0.0.1:{port}/debug/metrics"
            return pool.request("GET", url, timeout=5).data.decode()

    count = 0
    for broker in cluster.brokers:
        text = await asyncio.to_thread(scrape, broker.http_port)
        found = re.search(r"^gazette_py_persist_failures\w* (\S+)$", text, re.MULTILINE)
        count += int(float(found[1])) if found else 0
    return count


def objects(gateway: VersityGW) -> set[Path]:
    return {path for path in gateway.root.rglob("*-*-*") if "outage" in path.parts}


async def check_stored(cluster: LocalCluster, load: Load) -> None:
    """Wait until the store has everything, byte for byte."""
    async with Lake(cluster.config.store) as lake:
        for journal, content in load.content.items():

            async def is_stored(journal: str = journal, end: int = len(content)) -> bool:
                return max((f.end for f in await lake.files(journal)), default=0) == end

            await eventually(is_stored, f"all of {journal} stored", 120.0)
            stored = b"".join([piece async for piece in lake.read(journal)])
            assert stored == content


def kill(gateway: VersityGW) -> Callable[[], None]:
    gateway.stop()
    return gateway.start


def hang(gateway: VersityGW) -> Callable[[], None]:
    gateway.send_signal(signal.SIGSTOP)
    return lambda: gateway.send_signal(signal.SIGCONT)


@pytest.mark.parametrize(("take_down", "fails_soon"), [(kill, True), (hang, False)])
async def test_appends_go_on_and_all_is_stored_in_the_end(
    tmp_path: Path,
    gateway: VersityGW,
    take_down: Callable[[VersityGW], Callable[[], None]],
    fails_soon: bool,
) -> None:
    async with cluster_of(tmp_path, gateway) as cluster, cluster.connect() as client:
        await create(cluster, client)
        load = Load(client)
        await load.append("before")
        bring_back = take_down(gateway)
        try:
            before = objects(gateway)
            await load.append("while it is down")

            async def has_failed() -> bool:
                return not fails_soon or await failures(cluster) > 0

            await eventually(has_failed, "failing to store")
            assert objects(gateway) - before == set()
            for journal, content in load.content.items():
                tail = content.index(f"{journal} while".encode())
                assert await client.read_all(journal, tail, len(content)) == content[tail:]
        finally:
            bring_back()
        await load.append("after")
        await check_stored(cluster, load)


async def test_brokers_which_end_wait_for_the_store(tmp_path: Path, gateway: VersityGW) -> None:
    async with cluster_of(tmp_path, gateway) as cluster:
        async with cluster.connect() as client:
            await create(cluster, client)
            load = Load(client)
            gateway.stop()
            await load.append("while it is down")
        stopping = asyncio.create_task(cluster.stop_brokers())

        async def have_left() -> bool:
            return not (await keyspace_of(cluster)).members

        await eventually(have_left, "out of the cluster", 60.0)
        assert not stopping.done()
        assert all(broker.is_running for broker in cluster.brokers)
        gateway.start()
        assert await stopping, "a broker had to be killed"
        await check_stored(cluster, load)
