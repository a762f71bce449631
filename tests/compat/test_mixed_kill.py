"""Two brokers of each kind, and a primary of each is killed: nothing acknowledged is lost.

Clients of both kinds append meanwhile. Each record is sent once: an append whose outcome is not
known is given up, and may be there or not.
"""

import asyncio
import subprocess
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from go_programs import GoBroker, go_member, primaries
from local_clusters import apply, broker_of, config, eventually, spec, wait_consistent

from gazette_py.client import Client, connect
from gazette_py.errors import AppendOutcomeUnknownError, GazetteError
from gazette_py.lake import Gap, Lake, cover
from gazette_py.local.cluster import LocalCluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

JOURNALS = tuple(f"killed/{n}" for n in range(6))
ACKNOWLEDGED_MIN = 30
"""Appends of our client to be acknowledged before, between and after kills."""


@dataclass
class Load:
    """Records of both kinds of clients, and where they are."""

    acknowledged: dict[str, list[tuple[int, bytes]]] = field(
        default_factory=lambda: {journal: [] for journal in JOURNALS}
    )
    by_gazctl: dict[str, set[bytes]] = field(
        default_factory=lambda: {journal: set() for journal in JOURNALS}
    )
    unknown: set[bytes] = field(default_factory=set)
    is_stopping: bool = False

    async def write(self, client: Client, writer: int) -> None:
        serial = 0
        while not self.is_stopping:
            journal = JOURNALS[(writer + serial) % len(JOURNALS)]
            record = f"{writer}:{serial} ".encode() * (1 + serial % 30) + b"\n"
            serial += 1
            await self._append(client, journal, record)

    async def _append(self, client: Client, journal: str, record: bytes) -> None:
        while True:
            try:
                done = await client.append(journal, record, retry=False, timeout_s=20)
            except AppendOutcomeUnknownError:
                self.unknown.add(record)
                return
            except GazetteError as exc:
                if not exc.retryable:
                    raise
                await asyncio.sleep(0.02)
                continue
            self.acknowledged[journal].append((done.commit.begin, record))
            return

    async def write_by_gazctl(self, program: str, addresses: list[str]) -> None:
        serial = 0
        while not self.is_stopping:
            journal = JOURNALS[serial % len(JOURNALS)]
            record = f"gazctl {serial}\n".encode()
            address = addresses[serial % len(addresses)]
            serial += 1
            command = [program, "journals", "append", f"--broker.address={address}"]
            command += ["-l", f"name={journal}"]
            try:
                done = await asyncio.to_thread(
                    subprocess.run, command, input=record, capture_output=True, timeout=5
                )
            except subprocess.TimeoutExpired:
                self.unknown.add(record)
                continue
            if done.returncode:
                self.unknown.add(record)
            else:
                self.by_gazctl[journal].add(record)

    async def wait_progress(self) -> None:
        """Wait until both kinds of clients have got on."""
        count = self.count
        by_gazctl = sum(map(len, self.by_gazctl.values()))

        async def check() -> bool:
            return (
                self.count >= count + ACKNOWLEDGED_MIN
                and sum(map(len, self.by_gazctl.values())) >= by_gazctl + 2
            )

        await eventually(check, "acknowledging", 60)

    @property
    def count(self) -> int:
        return sum(map(len, self.acknowledged.values()))

    def check(self, journal: str, runs: list[tuple[int, bytes]]) -> None:
        """Check content, given as unbroken runs: where each begins, and its bytes."""
        for begin, record in self.acknowledged[journal]:
            start, content = next(run for run in reversed(runs) if run[0] <= begin)
            assert content[begin - start : begin - start + len(record)] == record
        lines = Counter(line for _, content in runs for line in content.splitlines(keepends=True))
        assert self.by_gazctl[journal] <= set(lines)
        known = {record for _, record in self.acknowledged[journal]} | self.by_gazctl[journal]
        assert set(lines) <= known | self.unknown, "there is content which nobody sent"
        # gazctl sends a record again if it must; ours does not.
        assert all(lines[record] == 1 for _, record in self.acknowledged[journal])


