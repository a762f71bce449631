"""Wall clocks are minutes apart, or are set: nothing acknowledged is lost, and nothing waits.

Leases, timeouts and rates are by monotonic clocks. By the wall clock are the ends of flush
intervals, of whoever is primary; the age of what is skipped in reads; and what is signed.
"""

import asyncio
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import urllib3
from chaos_cluster import ChaosCluster
from chaos_network import Network
from chaos_trial import JOURNALS, specs_now, specs_of, trial
from local_clusters import NS, apply, eventually
from skewed_clocks import SkewedClock, library
from versitygw_server import S3Server

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.timeout(300),
    pytest.mark.skipif(library() is None, reason="libfaketime is not installed"),
]

APART_MIN = (5.0, -5.0, 0.0, 2.5)
"""Of each broker."""
RATE = 1 << 16
"""The least which is allowed: writers have more to say."""
SETTLE_S = 5.0


class Clocks:
    """Gives each broker a clock of its own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.of: dict[str, SkewedClock] = {}

    def prepare(self, running: ChaosCluster) -> None:
        for broker, minutes in zip(running.brokers, APART_MIN, strict=True):
            clock = SkewedClock(self._directory / f"{broker.id}.clock", minutes)
            broker.environment |= clock.environment()
            self.of[broker.id] = clock


async def test_clocks_are_minutes_apart(tmp_path: Path, net: Network) -> None:
    """A journal whose primary is killed goes on by another's clock, ten minutes off."""
    clocks = Clocks(tmp_path)
    name = "clocks 5 minutes ahead and behind, SIGKILL of a primary"
    async with trial(name, tmp_path, net, prepare=clocks.prepare) as run:

        async def fault() -> None:
            specs = await specs_now(run.client, JOURNALS)
            flushed = [
                replace(s, fragment=replace(s.fragment, flush_interval_ns=60 * NS)) for s in specs
            ]
            await apply(run.client, *flushed)
            for broker in run.cluster.brokers[:2]:
                await broker.kill()
                await run.load.wait_progress(5, 60)
                await run.cluster.start(broker)
                await run.cluster.wait_consistent(JOURNALS)

        await run.during(fault())
        logged = [first_time(run.cluster.log_of(broker)) for broker in run.cluster.brokers]
        assert logged[0] - logged[1] > 500, "the clocks are not apart"
        assert run.pause_s < 15


def first_time(log: str) -> float:
    """Return the time of the first line."""
    stamp = log.split("time=", 1)[1].split(".", 1)[0]
    return time.mktime(time.strptime(stamp, "%Y-%m-%dT%H:%M:%S"))


@pytest.mark.parametrize("minutes", [-5.0, 5.0], ids=["back", "forth"])
async def test_clocks_are_set(tmp_path: Path, net: Network, minutes: float) -> None:
    """While appends wait for their rate: the balance does not stand still, nor jump."""
    clocks = Clocks(tmp_path)
    specs = [replace(each, max_append_rate=RATE) for each in specs_of()]
    name = f"all clocks set by {minutes:+.0f} min, at 64 KiB/s"
    async with trial(name, tmp_path, net, specs=specs, prepare=clocks.prepare) as run:

        async def is_throttled() -> bool:
            # A journal has ten seconds' worth in advance.
            return all(
                any(each.end > 10 * RATE for each in run.load.acknowledged[j]) for j in JOURNALS
            )

        await eventually(is_throttled, "throttled", 60.0)

        async def fault() -> None:
            for (_, clock), at in zip(clocks.of.items(), APART_MIN, strict=True):
                clock.set(at + minutes)
            await asyncio.sleep(SETTLE_S)

        await run.during(fault())
        assert run.pause_s < 10


STORE_PROGRAM = """
import asyncio, io, sys
from gazette_py.clock import SYSTEM
from gazette_py.errors import GazetteError
from gazette_py.stores.registry import StoreRegistry

async def main(url):
    registry = StoreRegistry(SYSTEM)
    try:
        store = registry.get(url).store
        await store.put("a/file", lambda: io.BytesIO(b"content"), 7)
        print(await store.sign_get("a/file", 3600))
    except GazetteError as exc:
        sys.exit(f"{type(exc).__name__}: {exc}")
    finally:
        await registry.close()

asyncio.run(main(sys.argv[1]))
"""


def signed(s3: S3Server, clock: SkewedClock) -> subprocess.CompletedProcess[str]:
    """Put a file, and sign a URL of it, by a clock."""
    return subprocess.run(
        [sys.executable, "-c", STORE_PROGRAM, s3.url()],
        env={**os.environ, **clock.environment()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("minutes", [-5.0, 5.0])
def test_what_is_signed_minutes_off_is_good(tmp_path: Path, s3: S3Server, minutes: float) -> None:
    done = signed(s3, SkewedClock(tmp_path / "clock", minutes))
    assert done.returncode == 0, done.stderr
    answer = urllib3.request("GET", done.stdout.strip(), timeout=10)
    assert (answer.status, answer.data) == (200, b"content")


def test_a_store_which_refuses_a_clock_is_told_so(tmp_path: Path, s3: S3Server) -> None:
    """S3 bears a quarter of an hour."""
    done = signed(s3, SkewedClock(tmp_path / "clock", -30.0))
    assert done.returncode == 1
    print(done.stderr)
    assert "RequestTimeTooSkewed" in done.stderr
