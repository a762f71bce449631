"""`journalctl journals prune` on a real S3 server: as gazctl, it neither asks nor prints."""

from dataclasses import replace
from pathlib import Path

import pytest
from journalctl_process import journalctl
from local_clusters import apply, config, eventually, spec
from versitygw_server import S3Server

from gazette_py.client import Client
from gazette_py.local.cluster import LocalCluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

LIMITED, FOREVER = "prune/limited", "prune/forever"
PIECE = b"0123456789" * 120  # More than a fragment's length, so that each has its own.


async def begins(client: Client, name: str) -> list[int]:
    """Return where stored fragments begin, as brokers know it."""
    found = [listed.fragment async for listed in client.fragments(name)]
    return [fragment.begin for fragment in found if fragment.backing_store]


async def test_what_is_older_than_retention_goes(tmp_path: Path, s3: S3Server) -> None:
    store = s3.url("some/prefix/")
    cluster = LocalCluster(config(tmp_path, store=store, brokers=1))
    async with cluster, cluster.connect() as client:
        forever = spec(FOREVER, store=store, replication=1, length=1 << 10)
        fragment = replace(forever.fragment, retention_ns=1_000_000_000)
        await apply(client, forever, replace(forever, name=LIMITED, fragment=fragment))
        for name in (LIMITED, FOREVER):
            for _ in range(4):
                await client.append(name, PIECE, timeout_s=30)

        async def are_stored() -> bool:
            return len(await begins(client, LIMITED)) == len(await begins(client, FOREVER)) == 3

        await eventually(are_stored, "stored")
        prune = ("journals", "prune", "-l", "name:prefix=prune/")
        assert await journalctl(cluster, *prune, "--dry-run") == ""
        assert len(await begins(client, LIMITED)) == 3

        async def is_pruned() -> bool:
            assert await journalctl(cluster, *prune) == ""
            return len(await begins(client, LIMITED)) == 1

        await eventually(is_pruned, "pruned", 60)
        # gazctl would have removed all of both.
        assert await begins(client, LIMITED) == [2 * len(PIECE)]
        assert len(await begins(client, FOREVER)) == 3
