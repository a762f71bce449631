"""How a read which is forwarded ends."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import grpc.aio
import pytest
from broker_harness import DEADLINE_S, JOURNAL, Broker, Cluster, new_cluster

from gazette_py.pb import protocol_pb2 as pb


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with new_cluster(tmp_path) as made:
        yield made


async def blocked_read(cluster: Cluster) -> tuple[Broker, Broker, object]:
    """Return a broker, the one which it forwards a read to, and the read."""
    proxy, server = await cluster.broker("a"), await cluster.broker("b")
    await cluster.serve(server)
    await proxy.read_through()
    await server.append(b"content")
    call = proxy.stub.Read(pb.ReadRequest(journal=JOURNAL, block=True), timeout=DEADLINE_S)
    assert (await call.read()).fragment.end == 7
    assert (await call.read()).content == b"content"
    return proxy, server, call


async def test_it_ends_cleanly_when_the_proxy_stops(cluster: Cluster) -> None:
    proxy, _, call = await blocked_read(cluster)
    proxy.service.stopping.fire()
    async with asyncio.timeout(DEADLINE_S / 2):
        assert await call.read() is grpc.aio.EOF  # type: ignore[attr-defined]


async def test_it_ends_when_the_server_leaves(cluster: Cluster) -> None:
    """The oldest gRPC which we support ends it cleanly instead. Clients read on in either case."""
    _, server, call = await blocked_read(cluster)
    cluster.expire(server)
    async with asyncio.timeout(DEADLINE_S / 2):
        try:
            end: object = await call.read()  # type: ignore[attr-defined]
        except grpc.aio.AioRpcError as exc:
            end = exc.details()
    assert end in (grpc.aio.EOF, "has left the cluster")
