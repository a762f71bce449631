"""`journalctl brokers` with brokers of the reference: they tell less, and end when drained."""

import asyncio
import json
import signal
from pathlib import Path

import pytest
from go_programs import go_member
from journalctl_process import call, journalctl
from local_clusters import apply, config, spec, wait_consistent

from gazette_py.local.cluster import LocalCluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

FLAGS = ("--broker.max-replication=1",)
JOURNALS = [f"mixed/{n}" for n in range(4)]


async def test_a_drained_broker_of_the_reference_ends(tmp_path: Path, go_broker: str) -> None:
    async with (
        LocalCluster(config(tmp_path, brokers=1, extra_flags=FLAGS)) as cluster,
        go_member(cluster, go_broker, "b") as go,
        cluster.connect() as client,
    ):
        await apply(client, *(spec(name, replication=1) for name in JOURNALS))
        await wait_consistent(cluster, client, JOURNALS)
        for name in JOURNALS:
            await client.append(name, b"content", timeout_s=30)
        by_routes = await call("brokers", "list", "-o", "json", address=go.endpoint)
        seen = {b["name"]: b for b in json.loads(by_routes.out)["items"]}
        assert (seen["b/go-broker"]["limit"], seen["b/go-broker"]["status"]) == (None, "unknown")
        assert "limits and who is exiting are not known" in by_routes.err

        ended = await call(
            *("brokers", "drain", "go-broker", "--yes", "--wait=60s", "-o", "json"),
            *("--etcd.address", cluster.etcd_url),
            address=cluster.endpoints[0],
        )
        assert ended.code == 0, ended.err
        assert json.loads(ended.out)["items"][0]["status"] in ("drained", "left")
        assert await go.process.wait() == 0, go.process.last_output()
        left = json.loads(await journalctl(cluster, "brokers", "list", "-o", "json"))["items"]
        assert [(b["name"], b["assignments"]) for b in left] == [("a/broker-0", 4)]
        for name in JOURNALS:
            assert await client.read_all(name, 0, 7, block=True) == b"content"


async def test_one_of_the_reference_must_not_be_signalled_before_it_is_drained(
    tmp_path: Path, go_broker: str
) -> None:
    """It finds that its key was changed by somebody else, and ends with what it holds."""
    flags = ("--broker.max-replication=2",)
    async with (
        LocalCluster(config(tmp_path, brokers=1, extra_flags=flags)) as cluster,
        go_member(cluster, go_broker, "b", replication=2) as go,
        cluster.connect() as client,
    ):
        await apply(client, spec("mixed/needed", replication=2))
        await wait_consistent(cluster, client, ["mixed/needed"])
        ended = await call(
            *("brokers", "drain", "go-broker", "--yes", "--etcd.address", cluster.etcd_url),
            address=cluster.endpoints[0],
        )
        assert ended.code == 0, ended.err
        assert "A broker of Gazette ends by itself once it has no journals." in ended.err
        assert go.process.exit_code is None
        go.process.send(signal.SIGTERM)
        async with asyncio.timeout(30):
            assert await go.process.wait() != 0
        assert "key modified or deleted externally" in go.process.log.read_text()
