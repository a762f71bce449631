"""A store has a bad day, or a disk is full, under load: nothing acknowledged is lost.

Each test prints a row, as those of test_faults.py do. The store is a real S3 server behind a proxy.

    GAZETTE_CHAOS_STORE_S=120 pytest -m chaos tests/chaos    a bad day of two minutes
"""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from chaos_load import GIVE_UP_S, Load, check_content, stored_runs, stored_spans
from faulty_proxy import Day, FaultyProxy, faulty_proxy
from local_clusters import apply, config, eventually, spec, wait_consistent
from small_disks import empty, fill, small_disk
from versitygw_server import S3Server

from gazette_py.client import Client
from gazette_py.lake import Lake
from gazette_py.local.cluster import LocalCluster
from gazette_py.protocol.journal import JournalSpec

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

JOURNALS = ("store/one", "store/two", "store/three")
WRITERS = 3
SEED = int(os.environ.get("GAZETTE_CHAOS_SEED", random.SystemRandom().randrange(1 << 32)))
BAD_S = float(os.environ.get("GAZETTE_CHAOS_STORE_S", "20"))
FRAGMENT_BYTES = 1 << 18
"""Some fragments are closed each second."""


@asynccontextmanager
async def loaded(
    tmp_path: Path, s3: S3Server, name: str
) -> AsyncIterator[tuple[Load, FaultyProxy, dict[str, float]]]:
    """Run a cluster under load, before a store; in the end, compare the store with the load."""
    print(f"\nseed {SEED}")
    times: dict[str, float] = {}
    async with faulty_proxy(s3.endpoint) as proxy:
        url = replace(s3, endpoint=proxy.url).url()
        specs = [spec(j, store=url, length=FRAGMENT_BYTES) for j in JOURNALS]
        async with LocalCluster(config(tmp_path)) as cluster, cluster.connect() as client:
            await apply(client, *specs)
            await wait_consistent(cluster, client, JOURNALS)
            load = Load(client, JOURNALS, SEED, GIVE_UP_S + BAD_S)
            load.start(WRITERS)
            try:
                await load.wait_progress(10, 60)
                yield load, proxy, times
                proxy.set(Day.GOOD)
                await load.wait_progress(10, 60)
            finally:
                proxy.set(Day.GOOD)
                await load.stop()
            print(row(name, load, times))
            await close_fragments(client, specs, load)
            async with Lake(s3.url()) as lake:
                await wait_stored(lake, load, times["healed"])


def row(name: str, load: Load, times: dict[str, float]) -> str:
    at = [each.at for found in load.acknowledged.values() for each in found]
    before = sum(t < times["began"] for t in at)
    within = sum(times["began"] <= t < times["healed"] for t in at)
    errors = ", ".join(f"{kind} x{n}" for kind, n in sorted(load.errors.items()))
    pause_s = load.pause_s(times["began"], time.monotonic())
    counts = f"{before} | {within} | {len(at) - before - within}"
    return f"| {name} | {counts} | {pause_s:.1f} s | {errors or 'none'} |"


async def close_fragments(client: Client, specs: list[JournalSpec], load: Load) -> None:
    small = [replace(s, fragment=replace(s.fragment, length=1 << 10)) for s in specs]
    await apply(client, *small)
    for journal in JOURNALS:
        await load.append(journal, b"the last one: " + bytes(range(33, 43)) * 200 + b"\n")
        await client.append(journal, timeout_s=60)


async def wait_stored(lake: Lake, load: Load, healed: float) -> None:
    """Wait until all which was acknowledged is in the store, once, and nothing else."""

    async def check() -> bool:
        for journal in JOURNALS:
            end = max(each.end for each in load.acknowledged[journal])
            spans = await stored_spans(lake, journal)
            if sum(end - begin for begin, end in spans) < end:
                return False
        return True

    await eventually(check, "stored", 120.0)
    print(f"| all stored {time.monotonic() - healed:.0f} s after the store was well |")
    for journal in JOURNALS:
        check_content(load, journal, await stored_runs(lake, journal))


async def fault(times: dict[str, float], begin: Callable[[], object], end: Awaitable[None]) -> None:
    times["began"] = time.monotonic()
    begin()
    await end
    times["healed"] = time.monotonic()


@pytest.mark.parametrize("day", [day for day in Day if day is not Day.GOOD], ids=lambda d: d.name)
async def test_the_store_has_a_bad_day(tmp_path: Path, s3: S3Server, day: Day) -> None:
    name = f"the store {day.value}, {BAD_S:.0f} s"
    async with loaded(tmp_path, s3, name) as (load, proxy, times):

        async def bad() -> None:
            await asyncio.sleep(BAD_S)
            proxy.set(Day.GOOD)

        await fault(times, lambda: proxy.set(day), bad())
        assert proxy.refused or day is Day.SLOW
        # Appends do not wait for the store.
        assert load.pause_s(times["began"], times["healed"]) < 5.0


async def test_the_disk_under_the_spools_of_a_broker_is_full(tmp_path: Path, s3: S3Server) -> None:
    """Its journals take no appends until there is room; those of others go on."""
    spools = config(tmp_path).data_dir / "spools" / "broker-1"
    with small_disk(spools, "64m") as disk:
        name = f"full disk of one broker, {BAD_S:.0f} s"
        async with loaded(tmp_path, s3, name) as (_, _, times):

            async def full() -> None:
                await asyncio.sleep(BAD_S)
                empty(disk)

            await fault(times, lambda: fill(disk), full())
