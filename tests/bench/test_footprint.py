"""What a broker costs that does nothing: memory of itself and of each journal, and its start.

Budgets: an idle journal costs at most 12 KB of resident memory, and a broker with 10,000 of them
200 MB; `--help` answers within 150 ms on a quiet machine. Times depend on the machine, and are only
told.
"""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bench_figures import aligned
from bench_systems import NS, System, cpu_s, our_system, ours, rss_bytes
from local_clusters import eventually

from gazette_py.client import Change, Client
from gazette_py.protocol.enums import CompressionCodec
from gazette_py.protocol.journal import FragmentSpec, JournalSpec

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]

SECONDS = float(os.environ.get("GAZETTE_BENCH_SECONDS", "3"))
JOURNALS = 10_000 if SECONDS > 1 else 500
JOURNAL_BYTES_MAX = 12_000 if SECONDS > 1 else 24_000  # Of few, chance is a large part.
BROKER_BYTES_MAX = 200_000_000  # With all of them.
CHANGES = 100  # etcd takes some 128 at once.
STARTS = 5 if SECONDS > 1 else 1


async def create(client: Client, store: str) -> None:
    specs = [
        JournalSpec(
            name=f"idle/{number:05}",
            replication=1,
            fragment=FragmentSpec(
                length=1 << 26,
                compression_codec=CompressionCodec.GZIP,
                stores=(store,),
                refresh_interval_ns=300 * NS,
            ),
        )
        for number in range(JOURNALS)
    ]
    for at in range(0, JOURNALS, CHANGES):
        await client.apply(
            Change(expect_mod_revision=0, upsert=spec) for spec in specs[at : at + CHANGES]
        )


async def wait_served(client: Client) -> None:
    """Wait until every journal has a primary which has told so."""

    async def check() -> bool:
        listed = await client.list()
        served = sum(journal.route.primary >= 0 for journal in listed.journals)
        return served == JOURNALS

    await eventually(check, "served", 300)


async def wait_quiet(system: System) -> None:
    """Wait until the brokers have used next to no processor time for a second."""

    async def check() -> bool:
        before = sum(map(cpu_s, system.pids))
        await asyncio.sleep(1)
        return sum(map(cpu_s, system.pids)) - before < 0.1

    await eventually(check, "quiet", 120)


async def test_memory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with ours(tmp_path, 1) as cluster, our_system(cluster) as system:
        (pid,) = system.pids
        await wait_quiet(system)
        idle = rss_bytes(pid)
        begin = time.perf_counter()
        await create(system.client, "file:///")
        await wait_served(system.client)
        served_s = time.perf_counter() - begin
        await wait_quiet(system)
        resident = rss_bytes(pid)
        each = (resident - idle) / JOURNALS
        begin_cpu, begin = cpu_s(pid), time.perf_counter()
        await asyncio.sleep(max(5.0, 2 * SECONDS))
        share = (cpu_s(pid) - begin_cpu) / (time.perf_counter() - begin)
    rows = [
        ("an idle broker", f"{idle / 1e6:.1f} MB"),
        (f"each of {JOURNALS} idle journals", f"{each / 1e3:.1f} KB"),
        (f"a broker with {JOURNALS} idle journals", f"{resident / 1e6:.0f} MB"),
        (f"until {JOURNALS} journals are served", f"{served_s:.1f} s"),
        (f"processor time of a broker with {JOURNALS} idle journals", f"{share:.1%}"),
    ]
    with capsys.disabled():
        print(f"\n\n{aligned(rows, left=1)}")
    assert each <= JOURNAL_BYTES_MAX
    assert resident <= BROKER_BYTES_MAX


async def test_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    helps, starts = [], []
    for _ in range(STARTS):
        begin = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "gazette_py", "--help"], check=True, stdout=subprocess.DEVNULL
        )
        helps.append(time.perf_counter() - begin)
    async with ours(tmp_path, 1) as cluster:
        (broker,) = cluster.brokers
        for _ in range(STARTS):
            assert broker.process is not None
            assert await broker.process.stop(30)
            begin = time.perf_counter()
            await cluster.start_broker(broker)
            starts.append(time.perf_counter() - begin)
    rows = [
        ("gazette-py --help, fastest of", f"{1e3 * min(helps):.0f} ms"),
        ("gazette-py serve until ready, fastest of", f"{1e3 * min(starts):.0f} ms"),
    ]
    with capsys.disabled():
        print(f"\n\n{aligned([(f'{what} {STARTS}', took) for what, took in rows], left=1)}")
