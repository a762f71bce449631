"""Forwarding a call to the broker which shall serve it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import grpc
import grpc.aio

from gazette_py.broker.service import Service
from gazette_py.errors import RpcUnavailableError
from gazette_py.protocol.route import Header, ProcessID
from gazette_py.rpc.errors import translate

if TYPE_CHECKING:
    from gazette_py.pb.protocol_pb2_grpc import JournalAsyncStub


def peer_of(service: Service, header: Header) -> tuple[ProcessID, "JournalAsyncStub"]:
    """Return the ID and a stub of the broker which shall serve.

    Raises:
        RpcUnavailableError: No member's endpoint is known: they have just left.
    """
    picked = service.peers.pick(header)
    if picked is None:
        raise RpcUnavailableError(str(header.process_id), "UNAVAILABLE", "has left the cluster")
    peer, endpoint = picked
    return peer, service.peers.stub(endpoint)


@asynccontextmanager
async def proxied(peer: ProcessID) -> AsyncIterator[None]:
    """Pass a peer's code and message on as they are.

    A peer which leaves the cluster takes its channel along, and grpc.aio cancels whoever waits for
    a call on it, or ends the call with CANCELLED. Unless we were cancelled ourselves, that is an
    error of the peer: left as it is, the client would never hear how its call has ended, or take
    it that it had cancelled the call itself.
    """
    task = asyncio.current_task()
    assert task is not None
    cancelling = task.cancelling()
    try:
        yield
    except grpc.aio.AioRpcError as exc:
        if exc.code() is grpc.StatusCode.CANCELLED:
            raise RpcUnavailableError(str(peer), "UNAVAILABLE", "has left the cluster") from exc
        raise translate(exc, str(peer)) from exc
    except asyncio.CancelledError:
        if task.cancelling() > cancelling:
            raise
        raise RpcUnavailableError(str(peer), "UNAVAILABLE", "has left the cluster") from None
