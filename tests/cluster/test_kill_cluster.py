"""Brokers of every role are killed while clients append: nothing acknowledged is lost or doubled.

Several clients append to the same journals. Each record is sent once: an append whose outcome is
not known is given up, and may be there or not. All others must be there, where they were
acknowledged.
"""

from pathlib import Path

import pytest
from acknowledged_load import (
    Load,
    check_content,
    flush,
    served_runs,
    stored_runs,
    wait_stored,
)
from local_clusters import apply, config, leader_of, members_of, spec, wait_consistent
from versitygw_server import S3Server

from gazette_py.client import Client
from gazette_py.lake import Lake
from gazette_py.local.cluster import LocalBroker, LocalCluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

JOURNALS = ("kill/one", "kill/two", "kill/three")
WRITERS = 4
ACKNOWLEDGED_MIN = 7
"""Appends to be acknowledged before, between and after kills, in each journal."""

ROLES = ("primary", "replica", "leader", "primary again")


async def victim_of(cluster: LocalCluster, role: str) -> LocalBroker:
    if role == "leader":
        return await leader_of(cluster)
    members = await members_of(cluster, JOURNALS[0])
    return members[1] if role == "replica" else members[0]


async def kill_each_role(cluster: LocalCluster, client: Client, load: Load) -> None:
    for role in ROLES:
        await load.wait_progress(ACKNOWLEDGED_MIN, 40)
        broker = await victim_of(cluster, role)
        assert broker.process is not None
        await broker.process.kill()
        await load.wait_progress(ACKNOWLEDGED_MIN, 40)
        await cluster.start_broker(broker)
        await wait_consistent(cluster, client, JOURNALS)
    await load.wait_progress(ACKNOWLEDGED_MIN, 40)


async def test_nothing_acknowledged_is_lost(tmp_path: Path, s3: S3Server) -> None:
    store = s3.url()
    specs = [spec(journal, store=store, length=1 << 15) for journal in JOURNALS]
    cluster = LocalCluster(config(tmp_path, store=store))
    async with cluster:
        async with cluster.connect() as client:
            await apply(client, *specs)
            await wait_consistent(cluster, client, JOURNALS)
            load = Load(client, JOURNALS, seed=1)
            load.start(WRITERS)
            try:
                await kill_each_role(cluster, client, load)
            finally:
                await load.stop()
            heads = await flush(load, client, specs)
        async with Lake(store) as lake:
            runs = await wait_stored(load, lake, heads, 60)
        async with cluster.connect(cache_size=0) as client:
            for journal in JOURNALS:
                check_content(load, journal, await served_runs(client, journal, runs[journal]))
        assert await cluster.stop_brokers()
        async with Lake(store) as lake:
            for journal in JOURNALS:
                check_content(load, journal, await stored_runs(lake, journal))
