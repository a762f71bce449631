"""Bytes which cross zones, as metrics count them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from broker_harness import Broker, Cluster, new_cluster


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with new_cluster(tmp_path) as made:
        yield made


def crossed(broker: Broker) -> dict[str, float]:
    name = 'gazette_py_zone_crossing_bytes_total{operation="'
    lines = broker.service.metrics.expose().decode().splitlines()
    found = [line.removeprefix(name).split('"} ') for line in lines if line.startswith(name)]
    return {operation: float(value) for operation, value in found}


async def test_content_is_counted_for_each_peer_of_another_zone(cluster: Cluster) -> None:
    near = [await cluster.broker(name, zone="near") for name in "ab"]
    far = [await cluster.broker(name, zone="far") for name in "cd"]
    await cluster.serve(near[0], near[1], *far)
    await near[0].append(b"hello")
    assert crossed(near[0]) == {"replicate": 10.0}
    assert crossed(near[1]) == crossed(far[0]) == {}


async def test_forwarded_calls_count_where_they_cross(cluster: Cluster) -> None:
    primary = await cluster.broker("a", zone="near")
    neighbour = await cluster.broker("b", zone="near")
    stranger = await cluster.broker("c", zone="far")
    await cluster.serve(primary)
    for broker in (neighbour, stranger):
        await broker.read_through()
        await broker.append(b"hello")
    assert await stranger.read() == await neighbour.read() == b"hellohello"
    assert crossed(primary) == crossed(neighbour) == {}
    assert crossed(stranger) == {"append": 5.0, "read": 10.0}
