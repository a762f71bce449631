"""`journalctl wait`, while brokers come and journals grow."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from journalctl_process import Ended, call
from local_clusters import apply, config, spec

from gazette_py.local.cluster import LocalBroker, LocalCluster
from gazette_py.local.ports import free_ports

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

ONE, TWO = "waited/one", "waited/two"


async def wait(cluster: LocalCluster, *args: str) -> Ended:
    return await call("wait", "waited/", *args, "-o", "jsonl", address=cluster.endpoints[0])


def states(ended: Ended) -> dict[str, Any]:
    items = [json.loads(line) for line in ended.out.splitlines()]
    return {item["name"]: item["status"] for item in items}


async def test_journals_are_waited_for(tmp_path: Path) -> None:
    flags = ("--broker.max-replication=2",)
    async with (
        LocalCluster(config(tmp_path, brokers=1, extra_flags=flags)) as cluster,
        cluster.connect() as client,
    ):
        await apply(client, spec(ONE, replication=1), spec(TWO, replication=2))
        served = await wait(cluster, "--for=primary")
        assert (served.code, states(served)) == (0, {ONE: "done", TWO: "done"})

        short = await wait(cluster, "--timeout=3s")
        assert (short.code, states(short)) == (6, {ONE: "done", TWO: "waiting"})
        error = json.loads(short.err)["error"]
        assert error["message"] == (
            f"journal {TWO}: not consistent after 3s: 1 of 2 brokers serve it"
        )

        newcomer = LocalBroker(1, "b", *free_ports(2))
        cluster.brokers.append(newcomer)
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(wait(cluster, "--for=consistent", "--timeout=60s"))
            await cluster.start_broker(newcomer)
        assert (waiting.result().code, states(waiting.result())) == (0, {ONE: "done", TWO: "done"})

        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(wait(cluster, "--for=head>=7", "--timeout=60s"))
            for name in (ONE, TWO):
                await client.append(name, b"content", timeout_s=30)
        assert waiting.result().code == 0

        # Nothing closes the fragments: they are not full.
        away = await wait(cluster, "--for=persisted", "--timeout=3s")
        assert (away.code, states(away)) == (6, {ONE: "waiting", TWO: "waiting"})
        assert "offsets from 0 to 7 are in no store yet" in away.err
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(wait(cluster, "--for=persisted", "--timeout=60s"))
            address = cluster.endpoints[0]
            suspended = await call("suspend", "waited/", "--force", address=address)
            assert suspended.code == 0, suspended.err
        assert waiting.result().code == 0, waiting.result().err


async def test_what_is_not_there_is_no_wait(tmp_path: Path) -> None:
    async with LocalCluster(config(tmp_path, brokers=1)) as cluster:
        assert (await wait(cluster)).code == 3
        nonsense = await wait(cluster, "--for=sunshine")
        assert (nonsense.code, "'sunshine' is none of primary" in nonsense.err) == (2, True)


async def test_replicas_which_brokers_bound_are_not_waited_for(tmp_path: Path) -> None:
    flags = ("--broker.max-replication=1",)
    async with (
        LocalCluster(config(tmp_path, brokers=1, extra_flags=flags)) as cluster,
        cluster.connect() as client,
    ):
        await apply(client, spec(ONE, replication=3))
        served = await wait(cluster, "--timeout=20s")
        assert (served.code, states(served)) == (0, {ONE: "done"})
