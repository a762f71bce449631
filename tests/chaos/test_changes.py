"""Live journals and clusters are changed under load: nothing acknowledged is lost or doubled.

Each test prints a row: how long appends took just before, and while the change was made; the
longest time in which some journal acknowledged nothing; and the errors which clients saw.
"""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import urllib3
from chaos_cluster import ChaosCluster
from chaos_network import Network
from chaos_trial import JOURNALS, Trial, specs_now, specs_of, trial
from local_clusters import NS, apply, eventually

from gazette_py.protocol.enums import CompressionCodec
from gazette_py.protocol.journal import JournalSpec

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

QUIET_S = 5.0
"""For the figures without a change."""
SETTLE_S = 2.0
"""Between changes: for the figures with them."""
APPENDS = 5
"""Of each journal, between changes."""


@asynccontextmanager
async def change(name: str, tmp_path: Path, net: Network, **options: Any) -> AsyncIterator[Trial]:
    """Run a trial whose changes are made inside of the block."""
    async with trial(name, tmp_path, net, **options) as run:
        await run.load.wait_progress(APPENDS, 60)
        quiet = time.monotonic()
        await asyncio.sleep(QUIET_S)
        run.began = time.monotonic()
        yield run
        await run.load.wait_progress(APPENDS, 60)
        run.ended = time.monotonic()
        print(
            f"\n| {name} | {run.latencies(quiet, run.began)} |"
            f" {run.latencies(run.began, run.ended)} | {run.pause_s:.1f} s |"
        )


async def set_specs(run: Trial, changed: Callable[[JournalSpec], JournalSpec]) -> None:
    """Change the specs of all journals, and let them be appended to for a while."""
    specs = await specs_now(run.client, JOURNALS)
    await apply(run.client, *map(changed, specs))
    await run.cluster.wait_consistent(JOURNALS)
    await run.load.wait_progress(APPENDS, 60)
    await asyncio.sleep(SETTLE_S)


def with_fragment(**changes: Any) -> Callable[[JournalSpec], JournalSpec]:
    return lambda s: replace(s, fragment=replace(s.fragment, **changes))


async def wait_new_files(
    run: Trial, is_new: Callable[[Path], bool], timeout_s: float = 30.0
) -> None:
    """Wait until every journal has a file of a kind."""

    async def check() -> bool:
        files = [path for path in run.cluster.file_root.rglob("*") if path.is_file()]
        return all(any(j in str(f) and is_new(f) for f in files) for j in JOURNALS)

    await eventually(check, "stored", timeout_s)


async def test_replication(tmp_path: Path, net: Network) -> None:
    specs = specs_of(replication=1)
    async with change("replication 1, 3, 2", tmp_path, net, specs=specs) as run:
        for replication in (3, 2):
            await set_specs(run, lambda s, r=replication: replace(s, replication=r))  # type: ignore[misc]  # Bound now.
            members = [await run.cluster.members_of(journal) for journal in JOURNALS]
            assert {len(each) for each in members} == {replication}


async def test_compression_codec(tmp_path: Path, net: Network) -> None:
    extensions = {
        CompressionCodec.ZSTANDARD: ".zst",
        CompressionCodec.SNAPPY: ".sz",
        CompressionCodec.NONE: ".raw",
        CompressionCodec.GZIP: ".gz",
    }
    async with change("codec gzip, zstandard, snappy, none, gzip", tmp_path, net) as run:
        for codec, extension in extensions.items():
            await set_specs(run, with_fragment(compression_codec=codec))
            await wait_new_files(run, lambda path, e=extension: path.suffix == e)  # type: ignore[misc]


async def test_fragment_length(tmp_path: Path, net: Network) -> None:
    async with change("fragment length 64 KiB, 2 KiB, 1 MiB", tmp_path, net) as run:
        for length in (1 << 11, 1 << 20):
            await set_specs(run, with_fragment(length=length))


async def test_flush_interval(tmp_path: Path, net: Network) -> None:
    """Fragments which would be open for ever are closed when the minute is over."""
    specs = specs_of(length=1 << 30)
    async with change("flush interval none, 1 min", tmp_path, net, specs=specs) as run:
        await set_specs(run, with_fragment(flush_interval_ns=60 * NS))
        since = time.time()
        await wait_new_files(run, lambda path: path.stat().st_mtime > since, 90.0)
        assert time.time() // 60 > since // 60


