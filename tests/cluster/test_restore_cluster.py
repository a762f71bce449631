"""All of etcd is lost: a cluster made anew has its journals from a backup and from the store."""

import asyncio
import contextlib
import json
import shutil
from pathlib import Path

import pytest
from journalctl_process import journalctl
from local_clusters import apply, config, eventually, spec

from gazette_py.client import Client
from gazette_py.errors import GazetteError, IndexHasGreaterOffsetError, SuspendedError
from gazette_py.local.cluster import LocalCluster
from gazette_py.protocol.enums import AppendSuspend, SuspendLevel
from gazette_py.protocol.journal import JournalSpec
from gazette_py.protocol.labels import LabelSet

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

STORED, EMPTY, FULL = "restore/stored", "restore/empty", "restore/full"
LABELS = LabelSet.of(("env", "prod"))


async def specs(client: Client) -> dict[str, JournalSpec]:
    return {journal.spec.name: journal.spec for journal in (await client.list()).journals}


async def suspend_fully(client: Client, fragments: Path) -> int:
    """Suspend a journal whose content has gone, as by retention; return where it goes on."""
    end = (await client.append(FULL, b"has expired\n", timeout_s=30)).commit.end
    with pytest.raises(SuspendedError):
        await client.append(FULL, suspend=AppendSuspend.NOW, timeout_s=30)

    async def is_stored() -> bool:
        found = [listed.fragment async for listed in client.fragments(FULL)]
        return bool(found) and all(fragment.mod_time for fragment in found)

    await eventually(is_stored, "stored")
    shutil.rmtree(fragments / FULL)

    async def is_full() -> bool:
        with contextlib.suppress(SuspendedError):
            await client.append(FULL, suspend=AppendSuspend.NOW, timeout_s=5)
        return (await specs(client))[FULL].suspend.level is SuspendLevel.FULL

    await eventually(is_full, "fully suspended")
    return end


async def refusal(client: Client, journal: str) -> type[GazetteError] | None:
    """Return why the journal takes no appends, once its brokers have listed the store."""
    while True:
        try:
            await client.append(journal, timeout_s=30)
        except IndexHasGreaterOffsetError:
            return IndexHasGreaterOffsetError
        except GazetteError:
            await asyncio.sleep(0.1)
        else:
            return None


async def test_a_cluster_goes_on_from_its_backup_and_its_store(tmp_path: Path) -> None:
    backup = tmp_path / "backup.yaml"
    lost = LocalCluster(config(tmp_path, data_dir=tmp_path / "lost", brokers=3))
    async with lost, lost.connect() as client:
        made = [spec(name, replication=2, labels=LABELS) for name in (STORED, EMPTY, FULL)]
        await apply(client, *made)
        content = b"before the backup\n"
        registers = LabelSet.of(("author", "one"))
        await client.append(STORED, content, union_registers=registers, timeout_s=30)
        await client.append(EMPTY, timeout_s=30)
        full_end = await suspend_fully(client, lost.file_root)
        before = await specs(client)
        await journalctl(lost, "backup", "--to", str(backup))
        content += b"after it\n"
        await client.append(STORED, b"after it\n", timeout_s=30)
    # Brokers have persisted all, and ended. Of the rest of the cluster nothing is left.
    anew = LocalCluster(config(tmp_path, data_dir=tmp_path / "anew", brokers=3))
    shutil.copytree(lost.file_root, anew.file_root)
    shutil.rmtree(tmp_path / "lost")

    async with anew, anew.connect() as client:
        assert await specs(client) == {}
        planned = await journalctl(anew, "restore", str(backup), "--dry-run", "-o", "name")
        assert planned.split() == sorted((STORED, EMPTY, FULL))
        assert await specs(client) == {}
        await journalctl(anew, "restore", str(backup), "--yes")
        assert await specs(client) == before

        assert await refusal(client, STORED) is IndexHasGreaterOffsetError
        out = await journalctl(anew, "reset-head", "restore/", "--yes", "-o", "jsonl")
        reset = {item["name"]: item for item in map(json.loads, out.splitlines())}
        assert {name: item["status"] for name, item in reset.items()} == {
            STORED: "reset",
            EMPTY: "ok",
        }
        done = (await client.append(STORED, b"anew\n", timeout_s=30)).commit
        assert done.begin == len(content)
        assert await client.read_all(STORED, 0, done.end, block=True) == content + b"anew\n"
        assert (await client.append(EMPTY, b"first\n", timeout_s=30)).commit.begin == 0
        assert (await client.append(FULL, b"anew\n", timeout_s=30)).commit.begin == full_end
