"""A broker which is asked to leave hands its journals to whoever can take them."""

from pathlib import Path

import pytest
from local_clusters import apply, broker_of, config, keyspace_of, spec

from gazette_py.local.cluster import LocalBroker, LocalCluster
from gazette_py.local.ports import free_ports

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]


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
