"""`journalctl brokers`: who they are, from etcd, from brokers, and how one is drained."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import pytest
from journalctl_process import Ended, call, journalctl
from local_clusters import apply, config, keyspace_of, spec, wait_consistent

from gazette_py.client import Client
from gazette_py.local.cluster import LocalCluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

JOURNALS = [f"drained/{n}" for n in range(4)]


def etcd(cluster: LocalCluster) -> tuple[str, str]:
    return "--etcd.address", cluster.etcd_url


async def brokers(cluster: LocalCluster, *args: str) -> list[Any]:
    out = await journalctl(cluster, "brokers", *args, "-o", "jsonl")
    return [json.loads(line) for line in out.splitlines()]


async def drain(cluster: LocalCluster, name: str, *args: str) -> Ended:
    address = cluster.endpoints[0]
    return await call("brokers", "drain", name, *etcd(cluster), *args, address=address)


class Writer:
    """Appends to all journals in turn, until the context ends; each append must succeed."""

    def __init__(self, client: Client) -> None:
        self.count = 0
        self._client = client

    async def run(self) -> None:
        while True:
            journal = JOURNALS[self.count % len(JOURNALS)]
            await self._client.append(journal, f"{self.count}\n".encode(), timeout_s=30)
            self.count += 1


async def test_a_drained_broker_serves_nothing_and_appends_went_on(tmp_path: Path) -> None:
    flags = ("--broker.max-replication=2",)
    async with (
        LocalCluster(config(tmp_path, brokers=3, extra_flags=flags)) as cluster,
        cluster.connect() as client,
    ):
        await apply(client, *(spec(name, replication=2) for name in JOURNALS))
        await wait_consistent(cluster, client, JOURNALS)
        before = await brokers(cluster, "list")
        assert before == await brokers(cluster, "list", *etcd(cluster))
        assert [b["name"] for b in before] == ["a/broker-0", "b/broker-1", "c/broker-2"]
        assert sum(b["assignments"] for b in before) == 2 * len(JOURNALS)
        assert sum(b["primaries"] for b in before) == len(JOURNALS)
        assert {(b["exiting"], b["limit"]) for b in before} == {(False, 1024)}

        dry = await drain(cluster, "broker-1", "--dry-run", "-o", "json")
        assert json.loads(dry.out)["items"][0]["status"] == "would-drain"
        refused = await drain(cluster, "broker-1")
        assert (refused.code, "Give --yes" in refused.err) == (2, True)
        assert await brokers(cluster, "list") == before

        writer = Writer(client)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(writer.run())
            done = await drain(cluster, "b/broker-1", "--yes", "--wait=60s", "-o", "json")
            task.cancel()
        assert done.code == 0, done.err
        assert json.loads(done.out)["items"] == [
            {"name": "b/broker-1", "status": "drained", "assignments": 0}
        ]
        assert "b/broker-1: 0 journals left" in done.err
        assert "End it by SIGTERM" in done.err
        assert writer.count > 0
        after = {b["name"]: b for b in await brokers(cluster, "list", *etcd(cluster))}
        gone = after["b/broker-1"]
        assert (gone["assignments"], gone["exiting"], gone["status"]) == (0, True, "exiting")
        assert sum(b["assignments"] for b in after.values()) == 2 * len(JOURNALS)

        # What its operator does next: it leaves at once, and comes back as it was before.
        leaving = cluster.brokers[1]
        assert leaving.process is not None
        leaving.process.send(signal.SIGTERM)
        async with asyncio.timeout(20):
            assert await leaving.process.wait() == 0
        await cluster.start_broker(leaving)
        assert [b["exiting"] for b in await brokers(cluster, "list")] == [False] * 3


async def test_who_cannot_be_drained_says_what_is_missing(tmp_path: Path) -> None:
    flags = ("--broker.max-replication=2",)
    async with (
        LocalCluster(config(tmp_path, brokers=2, extra_flags=flags)) as cluster,
        cluster.connect() as client,
    ):
        await apply(client, spec("wide/journal", replication=2))
        await wait_consistent(cluster, client, ["wide/journal"])
        ended = await drain(cluster, "broker-0", "--yes", "--wait=3s")
        why = "journal wide/journal wants 2 brokers, and there are 1 beside this one"
        assert f"note: a/broker-0 cannot be drained wholly now: {why}" in ended.err
        assert f"error: broker a/broker-0 (DRAINING): not drained after 3s: {why}" in ended.err
        assert ended.code == 6
        assert len((await keyspace_of(cluster)).assignments_of("wide/journal")) == 2


async def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    async with LocalCluster(config(tmp_path, brokers=1)) as cluster:
        alone = await drain(cluster, "broker-0", "--yes")
        assert (alone.code, "it is the only one" in alone.err) == (2, True)
        unknown = await drain(cluster, "nobody", "--yes")
        assert (unknown.code, "There are a/broker-0." in unknown.err) == (3, True)
        address = cluster.endpoints[0]
        nowhere = ("--etcd.address", "http://127.0.0.1:1")
        ended = await call("brokers", "drain", "broker-0", "--yes", *nowhere, address=address)
        assert (ended.code, "(ETCD_UNAVAILABLE)" in ended.err) == (6, True)
        # A list does without.
        listed = await call("brokers", "list", *nowhere, "-o", "name", address=address)
        assert (listed.code, listed.out) == (0, "a/broker-0\n")
        assert "brokers were asked instead" in listed.err
        (described,) = await brokers(cluster, "describe", "broker-0")
        assert (described["disk_free"] > 0, described["refusal"]) == (True, "")
        text = await journalctl(cluster, "brokers", "describe", "broker-0")
        assert "  Load         0 journals of at most 1024, 0 as primary\n" in text
        assert "  Clock        " in text
