"""Reading a journal's history: our reader, our lake, plain boto3 and DuckDB on the same files.

    pytest -m bench -s tests/bench/test_backfill.py          2 GiB of each codec, three rounds
    GAZETTE_BENCH_SECONDS=1 pytest -m bench tests/bench      64 MiB, one round: for CI
    GAZETTE_BENCH_BACKFILL_MIB=N                             another size

Each read is a process of its own. What counts are the ratios within a round, and the peak memory
of our reader and our lake, which have a budget. The files lie in a real S3 server; DuckDB, whose
extension for S3 has to be downloaded, reads them from the disk below it. Its count of threads is
its own choice, and what the S3 server and the broker spend is in nobody's processor time.
"""

import asyncio
import hashlib
import io
import json
import os
import random
import sys
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from bench_figures import aligned
from bench_systems import our_system, ours
from versitygw_server import S3Server

from gazette_py.client import Change, Client
from gazette_py.clock import SYSTEM
from gazette_py.codecs import compressor
from gazette_py.protocol.enums import CompressionCodec
from gazette_py.protocol.fragment import Fragment, content_path
from gazette_py.protocol.journal import FragmentSpec, JournalSpec
from gazette_py.stores.registry import StoreRegistry

pytestmark = [pytest.mark.bench, pytest.mark.timeout(3600)]

MIB = 1 << 20
SECONDS = float(os.environ.get("GAZETTE_BENCH_SECONDS", "3"))
ROUNDS = int(os.environ.get("GAZETTE_BENCH_ROUNDS", "3" if SECONDS > 1 else "1"))
TOTAL_BYTES = MIB * int(
    os.environ.get("GAZETTE_BENCH_BACKFILL_MIB", "2048" if SECONDS > 1 else "64")
)
FRAGMENT_BYTES = min(64 * MIB, TOTAL_BYTES // 4)
RSS_BYTES_MAX = 256 * MIB
READERS = ("reader", "lake", "boto3", "duckdb")
CHILD = Path(__file__).with_name("backfill_child.py")
PREFIX = "backfill/"


def lines_of(length: int) -> bytes:
    """Return lines of JSON of exactly so many bytes, which compress about as logs do."""
    draw = random.Random(1)
    things = ("tea", "cocoa", "coffee", "water")
    made, size = [], 0
    while size < min(length, 4 * MIB):  # Longer than what codecs look back on.
        session, amount = f"{draw.getrandbits(64):016x}", f"{draw.random():.6f}"
        line = f'{{"session": "{session}", "item": "{draw.choice(things)}", "amount": {amount}}}\n'
        made.append(line)
        size += len(line)
    block = "".join(made).encode()
    return (block * (length // len(block) + 1))[: length - 1] + b"\n"


async def put_history(url: str, journal: str, codec: CompressionCodec) -> int:
    """Write a journal's fragments, of the same lines each, and return the count of all lines."""
    content = lines_of(FRAGMENT_BYTES)
    coder = compressor(codec)
    packed = coder.compress(content) + coder.flush()
    digest = hashlib.sha1(content).digest()
    registry = StoreRegistry(SYSTEM)
    try:
        store = registry.get(url).store
        for begin in range(0, TOTAL_BYTES, FRAGMENT_BYTES):
            fragment = Fragment(
                journal=journal,
                begin=begin,
                end=begin + FRAGMENT_BYTES,
                sum=digest,
                compression_codec=codec,
            )
            await store.put(content_path(fragment), lambda: io.BytesIO(packed), len(packed))
    finally:
        await registry.close()
    return content.count(b"\n") * (TOTAL_BYTES // FRAGMENT_BYTES)


async def serve(client: Client, url: str, journal: str, codec: CompressionCodec) -> None:
    """Create the journal, and wait until its broker has listed the store."""
    spec = JournalSpec(
        name=journal,
        replication=1,
        fragment=FragmentSpec(
            length=1 << 30,
            compression_codec=codec,
            stores=(url,),
            refresh_interval_ns=300_000_000_000,
        ),
    )
    await client.apply([Change(expect_mod_revision=0, upsert=spec)])
    assert await client.write_head(journal) == TOTAL_BYTES


async def cost_of(reader: str, job: dict[str, Any]) -> dict[str, float]:
    """Run one read in a process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(CHILD), reader, json.dumps(job), stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0, reader
    cost: dict[str, float] = json.loads(printed)
    return cost


@pytest.mark.parametrize(
    "codec", [CompressionCodec.GZIP, CompressionCodec.ZSTANDARD], ids=lambda codec: codec.name
)
async def test_backfill(
    tmp_path: Path, s3: S3Server, codec: CompressionCodec, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = f"bench/backfill-{codec.name.lower()}"
    url = s3.url(PREFIX)
    lines = await put_history(url, journal, codec)
    costs: dict[str, list[dict[str, float]]] = {reader: [] for reader in READERS}
    async with ours(tmp_path, 1) as cluster, our_system(cluster) as system:
        await serve(system.client, url, journal, codec)
        job = {
            "broker": cluster.endpoints[0],
            "journal": journal,
            "store": url,
            "length": TOTAL_BYTES,
            "s3": s3.endpoint,
            "region": s3.region,
            "bucket": s3.bucket,
            "prefix": PREFIX,
            "directory": str(tmp_path / "s3" / "objects" / s3.bucket / PREFIX),
        }
        for number in range(ROUNDS):
            # Who comes first changes from round to round.
            for reader in READERS if number % 2 == 0 else reversed(READERS):
                cost = await cost_of(reader, job)
                assert (cost["length"], cost["lines"]) == (TOTAL_BYTES, lines), reader
                costs[reader].append(cost)
    with capsys.disabled():
        print(f"\n\n{TOTAL_BYTES // MIB} MiB of {codec.name}, {ROUNDS} rounds\n\n{table_of(costs)}")
    for own in ("reader", "lake"):
        assert max(cost["rss_bytes"] for cost in costs[own]) <= RSS_BYTES_MAX, own


def table_of(costs: dict[str, list[dict[str, float]]]) -> str:
    """Return medians over rounds, and ratios of our reader to each, round by round."""
    rows = [("read by", "MiB/s", "ratio", "CPU ms/MiB", "ratio", "peak MB")]
    own = costs["reader"]
    total = TOTAL_BYTES / MIB
    for reader, rounds in costs.items():
        pairs = list(zip(own, rounds, strict=True))
        rows.append(
            (
                reader,
                f"{median(total / cost['seconds'] for cost in rounds):.0f}",
                f"{median(cost['seconds'] / mine['seconds'] for mine, cost in pairs):.2f}",
                f"{median(1e3 * cost['cpu_s'] / total for cost in rounds):.2f}",
                f"{median(mine['cpu_s'] / cost['cpu_s'] for mine, cost in pairs):.2f}",
                f"{max(cost['rss_bytes'] for cost in rounds) / 1e6:.0f}",
            )
        )
    return aligned(rows, left=1)
