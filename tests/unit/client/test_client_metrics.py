"""What an application finds at Prometheus' registry, of clients of brokers in this process."""

import asyncio
import gc
import subprocess
import sys
from collections.abc import Iterator

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest

from gazette_py import errors
from gazette_py.client import Client, metrics
from gazette_py.client.counts import Counts
from gazette_py.errors import JournalNotFoundError, OffsetJumpError
from gazette_py.testing import InProcessCluster

JOURNAL = "counted/journal"


@pytest.fixture(scope="module")
def cluster() -> Iterator[InProcessCluster]:
    with InProcessCluster() as started:
        started.create(JOURNAL)
        yield started


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def value(registry: CollectorRegistry, name: str, **labels: str) -> float:
    """Return a sample, 0 if there is none."""
    return registry.get_sample_value(f"gazette_py_client_{name}", labels) or 0.0


async def stored(client: Client, journal: str) -> None:
    """Wait until a fragment is stored, and the broker knows."""

    async with asyncio.timeout(20):
        while not any([each.fragment.mod_time async for each in client.fragments(journal)]):
            await asyncio.sleep(0.02)


async def test_appends_are_counted_by_how_they_ended(
    cluster: InProcessCluster, registry: CollectorRegistry
) -> None:
    async with cluster.connect(metrics=registry) as client:
        await client.append(JOURNAL, b"four")
        with pytest.raises(JournalNotFoundError):
            await client.append("counted/none", b"four")

        def broken() -> Iterator[bytes]:
            yield b"some"
            raise ValueError("of the caller")

        with pytest.raises(ValueError, match="of the caller"):
            await client.append(JOURNAL, broken())
    assert value(registry, "append_calls_total", outcome="ok") == 1
    assert value(registry, "append_calls_total", outcome="JournalNotFoundError") == 1
    assert value(registry, "append_calls_total", outcome="other") == 1
    assert value(registry, "append_bytes_total") == 4


async def test_a_cancelled_append_and_its_tries_are_counted(
    cluster: InProcessCluster, registry: CollectorRegistry
) -> None:
    async with cluster.connect(metrics=registry) as client:
        cluster.faults.refuse("Append", times=2)
        await client.append(JOURNAL, b"x")
        cluster.faults.delay("Append", 30)
        task = asyncio.create_task(client.append(JOURNAL, b"x"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        cluster.faults.clear()
    assert value(registry, "append_calls_total", outcome="cancelled") == 1
    assert value(registry, "retries_total", operation="append") == 2


async def test_back_pressure_of_a_service_shows(
    cluster: InProcessCluster, registry: CollectorRegistry
) -> None:
    async with cluster.connect(metrics=registry) as client:
        cluster.faults.delay("Append", 0.05)
        async with client.append_service(bytes_max=1000) as service:
            first = await service.append(JOURNAL, b"x" * 500)
            assert value(registry, "service_held_bytes") == 756
            second = await service.append(JOURNAL, b"y" * 500)
            await asyncio.gather(first, second)
            assert value(registry, "service_held_bytes") == 0
        cluster.faults.clear()
    assert value(registry, "room_waits_total") == 1
    assert 0.04 < value(registry, "room_wait_seconds_total") < 30
    assert value(registry, "service_appends_total", outcome="ok") == 2


async def test_a_reader_counts_its_sources_and_lag(
    cluster: InProcessCluster, registry: CollectorRegistry
) -> None:
    cluster.create("counted/read")
    async with cluster.connect(metrics=registry) as client:
        await client.append("counted/read", b"x" * (1 << 16))  # A fragment is full with it,
        await client.append("counted/read", b"y" * 100)  # and is closed by this one.
        await stored(client, "counted/read")
        async with client.reader("counted/read", block=True) as reader:
            assert value(registry, "readers") == 1
            first = await reader.next_batch(1000)
            assert first is not None
            lag = value(registry, "reader_lag_bytes")
            assert lag == (1 << 16) + 100 - reader.offset
            assert lag == value(registry, "reader_lag_bytes_max")
            while reader.offset < (1 << 16) + 100:
                await reader.next_batch()
            assert value(registry, "reader_lag_bytes") == 0
        assert value(registry, "readers") == 0
    assert value(registry, "read_bytes_total", source="store") == 1 << 16
    assert value(registry, "read_bytes_total", source="broker") == 100
    assert value(registry, "fetches_total", outcome="ok") == 1
    assert value(registry, "route_lookups_total", result="hit") > 0
    assert value(registry, "route_lookups_total", result="miss") == 1


async def test_jumps_and_damage_are_counted(
    cluster: InProcessCluster, registry: CollectorRegistry
) -> None:
    cluster.create("counted/damaged")
    async with cluster.connect(metrics=registry) as client:
        await client.append("counted/damaged", b"x" * (1 << 16))  # Full, and closed by the next.
        await client.append("counted/damaged", b"y")
        await stored(client, "counted/damaged")
        (file,) = (cluster.store / "counted/damaged").glob("0*")
        file.write_bytes(b"z" * (1 << 16))
        with pytest.raises(errors.CorruptFragmentError):
            await client.read_all("counted/damaged", 0, 1 << 16)
        async with client.reader("counted/damaged", begin_mod_time=1 << 40) as reader:
            with pytest.raises(OffsetJumpError):
                await reader.next_batch()
    assert value(registry, "corrupt_fragments_total") >= 1
    assert value(registry, "fetches_total", outcome="CorruptFragmentError") >= 1
    assert value(registry, "offset_jumps_total") == 1
    assert value(registry, "offset_jump_bytes_total") == 1 << 16


async def test_clients_add_up_also_those_which_are_gone(
    cluster: InProcessCluster, registry: CollectorRegistry
) -> None:
    for _ in range(2):
        async with cluster.connect(metrics=registry) as client:
            await client.append(JOURNAL, b"four")
        del client
        gc.collect()
    async with cluster.connect(metrics=registry) as client:
        await client.append(JOURNAL, b"four")
        assert value(registry, "append_bytes_total") == 12
    assert value(registry, "append_calls_total", outcome="ok") == 3


async def test_the_usual_registry_is_the_default_and_may_be_left_out(
    cluster: InProcessCluster,
) -> None:
    async with cluster.connect() as client:
        before = value(REGISTRY, "append_bytes_total")
        await client.append(JOURNAL, b"four")
        assert value(REGISTRY, "append_bytes_total") == before + 4
    async with cluster.connect(metrics=False) as client:
        await client.append(JOURNAL, b"four")
        assert value(REGISTRY, "append_bytes_total") == before + 4


def test_labels_have_few_values(registry: CollectorRegistry) -> None:
    """Outcomes are names of classes of ours, and sources are three."""
    owner, counts = CollectorRegistry(), Counts()
    counts.append_calls[JournalNotFoundError.__name__] += 1
    metrics.show(owner, counts, registry)
    names = {
        label
        for family in registry.collect()
        for sample in family.samples
        for label in sample.labels
    }
    assert names <= {"outcome", "operation", "source", "result"}
    assert b"_created" not in generate_latest(registry)


def test_to_import_the_client_imports_no_prometheus() -> None:
    code = "import gazette_py.client, sys; print('prometheus_client' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout == "False\n"
