"""`journalctl describe` tells an operator what is wrong with a journal."""

import json
from pathlib import Path
from typing import Any

import pytest
from journalctl_process import journalctl
from local_clusters import apply, config, eventually, spec

from gazette_py.local.cluster import LocalCluster
from gazette_py.protocol.fragment import Fragment, content_path

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

MAX_3 = "--broker.max-replication=3"


async def describe(cluster: LocalCluster, name: str) -> Any:
    (item,) = json.loads(await journalctl(cluster, "describe", name, "-o", "json"))["items"]
    return item


async def test_two_files_of_one_extent_are_shown(tmp_path: Path) -> None:
    """As after two primaries had taken the same offsets: neither is silently preferred."""
    name = "described/journal"
    async with (
        LocalCluster(config(tmp_path, brokers=2, extra_flags=(MAX_3,))) as cluster,
        cluster.connect() as client,
    ):
        await apply(client, spec(name, replication=2))
        await client.append(name, b"one content", timeout_s=30)
        paths = [
            content_path(Fragment(journal=name, begin=0, end=5, sum=bytes([n]) * 20))
            for n in (1, 2)
        ]
        for path in paths:
            file = cluster.file_root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"xxxxx")

        async def is_found() -> bool:
            return bool((await describe(cluster, name))["conflicts"])

        await eventually(is_found, "found in the listing of the store")
        item = await describe(cluster, name)
        text = await journalctl(cluster, "describe", name)
    (conflict,) = item["conflicts"]
    assert (conflict["begin"], conflict["end"]) == (0, 5)
    assert sorted(f["path"] for f in conflict["fragments"]) == sorted(paths)
    assert f"[0, 5) is in\n      file:///{paths[0]}\n      file:///{paths[1]}\n" in text
    assert (item["status"], item["limit"], item["head"]) == ("ok", None, 11)
    assert [r["is_primary"] for r in item["replicas"]].count(True) == 1
    assert all(r["end"] == 11 and r["is_listed"] for r in item["replicas"])
    assert item["stores"] == [{"url": "file:///", "is_healthy": True, "error": ""}]


async def test_the_limit_which_binds_is_named(tmp_path: Path) -> None:
    """Of a journal which wants more brokers than there are, and of one which is all in one zone."""
    one_zone = config(tmp_path, brokers=2, zones=("a",), extra_flags=(MAX_3,))
    async with LocalCluster(one_zone) as cluster, cluster.connect() as client:
        await apply(client, spec("described/three", replication=3))
        await apply(client, spec("described/two", replication=2))
        await client.append("described/two", b"content", timeout_s=30)
        three = await describe(cluster, "described/three")
        two = await describe(cluster, "described/two")
        text = await journalctl(cluster, "describe", "described/three")
    assert (three["status"], three["limit"]) == ("under-replicated", "members")
    why = "journal described/three wants 3 replicas, and there are 2 brokers"
    assert three["limit_reason"] == why
    assert f"  Limit        {why}\n" in text
    assert (two["status"], two["limit"]) == ("ok", "zones")
    assert two["limit_reason"].endswith("and there is one zone (--broker.zone)")


async def test_a_broker_which_does_not_answer_is_told(tmp_path: Path) -> None:
    name = "described/journal"
    async with LocalCluster(
        config(tmp_path, brokers=2, lease_s=60, extra_flags=(MAX_3,))
    ) as cluster:
        async with cluster.connect() as client:
            await apply(client, spec(name, replication=2))
            await client.append(name, b"content", timeout_s=30)
        gone = cluster.brokers[1]
        assert gone.process is not None
        await gone.process.kill()
        item = await describe(cluster, name)
        text = await journalctl(cluster, "describe", name)
    by_id = {replica["broker"]: replica for replica in item["replicas"]}
    assert by_id[f"{gone.zone}/{gone.id}"]["refusal"]
    assert by_id["a/broker-0"]["end"] == 7
    assert "UNAVAILABLE" in text
