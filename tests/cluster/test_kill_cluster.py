"""Brokers of every role are killed while clients append: nothing acknowledged is lost or doubled.

Several clients append to the same journals. Each record is sent once: an append whose outcome is
not known is given up, and may be there or not. All others must be there, where they were
acknowledged.
"""

import asyncio
from collections import Counter
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
from versitygw_server import S3Server

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
            await self.append(journal, content)

    async def append(self, journal: str, content: bytes) -> None:
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


Run = tuple[int, bytes]
"""Where unbroken content begins, and the content.

A broker which is killed may take with it the end of an append that nobody else has, and which was
therefore not acknowledged. Appends then go on behind a hole, if another broker had it too, and was
killed before it could store it.
"""


def check_content(load: Load, journal: str, runs: list[Run]) -> None:
    end = 0
    for each in sorted(load.acknowledged[journal], key=lambda a: a.begin):
        assert each.begin >= end, "acknowledged spans overlap"
        end = each.end
        begin, content = next(run for run in reversed(runs) if run[0] <= each.begin)
        assert content[each.begin - begin : each.end - begin] == each.content
    lines = Counter(line for _, content in runs for line in content.splitlines())
    assert max(lines.values()) == 1, "a record is there twice"
    sent = {each.content[:-1] for each in load.acknowledged[journal]}
    assert len(lines) <= len(sent) + load.unknown, "there is content which nobody sent"


async def runs_of(journal: str, lake: Lake) -> list[tuple[int, int]]:
    """Return the spans which the store has without a gap."""
    runs: list[tuple[int, int]] = []
    for part in cover(await lake.files(journal)):
        if isinstance(part, Gap):
            continue
        if runs and runs[-1][1] == part.begin:
            runs[-1] = (runs[-1][0], part.end)
        else:
            runs.append((part.begin, part.end))
    return runs


async def wait_stored(load: Load, lake: Lake, heads: dict[str, int]) -> None:
    """Wait until everything acknowledged is in the store."""

    async def check() -> bool:
        for journal, head in heads.items():
            runs = await runs_of(journal, lake)
            if not runs or runs[-1][1] != head:
                return False
            for each in load.acknowledged[journal]:
                if not any(begin <= each.begin and each.end <= end for begin, end in runs):
                    return False
        return True

    await eventually(check, "stored", 60.0)


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
            for journal in JOURNALS:
                # An open fragment of a kibibyte or less would stay open.
                await load.append(journal, b"<%s>" % journal.encode() * 200 + b"\n")
            heads = {j: (await client.append(j)).commit.end for j in JOURNALS}
        async with Lake(store) as lake:
            await wait_stored(load, lake, heads)
            runs = {journal: await runs_of(journal, lake) for journal in JOURNALS}
        async with cluster.connect(cache_size=0) as client:
            for journal, spans in runs.items():
                read = [(b, await client.read_all(journal, b, e, block=True)) for b, e in spans]
                check_content(load, journal, read)
        assert await cluster.stop_brokers()
        async with Lake(store) as lake:
            for journal, spans in runs.items():
                pieces = [piece async for piece in lake.read(journal, skip_gaps=True)]
                content = b"".join(pieces)
                read, at = [], 0
                for begin, end in spans:
                    read.append((begin, content[at : at + end - begin]))
                    at += end - begin
                assert at == len(content)
                check_content(load, journal, read)
