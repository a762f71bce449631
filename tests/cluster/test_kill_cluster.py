"""Brokers of every role are killed while clients append: nothing acknowledged is lost or doubled.

Several clients append to the same journals. Each record is sent once: an append whose outcome is not
known is given up, and may be there or not. All others must be there, where they were acknowledged.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from local_clusters import (
    apply,
    config,
    eventually,
    leader_of,
    members_of,
    spec,
    wait_consistent,
)
from versitygw_server import S3Server, versitygw

from gazette_py.client import Client
from gazette_py.errors import AppendOutcomeUnknownError, GazetteError
from gazette_py.lake import Gap, Lake, cover
from gazette_py.local.cluster import LocalBroker, LocalCluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

JOURNALS = ("kill/one", "kill/two", "kill/three")
WRITERS = 4
ACKNOWLEDGED_MIN = 20
"""Appends to be acknowledged before, between and after kills."""

ROLES = ("primary", "replica", "leader", "primary again")


@pytest.fixture
def s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    directory = tmp_path / "s3"
    directory.mkdir()
    with versitygw(directory) as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        yield server


@dataclass(frozen=True)
class Acknowledged:
    begin: int
    end: int
    content: bytes


@dataclass
class Load:
    """Writers, and what brokers have acknowledged to them."""

    client: Client
    acknowledged: dict[str, list[Acknowledged]] = field(
        default_factory=lambda: {journal: [] for journal in JOURNALS}
    )
    is_stopping: bool = False
    unknown: int = 0

    @property
    def count(self) -> int:
        return sum(len(found) for found in self.acknowledged.values())

    async def write(self, writer: int) -> None:
        serial = 0
        while not self.is_stopping:
            journal = JOURNALS[(writer + serial) % len(JOURNALS)]
            content = f"<{writer}:{serial}>".encode() * (1 + serial % 50) + b"\n"
            serial += 1
            await self._append(journal, content)

    async def _append(self, journal: str, content: bytes) -> None:
        while True:
            try:
                result = await self.client.append(journal, content, retry=False, timeout_s=20.0)
            except AppendOutcomeUnknownError:
                self.unknown += 1
                return
            except GazetteError as exc:
                if not exc.retryable:
                    raise
                await asyncio.sleep(0.02)
                continue
            commit = result.commit
            self.acknowledged[journal].append(Acknowledged(commit.begin, commit.end, content))
            return

    async def wait_progress(self) -> None:
        """Wait until the least number of appends is acknowledged from now on, in every journal."""
        before = {journal: len(found) for journal, found in self.acknowledged.items()}
        share = -(-ACKNOWLEDGED_MIN // len(JOURNALS))

        async def check() -> bool:
            return all(len(self.acknowledged[j]) >= n + share for j, n in before.items())

        await eventually(check, "acknowledging", 40.0)


async def victim_of(cluster: LocalCluster, role: str) -> LocalBroker:
    if role == "leader":
        return await leader_of(cluster)
    members = await members_of(cluster, JOURNALS[0])
    return members[1] if role == "replica" else members[0]


async def kill_each_role(cluster: LocalCluster, client: Client, load: Load) -> None:
    for role in ROLES:
        await load.wait_progress()
        broker = await victim_of(cluster, role)
        assert broker.process is not None
        await broker.process.kill()
        await load.wait_progress()
        await cluster.start_broker(broker)
        await wait_consistent(cluster, client, JOURNALS)
    await load.wait_progress()


def check_content(load: Load, journal: str, content: bytes) -> None:
    end = 0
    for each in sorted(load.acknowledged[journal], key=lambda a: a.begin):
        assert each.begin >= end, "acknowledged spans overlap"
        assert content[each.begin : each.end] == each.content
        end = each.end
    lines = Counter(content.splitlines())
    assert max(lines.values()) == 1, "a record is there twice"
    sent = {each.content[:-1] for each in load.acknowledged[journal]}
    assert len(lines) <= len(sent) + load.unknown, "there is content which nobody sent"


async def stored_end(journal: str, lake: Lake) -> int:
    parts = cover(await lake.files(journal))
    return parts[-1].end if parts and not any(isinstance(p, Gap) for p in parts) else 0


async def test_nothing_acknowledged_is_lost(tmp_path: Path, s3: S3Server) -> None:
    store = s3.url()
    specs = [spec(journal, store=store, length=1 << 15) for journal in JOURNALS]
    cluster = LocalCluster(config(tmp_path, store=store))
    async with cluster:
        async with cluster.connect() as client:
            await apply(client, *specs)
            await wait_consistent(cluster, client, JOURNALS)
            load = Load(client)
            async with asyncio.TaskGroup() as group:
                for writer in range(WRITERS):
                    group.create_task(load.write(writer))
                try:
                    await kill_each_role(cluster, client, load)
                finally:
                    load.is_stopping = True
            assert load.count >= ACKNOWLEDGED_MIN * (2 * len(ROLES) + 1)
            small = [replace(s, fragment=replace(s.fragment, length=1 << 10)) for s in specs]
            await apply(client, *small)
            heads = {j: (await client.append(j)).commit.end for j in JOURNALS}
        async with Lake(store) as lake:

            async def is_stored() -> bool:
                return all([await stored_end(j, lake) == head for j, head in heads.items()])

            await eventually(is_stored, "stored", 60.0)
        async with cluster.connect(cache_size=0) as client:
            for journal, head in heads.items():
                content = await client.read_all(journal, 0, head, block=True)
                check_content(load, journal, content)
        assert await cluster.stop_brokers()
        async with Lake(store) as lake:
            for journal, head in heads.items():
                content = b"".join([piece async for piece in lake.read(journal)])
                assert len(content) == head
                check_content(load, journal, content)
