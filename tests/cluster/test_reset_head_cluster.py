"""`journalctl reset-head`: journals whose brokers were all lost go on behind what is stored."""

import json
from pathlib import Path
from typing import Any

import pytest
from journalctl_process import call, journalctl
from local_clusters import apply, config, eventually, members_of, spec, wait_consistent

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


async def test_a_broker_which_is_leaving_may_hold_what_is_missing(tmp_path: Path) -> None:
    flags = ("--broker.max-replication=2",)
    async with (
        LocalCluster(config(tmp_path, brokers=2, extra_flags=flags)) as cluster,
        cluster.connect() as client,
    ):
        # The second keeps either broker in the cluster, with content which is in no store.
        await apply(
            client, spec(LOST, replication=1, length=1024), spec("held/journal", replication=2)
        )
        await wait_consistent(cluster, client, [LOST, "held/journal"])
        # A second append closes the fragment of the first, which is longer than it should be.
        stored = (await client.append(LOST, b"stored" * 1000, timeout_s=30)).commit.end
        await client.append(LOST, b"lost with its only broker\n")

        async def is_stored() -> bool:
            return any([f.fragment.mod_time async for f in client.fragments(LOST)])

        await eventually(is_stored, "stored")
        (lost,) = await members_of(cluster, LOST)
        (leaving,) = [each for each in cluster.brokers if each is not lost]
        assert lost.process is not None
        await lost.process.kill()
        await cluster.start_broker(lost)

        async def needs_reset() -> bool:
            try:
                await client.append(LOST, timeout_s=5)
            except IndexHasGreaterOffsetError:
                return True
            return False

        await eventually(needs_reset, "refusing appends")
        await wait_consistent(cluster, client, ["held/journal"])
        await client.append("held/journal", b"held")
        etcd = ("--etcd.address", cluster.etcd_url)
        await journalctl(cluster, "brokers", "drain", leaving.id, *etcd, "--yes")

        address = cluster.endpoints[0]
        for more in ((), etcd):
            refused = await call("reset-head", LOST, "--yes", *more, address=address)
            name = f"{leaving.zone}/{leaving.id}"
            assert refused.code == 4
            assert f"error: broker {name} (BROKER_EXITING): it is exiting" in refused.err
            assert " are in its spools" in refused.err
        needed = {"name": LOST, "status": "needs-reset", "head": stored}
        assert await reset_head(cluster, "--dry-run") == [needed]
        assert await reset_head(cluster, "--yes", "--force") == [needed | {"status": "reset"}]
