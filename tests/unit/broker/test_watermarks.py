"""A broker tells in the store up to when a journal is whole there. Intervals are short here."""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from gazette_py.broker import watermarks as writer
from gazette_py.broker.persister import Persister
from gazette_py.core import watermark as core
from gazette_py.protocol import journal_rules
from gazette_py.protocol.watermark import Watermark, directory_of
from gazette_py.testing import InProcessCluster
from gazette_py.testing.in_process import FRAGMENT

NAME = "marked/journal"
FLUSHED = replace(FRAGMENT, flush_interval_ns=1_000_000_000)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]


@pytest.fixture
def _short_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_rules, "FLUSH_INTERVAL_S_MIN", 1)
    monkeypatch.setattr(core, "SKEW_S", 0)
    monkeypatch.setattr(writer, "TICK_S", 0.05)
    monkeypatch.setattr(writer, "REFRESH_S", 0.1)


@pytest.fixture
def cluster(_short_intervals: None) -> Iterator[InProcessCluster]:
    with InProcessCluster() as started:
        yield started


def marks(cluster: InProcessCluster) -> list[Watermark]:
    """Return what lies in the store, by time."""
    files = (cluster.store / directory_of(NAME)).glob("[!.]*")
    return sorted((Watermark.from_json(f.read_bytes()) for f in files), key=lambda m: m.time)


async def eventually(check: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not check():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def test_each_interval_is_told_once_all_of_it_is_stored(cluster: InProcessCluster) -> None:
    cluster.create(NAME, fragment=FLUSHED)
    async with cluster.connect() as client:
        appended = (await client.append(NAME, b"hello")).commit
        at = time.time()
        await eventually(lambda: any(mark.time > at for mark in marks(cluster)))
        await asyncio.sleep(2.2)  # Nothing is appended in these intervals: they are whole, too.
    found = marks(cluster)
    assert [mark.time for mark in found if mark.time > at + 1]
    times = [mark.time for mark in found]
    assert times == list(range(times[0], times[0] + len(times)))
    for mark in found:
        assert mark.journal == NAME
        assert mark.broker == "a/broker-0"
        assert mark.missing == ()
        assert mark.offset == (appended.end if mark.time > at else mark.offset)
    stored = [f.name for f in (cluster.store / NAME).glob("*.raw")]
    assert stored == [f"{0:016x}-{appended.end:016x}-{appended.sum.hex()}.raw"]


async def test_what_is_not_stored_is_waited_for(cluster: InProcessCluster) -> None:
    cluster.create(NAME, fragment=FLUSHED)
    await eventually(lambda: marks(cluster))
    async with cluster.connect() as client:
        end = (await client.append(NAME, b"hello")).commit.end
        cluster.faults.fail_store("put", times=None)
        at = time.time()
        await asyncio.sleep(2.5)
        assert not [mark for mark in marks(cluster) if mark.time > at]
        cluster.faults.clear()
        await eventually(lambda: any(mark.time > at for mark in marks(cluster)))
    first = next(mark for mark in marks(cluster) if mark.time > at)
    assert first.offset == end


async def test_journals_without_an_interval_have_none(cluster: InProcessCluster) -> None:
    cluster.create(NAME, fragment=FLUSHED)
    cluster.create("marked/other", fragment=FRAGMENT)
    await eventually(lambda: len(marks(cluster)) > 2)
    assert not (cluster.store / directory_of("marked/other")).exists()


@pytest.mark.usefixtures("_short_intervals")
async def test_a_broker_told_so_writes_none() -> None:
    with InProcessCluster(watermarks=False) as cluster:
        cluster.create(NAME, fragment=FLUSHED)
        await asyncio.sleep(2.5)
        assert marks(cluster) == []


async def test_who_becomes_primary_makes_up_for_what_was_missed(cluster: InProcessCluster) -> None:
    cluster.create(NAME, fragment=FLUSHED)
    await eventually(lambda: marks(cluster))
    before = marks(cluster)[-1].time
    cluster.expire_leases()  # The replica ends, and another is made.
    await eventually(lambda: marks(cluster)[-1].time > before + 1)
    times = [mark.time for mark in marks(cluster)]
    assert times == list(range(times[0], times[0] + len(times)))


@pytest.mark.usefixtures("_short_intervals")
async def test_one_which_an_older_journal_left_is_not_believed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its offset lies beyond this journal's end: all of this one has to be stored."""
    monkeypatch.setattr(writer, "TICK_S", 1.0)  # The first look finds content.
    persist_soon, closed = Persister.persist_soon, asyncio.Event()

    def persist_later(*args: Any, **more: Any) -> None:
        closed.set()
        asyncio.get_running_loop().call_later(4, lambda: persist_soon(*args, **more))

    monkeypatch.setattr(Persister, "persist_soon", persist_later)
    old = Watermark(journal=NAME, time=int(time.time()) - 60, offset=1 << 30)
    with InProcessCluster() as cluster:
        path = cluster.store / old.path
        path.parent.mkdir(parents=True)
        path.write_bytes(old.to_json())
        cluster.create(NAME, fragment=FLUSHED)
        async with cluster.connect() as client:
            end = (await client.append(NAME, b"hello")).commit.end
        await eventually(closed.is_set)
        await asyncio.sleep(2.5)
        assert marks(cluster) == [old]
        await eventually(lambda: len(marks(cluster)) > 1)
        assert marks(cluster)[1].offset == end
