"""Reading a client's messages, one by one."""

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


async def receive(context: "grpc.aio.ServicerContext[Any, Any]", kind: type[M]) -> M | None:
    """Return the client's next message, which is a `kind`; None once it has half-closed.

    Raises:
        RpcError: It could not be decoded.
    """
    message: object = await context.read()
    return None if message is grpc.aio.EOF else decoded(message, kind)
