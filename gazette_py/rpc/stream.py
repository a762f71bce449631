"""Reading a client's messages, one by one."""

from typing import Any, TypeVar

import grpc.aio

M = TypeVar("M")


async def receive(context: "grpc.aio.ServicerContext[Any, Any]", kind: type[M]) -> M | None:
    """Return the client's next message, which is a `kind`; None once it has half-closed."""
    message: object = await context.read()
    if message is grpc.aio.EOF:
        return None
    assert isinstance(message, kind)
    return message
