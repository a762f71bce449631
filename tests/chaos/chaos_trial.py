"""A trial: a cluster under load, to which something happens, and the check of all of it.

What was acknowledged is compared with what brokers read, and with what the stores alone hold.
"""

import os
import random
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from chaos_cluster import ChaosCluster, cluster
from chaos_load import Load, Run, check_content
from chaos_network import Network
from local_clusters import apply, eventually, spec

from gazette_py.client import Client
from gazette_py.lake import Gap, Lake, cover
from gazette_py.protocol.journal import JournalSpec

SEED = int(os.environ.get("GAZETTE_CHAOS_SEED", random.SystemRandom().randrange(1 << 32)))
LEASE_S = 2
HOSTS = 5
"""One for etcd, and four for brokers."""
JOURNALS = ("chaos/one", "chaos/two", "chaos/three", "chaos/four")
WRITERS = 4


@dataclass
class Trial:
    """A cluster under load, and what happened to it."""

    name: str
    cluster: ChaosCluster
    client: Client
    load: Load
    began: float = 0.0
    ended: float = 0.0

    async def during(self, fault: Awaitable[None]) -> None:
        """Let the fault happen under load, and the load go on before and after."""
        await self.load.wait_progress(10, 60)
        self.began = time.monotonic()
        await fault
        await self.load.wait_progress(10, 60)
        self.ended = time.monotonic()
        await self.cluster.wait_consistent(self.load.journals)
        await self.load.wait_progress(10, 60)

    @property
    def pause_s(self) -> float:
        """The longest time, of the fault and what followed, without an acknowledgement."""
        return self.load.pause_s(self.began, self.ended)

    def row(self) -> str:
        """Return the trial as a row of the documentation."""
        times = [each.at for found in self.load.acknowledged.values() for each in found]
        before = sum(at < self.began for at in times)
        within = sum(self.began <= at < self.ended for at in times)
        errors = ", ".join(f"{name} x{n}" for name, n in sorted(self.load.errors.items()))
        counts = f"{before} | {within} | {len(times) - before - within}"
        return f"| {self.name} | {counts} | {self.pause_s:.1f} s | {errors or 'none'} |"

    def latencies(self, since: float, until: float) -> str:
        """Return how long appends took between two times, as columns of the documentation."""
        took = self.load.took_s(since, until)
        p50, p99 = took[len(took) // 2], took[len(took) * 99 // 100]
        return f"{p50 * 1000:.0f} ms | {p99 * 1000:.0f} ms | {took[-1] * 1000:.0f} ms"


def specs_of(
    journals: Sequence[str] = JOURNALS, *, length: int = 1 << 16, **more: object
) -> list[JournalSpec]:
    """Return specs of journals whose fragments are closed now and again."""
    return [spec(journal, length=length, **more) for journal in journals]  # type: ignore[arg-type]


@asynccontextmanager
async def trial(
    name: str,
    tmp_path: Path,
    net: Network,
    *,
    specs: Sequence[JournalSpec] = (),
    stores: Sequence[str] = ("file:///",),
    **options: Any,
) -> AsyncIterator[Trial]:
    """Run a cluster under load; in the end, check everything, through brokers and without.

    Args:
        name: Of the trial, in its row.
        tmp_path: Of the test.
        net: Hosts of the cluster.
        specs: The journals; four with three replicas, if not given.
        stores: Which hold all of the content in the end.
        options: Of the cluster.
    """
    print(f"\nseed {SEED}")
    specs = specs or specs_of()
    journals = [each.name for each in specs]
    async with cluster(tmp_path / "chaos", net, lease_s=LEASE_S, **options) as running:
        for url in {*stores, *(url for each in specs for url in each.fragment.stores)}:
            Path(running.file_root, urlsplit(url).path.strip("/")).mkdir(exist_ok=True)
        async with running.connect() as client:
            await apply(client, *specs)
            await running.wait_consistent(journals)
            for journal in journals:
                await client.append(journal)
            load = Load(client, journals, SEED)
            load.start(WRITERS)
            made = Trial(name, running, client, load)
            try:
                yield made
            finally:
                net.heal()
                await load.stop()
            print(made.row())
            heads = await close_fragments(client, load)
        await check_stored(running, load, heads, stores)


async def close_fragments(client: Client, load: Load) -> dict[str, int]:
    """Have all open fragments closed; return where each journal ends."""
    specs = await specs_now(client, load.journals)
    small = [replace(s, fragment=replace(s.fragment, length=1 << 10)) for s in specs]
    await apply(client, *small)
    for journal in load.journals:
        await load.append(journal, b"the last one: " + bytes(range(33, 43)) * 200 + b"\n")
    # Which closes the open fragment: it is longer than fragments are to be now.
    return {j: (await client.append(j, timeout_s=60)).commit.end for j in load.journals}


async def specs_now(client: Client, journals: Sequence[str]) -> list[JournalSpec]:
    """Return the specs of journals as they are by now."""
    listed = {each.spec.name: each.spec for each in (await client.list()).journals}
    return [listed[journal] for journal in journals]


async def check_stored(
    running: ChaosCluster, load: Load, heads: dict[str, int], stores: Sequence[str]
) -> None:
    """Check what was acknowledged against the stores alone, and against what brokers read."""
    runs = await wait_stored(running, load, heads, stores)
    for journal, content in runs.items():
        check_content(load, journal, content)
    async with running.connect(cache_size=0) as client:
        for journal, content in runs.items():
            read = [
                (b, await client.read_all(journal, b, b + len(c), block=True)) for b, c in content
            ]
            check_content(load, journal, read)


async def wait_stored(
    running: ChaosCluster, load: Load, heads: dict[str, int], stores: Sequence[str]
) -> dict[str, list[Run]]:
    """Wait until all which was acknowledged is in the stores; return what is there."""
    runs: dict[str, list[Run]] = {}

    async def check() -> bool:
        for journal, head in heads.items():
            runs[journal] = await stored_in(running, stores, journal)
            spans = [(begin, begin + len(content)) for begin, content in runs[journal]]
            if not spans or spans[-1][1] != head:
                return False
            if not all(
                any(begin <= each.begin and each.end <= end for begin, end in spans)
                for each in load.acknowledged[journal]
            ):
                return False
        return True

    await eventually(check, "stored", 60.0)
    return runs


async def stored_in(running: ChaosCluster, stores: Sequence[str], journal: str) -> list[Run]:
    """Return what the stores have together, each run without a gap."""
    runs: list[Run] = []
    async with AsyncExitStack() as stack:
        lakes = {
            url: await stack.enter_async_context(Lake(url, file_root=str(running.file_root)))
            for url in stores
        }
        files = [file for lake in lakes.values() for file in await lake.files(journal)]
        for part in cover(files):
            if isinstance(part, Gap):
                continue
            lake = lakes[part.file.fragment.backing_store]
            content = b"".join([piece async for piece in lake.read_slice(part)])
            if runs and runs[-1][0] + len(runs[-1][1]) == part.begin:
                runs[-1] = (runs[-1][0], runs[-1][1] + content)
            else:
                runs.append((part.begin, content))
    return runs
