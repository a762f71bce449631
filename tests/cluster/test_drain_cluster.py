"""A broker which is asked to leave hands its journals to whoever can take them."""

import asyncio
import signal
from pathlib import Path

import pytest
import urllib3
from local_clusters import apply, broker_of, config, eventually, keyspace_of, spec

from gazette_py.local.cluster import LocalBroker, LocalCluster
from gazette_py.local.ports import free_ports

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

FOR_TWO = ("--broker.max-replication=2",)


async def test_a_broker_drains_to_one_which_joined_just_before(tmp_path: Path) -> None:
    """It hears of the newcomer only after the signal: it must not take itself for the last one."""
    slow = config(tmp_path, brokers=1, extra_flags=("--broker.watch-delay=1s",))
    async with LocalCluster(slow) as cluster:
        async with cluster.connect() as client:
            await apply(client, spec("drained/journal", replication=1))
            await client.append("drained/journal", b"before ", timeout_s=30)
        newcomer = LocalBroker(1, "b", *free_ports(2))
        cluster.brokers.append(newcomer)
        await cluster.start_broker(newcomer)
        leaving = broker_of(cluster, "broker-0").process
        assert leaving is not None
        assert await leaving.stop(30)
        async with cluster.connect() as client:
            # A journal nobody took over would begin anew, and refuse: its index is ahead of it.
            await client.append("drained/journal", b"after", timeout_s=30)
            content = await client.read_all("drained/journal", 0, 12, block=True)
        assert content == b"before after"
        (assignment,) = (await keyspace_of(cluster)).assignments_of("drained/journal")
        assert assignment.member.suffix == "broker-1"


async def test_a_broker_which_is_needed_says_why(tmp_path: Path) -> None:
    """As many brokers as replicas: it cannot leave, and tells its operator what would help."""
    async with LocalCluster(config(tmp_path, brokers=2, extra_flags=FOR_TWO)) as cluster:
        async with cluster.connect() as client:
            await apply(client, spec("drained/journal", replication=2))
            await client.append("drained/journal", b"before", timeout_s=30)
        broker = cluster.brokers[0]
        assert broker.process is not None
        broker.process.send(signal.SIGTERM)
        why = "journal drained/journal wants 2 brokers, and there are 1 beside this one"

        async def is_told() -> bool:
            answer = await asyncio.to_thread(
                urllib3.request, "GET", f"{broker.http}/debug/ready", timeout=2
            )
            return answer.status == 200 and f"ready, draining: {why}".encode() in answer.data

        await eventually(is_told, "told over HTTP")
        log = cluster.config.data_dir / "logs" / f"{broker.id}.log"

        async def is_logged() -> bool:
            return f'broker_still_needed component=gazette_py.broker.membership why="{why}' in (
                log.read_text()
            )

        await eventually(is_logged, "told in the log")
        # It ends all the same, and says so: `--broker.shutdown-timeout` is 10 s here.
        async with asyncio.timeout(30):
            assert await broker.process.wait() == 0
        (leaving,) = [line for line in log.read_text().splitlines() if "leaves_with" in line]
        assert f'count=1 why="{why}' in leaving