async def test_path_postfix(tmp_path: Path, net: Network) -> None:
    postfix = "begin={{ .Spool.Begin }}"
    async with change("path postfix none, a partition, none", tmp_path, net) as run:
        await set_specs(run, with_fragment(path_postfix_template=postfix))
        await wait_new_files(run, lambda path: path.parent.name.startswith("begin="))
        since = time.time()
        await set_specs(run, with_fragment(path_postfix_template=""))
        await wait_new_files(
            run, lambda path: path.stat().st_mtime > since and path.parent.name in str(JOURNALS)
        )


async def test_stores(tmp_path: Path, net: Network) -> None:
    """A new store comes before the old one; then files are copied, and the old one is removed."""
    old, new = "file:///old/", "file:///new/"
    specs = specs_of(store=old)
    async with change(
        "stores old, new and old, new", tmp_path, net, specs=specs, stores=[new]
    ) as run:
        await set_specs(run, with_fragment(stores=(new, old)))
        root = run.cluster.file_root
        await wait_new_files(run, lambda path: path.is_relative_to(root / "new"))
        await wait_readable(run)
        await wait_still(root / "old")
        shutil.copytree(root / "old", root / "new", dirs_exist_ok=True)
        await set_specs(run, with_fragment(stores=(new,)))
        await wait_readable(run)


async def wait_readable(run: Trial) -> None:
    """Check that each journal can be read from its beginning, by brokers."""
    async with run.cluster.connect(cache_size=0) as client:
        for journal in JOURNALS:
            end = max(each.end for each in run.load.acknowledged[journal])
            content = await client.read_all(journal, 0, end, block=True)
            for each in run.load.acknowledged[journal]:
                assert each.end > end or content[each.begin : each.end] == each.content


async def wait_still(directory: Path) -> None:
    """Wait until nothing has been written into a directory for a while."""
    seen: list[Path] = []
    while (found := sorted(directory.rglob("*"))) != seen:
        seen = found
        await asyncio.sleep(SETTLE_S)


async def test_brokers_and_zones_are_added(tmp_path: Path, net: Network) -> None:
    """A journal with two replicas spans two zones as soon as there are two."""
    name = "2 brokers of one zone; 2 more, of two others"
    specs = specs_of(replication=2)
    async with change(name, tmp_path, net, specs=specs, zones="aabc", later=2) as run:
        assert await zones_of(run.cluster) == {"a": 8}
        for broker in run.cluster.brokers[2:]:
            await run.cluster.start(broker)
            await eventually(lambda: spans_two_zones(run), "in two zones")
            await run.cluster.wait_consistent(JOURNALS)
            await run.load.wait_progress(APPENDS, 60)

        async def is_spread() -> bool:
            return set(await zones_of(run.cluster)) == {"a", "b", "c"}

        await eventually(is_spread, "in each zone")
        await run.cluster.wait_consistent(JOURNALS)


async def spans_two_zones(run: Trial) -> bool:
    members = [await run.cluster.members_of(journal) for journal in JOURNALS]
    return all(len({broker.zone for broker in each}) == 2 for each in members)


async def zones_of(running: ChaosCluster) -> dict[str, int]:
    """Return how many replicas are in each zone."""
    counts: dict[str, int] = {}
    for journal in JOURNALS:
        for broker in await running.members_of(journal):
            counts[broker.zone] = counts.get(broker.zone, 0) + 1
    return counts


async def test_a_broker_which_is_needed_is_told_to_leave(tmp_path: Path, net: Network) -> None:
    """As many brokers as replicas: it says why it stays, and is gone after its timeout."""
    name = "SIGTERM of 1 of 3 brokers, R=3, and a new start"
    async with change(name, tmp_path, net, zones="abc") as run:
        broker = (await run.cluster.members_of(JOURNALS[0]))[0]
        process = broker.process
        assert process is not None
        began = time.monotonic()
        stopping = asyncio.create_task(process.stop(30.0))
        why = "wants 3 brokers, and there are 2 beside this one"

        async def is_told() -> bool:
            url = f"http://{broker.address}:8081/debug/ready"
            answer = await asyncio.to_thread(urllib3.request, "GET", url, timeout=2)
            return "draining" in answer.data.decode() and why in answer.data.decode()

        await eventually(is_told, "told")
        assert await stopping, "it did not leave"
        assert time.monotonic() - began < 10 + 5, "--broker.shutdown-timeout is 10 s"
        log = run.cluster.log_of(broker)
        assert any("broker_still_needed" in line and why in line for line in log.splitlines())
        await asyncio.sleep(SETTLE_S)
        await run.cluster.start(broker)
        await run.cluster.wait_consistent(JOURNALS)
