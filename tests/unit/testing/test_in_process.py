"""Brokers in this process, and each fault which a test can ask of them."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from gazette_py.broker.server import Broker
from gazette_py.errors import (
    AppendOutcomeUnknownError,
    ConfigError,
    RpcUnauthenticatedError,
    RpcUnavailableError,
    StoreUnhealthyError,
)
from gazette_py.testing import InProcessCluster

JOURNAL = "theirs/journal"


@pytest.fixture(scope="module")
def started() -> Iterator[InProcessCluster]:
    with InProcessCluster(brokers=2) as cluster:
        cluster.create(JOURNAL)
        yield cluster


@pytest.fixture
def cluster(started: InProcessCluster) -> Iterator[InProcessCluster]:
    yield started
    started.faults.clear()


def test_it_starts_within_300_ms() -> None:
    """The fastest of some, on a machine which does other things, too."""
    took = []
    for _ in range(5):
        began = time.monotonic()
        with InProcessCluster() as cluster:
            took.append(time.monotonic() - began)
            assert len(cluster.addresses) == 1
    assert min(took) < 0.3


async def test_appends_are_stored_read_back_and_removed_with_it() -> None:
    with InProcessCluster() as cluster:
        cluster.create("theirs/other")
        async with cluster.connect() as client:
            await client.append("theirs/other", b"x" * 70_000)
            await client.append("theirs/other", b"more")  # Which closes the fragment before it.
            assert await client.read_all("theirs/other", 69_999, 70_004) == b"xmore"
    assert not cluster.store.exists()


async def test_a_refused_call_is_tried_again_and_did_nothing(cluster: InProcessCluster) -> None:
    async with cluster.connect() as client:
        head = await client.write_head(JOURNAL)
        cluster.faults.refuse("Append", times=2)
        assert (await client.append(JOURNAL, b"hello")).commit.begin == head
        cluster.faults.refuse("Append")
        with pytest.raises(RpcUnavailableError, match="refused by a test"):
            await client.append(JOURNAL, b"hello", retry=False)
        cluster.faults.refuse("List", code="PERMISSION_DENIED", detail="not for you")
        with pytest.raises(RpcUnauthenticatedError, match="not for you"):
            await client.list()


async def test_a_dropped_append_happened(cluster: InProcessCluster) -> None:
    async with cluster.connect() as client:
        head = await client.write_head(JOURNAL)
        cluster.faults.drop("Append")
        with pytest.raises(AppendOutcomeUnknownError):
            await client.append(JOURNAL, b"hello")
        assert await client.read_all(JOURNAL, head, head + 5) == b"hello"


async def test_a_dropped_read_goes_on_where_it_was(cluster: InProcessCluster) -> None:
    async with cluster.connect() as client:
        head = (await client.append(JOURNAL, b"hello")).commit.begin
        cluster.faults.drop("Read")
        assert await client.read_all(JOURNAL, head, head + 5, block=True) == b"hello"


async def test_a_delayed_call_takes_so_long(cluster: InProcessCluster) -> None:
    async with cluster.connect() as client:
        cluster.faults.delay("Append", 0.2)
        began = time.monotonic()
        await client.append(JOURNAL, b"hello")
        assert time.monotonic() - began >= 0.2


async def test_a_store_which_fails_is_unhealthy(cluster: InProcessCluster) -> None:
    cluster.faults.fail_store("put", times=None, detail="out of disks")
    async with cluster.connect() as client:
        with pytest.raises(StoreUnhealthyError, match="out of disks"):
            await client.store_health("s3://broken/")


async def test_what_a_store_refused_is_stored_once_it_is_well(cluster: InProcessCluster) -> None:
    name = "theirs/stored"
    cluster.create(name)
    cluster.faults.fail_store("put", times=1)
    async with cluster.connect() as client:
        await client.append(name, b"x" * 70_000)
        await client.append(name, b"more")  # Which closes the fragment before it.
    deadline = time.monotonic() + 20
    while not list((cluster.store / name).glob("*.raw")):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def test_brokers_which_lost_their_leases_join_anew(cluster: InProcessCluster) -> None:
    async with cluster.connect() as client:
        end = (await client.append(JOURNAL, b"hello")).commit.end
        cluster.expire_leases()
        assert (await client.append(JOURNAL, b"again")).commit.begin == end


def test_what_cannot_go_wrong_is_named(cluster: InProcessCluster) -> None:
    with pytest.raises(ValueError, match="no 'append': there are List, Apply"):
        cluster.faults.refuse("append")
    with pytest.raises(ValueError, match="no 'write': there are exists, get, put"):
        cluster.faults.fail_store("write")


def test_an_error_of_a_start_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = InProcessCluster(zone="no zone!")
    with pytest.raises(ConfigError, match=r"--broker\.zone"):
        cluster.__enter__()
    assert not cluster.store.exists()

    async def fail(_: Broker) -> None:
        raise OSError("no more ports")

    monkeypatch.setattr(Broker, "open", fail)
    with pytest.raises(OSError, match="no more ports"), InProcessCluster():
        pass
