"""Reading a client's messages, one by one."""

import asyncio
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc.aio

from gazette_py.errors import RpcError

M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class Undecodable:
    """Stands for a message which is none."""

    reason: str


def decoded(message: object, kind: type[M]) -> M:
    """Return the message, which is a `kind`.

    Raises:
        RpcError: It could not be decoded.
    """
    if isinstance(message, Undecodable):
        raise RpcError("client", "INTERNAL", message.reason)
    assert isinstance(message, kind)
    return message


async def confirm_half_close(context: "grpc.aio.ServicerContext[Any, Any]") -> None:
    """Make sure that a client whose messages have ended has half-closed, and is still there.

    grpc.aio tells the end of a call which was cancelled, or whose connection broke, as that of one
    which was half-closed. To the former nothing can be sent, not even the headers of a response.

    Raises:
        RpcError: It has gone.
    """
    sending = asyncio.ensure_future(context.send_initial_metadata(()))
    try:
        await asyncio.shield(sending)
    except asyncio.CancelledError:
        # It is seen to its end: grpc.aio would send the headers once more, with the status, and
        # fail.
        await asyncio.wait([sending])
        if not sending.cancelled():
            sending.exception()
        raise
    except grpc.aio.InternalError as exc:
        raise RpcError("client", "CANCELLED", "the client has gone") from exc


async def receive(context: "grpc.aio.ServicerContext[Any, Any]", kind: type[M]) -> M | None:
    """Return the client's next message, which is a `kind`; None once it has half-closed.

    Raises:
        RpcError: It could not be decoded.
    """
    message: object = await context.read()
    return None if message is grpc.aio.EOF else decoded(message, kind)
