"""Idle journals are suspended, cost nothing then, and go on at their offset. Pulses come fast."""

import asyncio
import contextlib
import gc
import shutil
import time
from collections.abc import Awaitable, Callable, Iterator

import pytest

from gazette_py.broker import upkeep
from gazette_py.broker.replica import Replica
from gazette_py.client import Client
from gazette_py.errors import SuspendedError
from gazette_py.protocol.enums import AppendSuspend, SuspendLevel
from gazette_py.protocol.journal import Suspend
from gazette_py.testing import InProcessCluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

NAME = "idle/journal"


@pytest.fixture
def _fast_pulses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "PULSE_INTERVAL_S", 4)
    monkeypatch.setattr(upkeep, "AUTO_SUSPEND_PULSES", 2)


@pytest.fixture
def cluster() -> Iterator[InProcessCluster]:
    with InProcessCluster(brokers=2) as started:
        yield started


async def eventually(check: Callable[[], Awaitable[object]], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not await check():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)


async def suspended(client: Client, name: str) -> Suspend:
    (found,) = [j for j in (await client.list()).journals if j.spec.name == name]
    return found.spec.suspend


async def suspend_now(client: Client) -> None:
    """Suspend, as far as it goes: brokers answer that it is suspended, then."""
    with pytest.raises(SuspendedError):
        await client.append(NAME, suspend=AppendSuspend.NOW, retry=False)


async def levels(client: Client) -> set[SuspendLevel]:
    return {journal.spec.suspend.level for journal in (await client.list()).journals}


def replicas() -> int:
    """Return how many replicas are in memory, of all brokers."""
    gc.collect()
    return sum(isinstance(each, Replica) for each in gc.get_objects())


@pytest.mark.usefixtures("_fast_pulses")
async def test_200_idle_journals_are_suspended_and_some_resumed() -> None:
    before = replicas()
    names = [f"idle/{n:03}" for n in range(200)]
    with InProcessCluster(brokers=2, auto_suspend=True, limit=1000) as cluster:
        cluster.create(*names)
        async with cluster.connect() as client:

            async def all_are() -> bool:
                return await levels(client) == {SuspendLevel.FULL}

            await eventually(all_are)

            async def nothing_is_left() -> bool:
                return replicas() == before

            await eventually(nothing_is_left)
            resumed = await asyncio.gather(
                *(client.append(name, b"hello", timeout_s=30) for name in names[::25])
            )
            assert {each.commit.begin for each in resumed} == {0}
            for name in names[::25]:
                assert await client.read_all(name, 0, 5) == b"hello"
            (journals,) = {len((await client.list()).journals)}
            assert journals == len(names)


async def test_a_journal_with_content_keeps_one_replica_and_its_offset(
    cluster: InProcessCluster,
) -> None:
    cluster.create(NAME)
    async with cluster.connect() as client:
        end = (await client.append(NAME, b"hello")).commit.end
        await suspend_now(client)
        assert await suspended(client, NAME) == Suspend(SuspendLevel.PARTIAL, end)

        async def has_one() -> bool:
            (journal,) = (await client.list()).journals
            return len(journal.route.members) == 1

        await eventually(has_one)
        assert await client.read_all(NAME, 0, 5) == b"hello"
        with pytest.raises(SuspendedError):
            await client.append(NAME, suspend=AppendSuspend.NO_RESUME, retry=False)
        assert (await client.append(NAME, b" again", timeout_s=30)).commit.begin == end
        assert await client.read_all(NAME, 0, end + 6) == b"hello again"
        (journal,) = (await client.list()).journals
        assert journal.spec.suspend.level is SuspendLevel.NONE
        assert len(journal.route.members) == 2


async def test_a_journal_whose_content_was_pruned_goes_on_at_its_offset(
    cluster: InProcessCluster,
) -> None:
    cluster.create(NAME)
    async with cluster.connect() as client:
        end = (await client.append(NAME, b"hello")).commit.end
        await suspend_now(client)
        directory = cluster.store / NAME

        async def is_stored() -> bool:
            return directory.exists() and bool(list(directory.glob("*.raw")))

        await eventually(is_stored)
        await asyncio.sleep(2.5)  # It is listed, and so no local copy is kept.
        shutil.rmtree(directory)

        async def is_full() -> bool:
            level = (await suspended(client, NAME)).level
            if level is SuspendLevel.PARTIAL:
                with contextlib.suppress(SuspendedError):
                    await client.append(NAME, suspend=AppendSuspend.NOW, retry=False)
            return level is SuspendLevel.FULL

        await eventually(is_full)
        assert await suspended(client, NAME) == Suspend(SuspendLevel.FULL, end)
        assert (await client.append(NAME, b"again", timeout_s=30)).commit.begin == end
        assert await client.read_all(NAME, end, end + 5) == b"again"
