"""`journalctl prune` under running brokers: they serve what is left, and go on where they were."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from journalctl_process import journalctl
from local_clusters import apply, config, eventually, spec
from versitygw_server import versitygw

from gazette_py.client import Client
from gazette_py.errors import GazetteError, IndexHasGreaterOffsetError
from gazette_py.local.cluster import LocalCluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

JOURNAL = "prune/journal"
PIECES = [f"{number:04}".encode() * 300 for number in range(8)]
"""More than the length of a fragment, so that each has its own."""


@contextlib.contextmanager
def store_of(kind: str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if kind == "file":
        yield "file:///"
        return
    directory.mkdir()
    with versitygw(directory) as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        yield server.url("some/prefix/")


async def stored(client: Client) -> list[tuple[int, int, int]]:
    """Return begin, end and time of what is stored, as brokers know it."""
    found = [listed.fragment async for listed in client.fragments(JOURNAL)]
    return [(f.begin, f.end, f.mod_time) for f in found if f.backing_store]


@pytest.mark.parametrize("kind", ["file", "versitygw"])
async def test_brokers_serve_what_is_left_and_go_on(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store_of(kind, tmp_path / "server", monkeypatch) as store:
        cluster = LocalCluster(config(tmp_path, store=store, brokers=2))
        async with cluster, cluster.connect() as client:
            await apply(client, spec(JOURNAL, store=store, replication=2, length=1 << 10))
            for piece in PIECES:
                await client.append(JOURNAL, piece, timeout_s=30)
            content = b"".join(PIECES)
            end = len(content)
            stored_end = end - len(PIECES[-1])  # The last fragment is still open.

            async def is_stored() -> bool:
                return max((known[1] for known in await stored(client)), default=0) == stored_end

            await eventually(is_stored, "stored")
            last = (await stored(client))[-1][0]

            # Old is what was stored two seconds ago: soon that is all.
            root = ("--file-root", str(cluster.file_root))
            options = ("--older-than", "2s", *root, "-o", "jsonl")

            async def is_old() -> bool:
                out = await journalctl(cluster, "prune", JOURNAL, *options, "--dry-run")
                doomed = [json.loads(line) for line in out.splitlines()]
                return bool(doomed) and max(item["end"] for item in doomed) == last

            await eventually(is_old, "old")
            await journalctl(cluster, "prune", JOURNAL, *options, "--yes")

            async def is_known() -> bool:
                return (await stored(client))[0][0] == last

            await eventually(is_known, "known to brokers")
            assert await client.read_all(JOURNAL, last, end) == content[last:]
            done = (await client.append(JOURNAL, b"more\n", timeout_s=30)).commit
            assert done.begin == end
            assert await client.read_all(JOURNAL, last, done.end) == content[last:] + b"more\n"
            verified = await journalctl(cluster, "verify", JOURNAL, *root, "--no-content")
            assert "gap" not in verified

            await lose_all_brokers(cluster)

            async def is_refused() -> bool:
                try:
                    await client.append(JOURNAL, timeout_s=5)
                except IndexHasGreaterOffsetError:
                    return True
                except GazetteError:
                    return False
                raise AssertionError("the journal begins anew, over offsets which were used")

            await eventually(is_refused, "refused")
            assert await client.write_head(JOURNAL) >= stored_end


async def lose_all_brokers(cluster: LocalCluster) -> None:
    for broker in cluster.brokers:
        assert broker.process is not None
        await broker.process.kill()
    for broker in cluster.brokers:
        await cluster.start_broker(broker)
