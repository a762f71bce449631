"""`journalctl reset-head`: journals whose brokers were all lost go on behind what is stored."""

import json
from pathlib import Path
from typing import Any

import pytest
from journalctl_process import journalctl
from local_clusters import apply, config, eventually, spec

from gazette_py.errors import IndexHasGreaterOffsetError
from gazette_py.local.cluster import LocalCluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

LOST, WELL = "reset/lost", "reset/well"


async def reset_head(cluster: LocalCluster, *args: str) -> list[Any]:
    out = await journalctl(cluster, "reset-head", "reset/", *args, "-o", "jsonl")
    return [json.loads(line) for line in out.splitlines()]


async def test_a_journal_goes_on_behind_its_last_stored_fragment(tmp_path: Path) -> None:
    async with LocalCluster(config(tmp_path, brokers=1)) as cluster, cluster.connect() as client:
        await apply(client, *(spec(name, replication=1) for name in (LOST, WELL)))
        stored = (await client.append(LOST, b"stored\n", timeout_s=30)).commit.end

        async def is_stored() -> bool:
            return all([f.fragment.mod_time async for f in client.fragments(LOST)])

        await eventually(is_stored, "stored")
        await client.append(LOST, b"lost with its only broker\n")
        assert cluster.brokers[0].process is not None
        await cluster.brokers[0].process.kill()
        await cluster.start_broker(cluster.brokers[0])
        with pytest.raises(IndexHasGreaterOffsetError):
            await client.append(LOST, timeout_s=30)

        needed = {"name": LOST, "status": "needs-reset", "head": stored}
        well = {"name": WELL, "status": "ok", "head": 0}
        assert await reset_head(cluster, "--dry-run") == [needed, well]
        with pytest.raises(AssertionError, match="Give --yes"):
            await reset_head(cluster)
        assert await reset_head(cluster, "--yes") == [needed | {"status": "reset"}, well]

        done = (await client.append(LOST, b"after\n", timeout_s=30)).commit
        assert done.begin == stored
        assert await client.read_all(LOST, 0, done.end) == b"stored\nafter\n"
        assert await reset_head(cluster) == [needed | {"status": "ok", "head": done.end}, well]
