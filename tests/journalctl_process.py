"""`journalctl` as a process, called at a cluster."""

import asyncio
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from gazette_py.local.cluster import LocalCluster


@dataclass(frozen=True, slots=True)
class Ended:
    """How a call of it ended."""

    code: int | None
    out: str
    err: str


async def call(*args: str, address: str = "", env: Mapping[str, str] | None = None) -> Ended:
    """Run it, and return how it ended."""
    where = ("--broker.address", address) if address else ()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gazette_py.cli.journalctl", *args, *where),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **(env or {})},
    )
    out, err = await process.communicate()
    return Ended(process.returncode, out.decode(), err.decode())


async def journalctl(cluster: LocalCluster, *args: str) -> str:
    """Run it, and return what it printed; it must succeed."""
    ended = await call(*args, address=cluster.brokers[0].endpoint)
    assert ended.code == 0, ended.err
    return ended.out
