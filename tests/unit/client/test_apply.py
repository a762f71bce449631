"""Where an Apply goes, which is sent once only."""

import asyncio

import pytest

from gazette_py.client import Change, connect
from gazette_py.errors import RpcUnavailableError
from gazette_py.local.ports import free_ports
from gazette_py.protocol.journal import JournalSpec
from gazette_py.testing import InProcessCluster
from gazette_py.testing.in_process import FRAGMENT

CHANGE = Change(
    expect_mod_revision=0, upsert=JournalSpec(name="applied/one", replication=1, fragment=FRAGMENT)
)


async def test_the_next_address_is_taken_if_the_first_is_gone() -> None:
    with InProcessCluster() as cluster:
        (port,) = free_ports(1)
        gone = f"http://127.0.0.1:{port}"
        async with asyncio.timeout(10), connect(f"{gone},{cluster.address}") as client:
            assert await client.apply([CHANGE]) > 0


async def test_it_says_why_there_is_no_connection() -> None:
    (port,) = free_ports(1)
    async with connect(f"http://127.0.0.1:{port}", timeout_s=3) as client:
        with pytest.raises(RpcUnavailableError, match="Connection refused"):
            await client.apply([CHANGE])
