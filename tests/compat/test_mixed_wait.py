"""`journalctl wait` for a journal of brokers of the reference, which tell less."""

from pathlib import Path

import pytest
from go_programs import go_member
from journalctl_process import call
from local_clusters import apply, config, spec

from gazette_py.client import connect
from gazette_py.local.cluster import LocalCluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]


async def test_a_barrier_tells_that_brokers_agree(tmp_path: Path, go_broker: str) -> None:
    async with (
        LocalCluster(config(tmp_path, brokers=1)) as cluster,
        go_member(cluster, go_broker, "a", prefix="/others") as go,
        connect(go.endpoint) as client,
    ):
        await apply(client, spec("mixed/one", replication=1), spec("mixed/two", replication=2))
        done = await call("wait", "mixed/one", "--for=consistent", address=go.endpoint)
        assert done.code == 0, done.err
        # It bounds replication by one, which only its own answers tell.
        bound = await call("wait", "mixed/", address=go.endpoint)
        assert bound.code == 0, bound.err
