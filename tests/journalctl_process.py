"""`journalctl` as a process, called at a cluster."""

import asyncio
import sys

from gazette_py.local.cluster import LocalCluster


async def journalctl(cluster: LocalCluster, *args: str) -> str:
    """Run it, and return what it printed; it must succeed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gazette_py.cli.journalctl", *args),
        *("--broker.address", cluster.brokers[0].endpoint),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()