async def runs_of(lake: Lake, journal: str) -> list[tuple[int, int]]:
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


async def primary_of(cluster: LocalCluster, kind: str) -> str:
    """Return a broker of a kind which is primary of some journal."""
    found = ""

    async def check() -> bool:
        nonlocal found
        served = (await primaries(cluster)).values()
        found = next((name for name in served if name.startswith(kind)), "")
        return bool(found)

    await eventually(check, f"a primary: {kind}")
    return found


async def test_kills_of_primaries_of_both_kinds(
    tmp_path: Path, go_broker: str, gazctl: str
) -> None:
    options = config(tmp_path, brokers=2, extra_flags=("--broker.max-replication=3",))
    specs = [spec(journal, length=1 << 14) for journal in JOURNALS]
    load = Load()
    async with LocalCluster(options) as cluster, AsyncExitStack() as stack:
        theirs: dict[str, GoBroker] = {}

        async def start_go(name: str, zone: str) -> None:
            member = go_member(cluster, go_broker, zone, name=name, replication=3)
            theirs[name] = await stack.enter_async_context(member)

        await start_go("go-0", "c")
        await start_go("go-1", "d")
        addresses = [*cluster.endpoints, *(go.endpoint for go in theirs.values())]
        client = await stack.enter_async_context(connect(",".join(addresses)))
        await apply(client, *specs)
        await wait_consistent(cluster, client, JOURNALS)
        async with asyncio.TaskGroup() as group:
            for writer in range(3):
                group.create_task(load.write(client, writer))
            group.create_task(load.write_by_gazctl(gazctl, addresses))
            try:
                await load.wait_progress()
                victim = broker_of(cluster, await primary_of(cluster, "broker-"))
                assert victim.process is not None
                await victim.process.kill()
                await load.wait_progress()
                await cluster.start_broker(victim)
                await wait_consistent(cluster, client, JOURNALS)

                await load.wait_progress()
                name = await primary_of(cluster, "go-")
                await theirs[name].process.kill()
                await load.wait_progress()
                await wait_consistent(cluster, client, JOURNALS)
                await start_go("go-2", "c")
                await wait_consistent(cluster, client, JOURNALS)
                await load.wait_progress()
            finally:
                load.is_stopping = True
        assert load.count >= 5 * ACKNOWLEDGED_MIN

        small = [replace(s, fragment=replace(s.fragment, length=1 << 10)) for s in specs]
        await apply(client, *small)
        heads = {}
        for journal in JOURNALS:
            await load._append(client, journal, f"filler {journal} ".encode() * 100 + b"\n")
            heads[journal] = (await client.append(journal, timeout_s=30)).commit.end
        async with Lake("file:///", file_root=str(cluster.file_root)) as lake:
            runs: dict[str, list[tuple[int, int]]] = {}

            async def is_stored() -> bool:
                for journal in JOURNALS:
                    runs[journal] = await runs_of(lake, journal)
                    if not runs[journal] or runs[journal][-1][1] != heads[journal]:
                        return False
                    for begin, record in load.acknowledged[journal]:
                        end = begin + len(record)
                        if not any(b <= begin and end <= e for b, e in runs[journal]):
                            return False
                return True

            # A replica of the reference stores late what its primary should have stored.
            await eventually(is_stored, "stored", 120)
            for journal in JOURNALS:
                content = b"".join([piece async for piece in lake.read(journal, skip_gaps=True)])
                read, at = [], 0
                for begin, end in runs[journal]:
                    read.append((begin, content[at : at + end - begin]))
                    at += end - begin
                load.check(journal, read)
        serving = [go.endpoint for go in theirs.values() if go.process.exit_code is None]
        for endpoint in (*cluster.endpoints, *serving):
            async with connect(endpoint, cache_size=0) as one:
                for journal in JOURNALS:
                    spans = runs[journal]
                    load.check(
                        journal,
                        [(b, await one.read_all(journal, b, e, block=True)) for b, e in spans],
                    )
