"""Backup, restore and prune for brokers of the reference: a cluster of theirs is made anew."""

import json
import shutil
from pathlib import Path

import pytest
from go_programs import GoBroker, go_member
from journalctl_process import call
from local_clusters import apply, config, eventually, spec

from gazette_py.client import connect
from gazette_py.errors import IndexHasGreaterOffsetError
from gazette_py.local.cluster import LocalCluster
from gazette_py.protocol.labels import LabelSet

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

STORED, GONE = "kept/stored", "kept/gone"
PIECES = [f"{number:04}".encode() * 300 for number in range(4)]
CONTENT = b"".join(PIECES)


async def journalctl(endpoint: str, *args: str) -> str:
    done = await call(*args, address=endpoint)
    assert done.code == 0, done.err
    return done.out


async def lose(go: GoBroker) -> None:
    """Have a broker store what it holds and leave, of which another would have to take over."""
    await journalctl(go.endpoint, "delete", "kept/", "--yes")
    await go.drain()


async def test_a_cluster_of_theirs_goes_on_from_a_backup(tmp_path: Path, go_broker: str) -> None:
    backup = tmp_path / "backup.yaml"
    async with LocalCluster(config(tmp_path, brokers=1)) as cluster:
        async with (
            go_member(cluster, go_broker, "a", prefix="/before") as go,
            connect(go.endpoint) as client,
        ):
            made = [spec(name, replication=1, length=1 << 10) for name in (STORED, GONE)]
            await apply(client, *made)
            registers = LabelSet.of(("author", "one"))
            for name in (STORED, GONE):
                for piece in PIECES:
                    await client.append(name, piece, union_registers=registers, timeout_s=30)
            await journalctl(go.endpoint, "backup", "--to", str(backup))
            await lose(go)
        text = backup.read_text()
        assert text.count(f"head: {len(CONTENT)}") == 2
        assert text.count("name: author") == 2
        shutil.rmtree(cluster.file_root / GONE)

        async with (
            go_member(cluster, go_broker, "a", prefix="/anew", name="go-anew") as go,
            connect(go.endpoint) as client,
        ):
            await journalctl(go.endpoint, "restore", str(backup), "--yes")
            with pytest.raises(IndexHasGreaterOffsetError):
                await client.append(STORED, timeout_s=30)
            await journalctl(go.endpoint, "reset-head", STORED, "--yes")
            assert (await client.append(STORED, b"more\n")).commit.begin == len(CONTENT)
            assert await client.read_all(STORED, 0, len(CONTENT)) == CONTENT

            # They list the store, and go by what is left of it.
            options = ("--older-than", "1s", "--file-root", str(cluster.file_root), "-o", "jsonl")

            async def is_pruned() -> bool:
                out = await journalctl(go.endpoint, "prune", STORED, *options, "--dry-run")
                ends = [json.loads(line)["end"] for line in out.splitlines()]
                return bool(ends) and max(ends) == len(CONTENT) - len(PIECES[-1])

            await eventually(is_pruned, "old enough")
            await journalctl(go.endpoint, "prune", STORED, *options, "--yes")
            first = len(CONTENT) - len(PIECES[-1])

            async def is_known() -> bool:
                begins = [f.fragment.begin async for f in client.fragments(STORED)]
                return min(begins) == first

            await eventually(is_known, "known to the broker")
            assert await client.read_all(STORED, first, len(CONTENT)) == PIECES[-1]
            assert (await client.append(STORED, b"more\n")).commit.begin == len(CONTENT) + 5
            await lose(go)

        async with (
            go_member(cluster, go_broker, "a", prefix="/third", name="go-third") as go,
            connect(go.endpoint) as client,
        ):
            await journalctl(go.endpoint, "restore", str(backup), "--resume-at-heads", "--yes")
            done = await client.append(GONE, b"never below\n", timeout_s=30)
            assert done.commit.begin == len(CONTENT)
