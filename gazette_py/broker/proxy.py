"""Forwarding a call to the broker which shall serve it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import grpc.aio

from gazette_py.broker.service import Service
from gazette_py.errors import RpcUnavailableError
from gazette_py.protocol.route import Header
from gazette_py.rpc.errors import translate

if TYPE_CHECKING:
    from gazette_py.pb.protocol_pb2_grpc import JournalAsyncStub


def peer_of(service: Service, header: Header) -> tuple[str, "JournalAsyncStub"]:
    """Return the name and a stub of the broker which shall serve.

    Raises:
        RpcUnavailableError: No member's endpoint is known: they have just left.
    """
    picked = service.peers.pick(header)
    if picked is None:
        raise RpcUnavailableError(str(header.process_id), "UNAVAILABLE", "has left the cluster")
    peer, endpoint = picked
    return str(peer), service.peers.stub(endpoint)


@asynccontextmanager
async def proxied(peer: str) -> AsyncIterator[None]:
    """Pass a peer's code and message on as they are."""
    try:
        yield
    except grpc.aio.AioRpcError as exc:
        raise translate(exc, peer) from exc
