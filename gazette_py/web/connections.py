"""What is sent over a connection beyond ASGI's usual: trailers; and what ends when it does.

uvicorn lacks ASGI's extension for trailers over HTTP/1.1, which h11 can write. `TrailerProtocol`
adds it: to HTTP/1.0 and to HEAD nothing can be trailed, and their scope does not have it.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

import h11
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

T = TypeVar("T")

TRAILERS: Final = "http.response.trailers"
"""The extension of a scope, and the type of its message."""


class _Connection(h11.Connection):
    """Sends `trailers` with the end of a message, if there are any."""

    trailers: list[tuple[bytes, bytes]]

    def __init__(self) -> None:
        super().__init__(h11.SERVER)
        self.trailers = []

    def send(self, event: h11.Event) -> bytes | None:  # type: ignore[override]  # For all of them.
        if isinstance(event, h11.EndOfMessage) and self.trailers:
            event = h11.EndOfMessage(headers=self.trailers)
            self.trailers = []
        return super().send(event)


class TrailerProtocol(H11Protocol):
    """A connection of uvicorn, whose applications may send trailers."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn = connection = _Connection()
        self.app = _with_trailers(self.app, connection)


def _with_trailers(app: ASGIApp, connection: _Connection) -> ASGIApp:
    async def with_trailers(scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("http_version") != "1.1" or scope.get("method") == "HEAD":
            await app(scope, receive, send)
            return
        scope.setdefault("extensions", {})[TRAILERS] = {}
        has_trailers = False

        async def send_message(message: Message) -> None:
            nonlocal has_trailers
            if message["type"] == "http.response.start":
                has_trailers = message.get("trailers", False)
            elif message["type"] == TRAILERS:
                connection.trailers = list(message["headers"])
                message = {"type": "http.response.body"}
            elif has_trailers:
                message = {**message, "more_body": True}  # The trailers end it.
            await send(message)

        await app(scope, receive, send_message)

    return with_trailers


async def while_connected(receive: Receive, work: Coroutine[Any, Any, T]) -> T | None:
    """Do work, and return its result; cancel it, and return None, once the client has gone.

    Args:
        receive: Of a request whose body was read, or does not matter.
        work: Ends soon after it is cancelled.
    """
    return await until(_wait_gone(receive), work)


async def until(end: Coroutine[Any, Any, object], work: Coroutine[Any, Any, T]) -> T | None:
    """Do work, and return its result; cancel it, and return None, if another thing ends first."""
    # Not in a task group, which would wrap the errors of the work.
    working = asyncio.ensure_future(work)
    ending = asyncio.ensure_future(end)
    try:
        await asyncio.wait([working, ending], return_when=asyncio.FIRST_COMPLETED)
    finally:
        tasks = (ending, working)
        for task in tasks:
            task.cancel()  # No effect on one which is done.
        await asyncio.wait(tasks)
    return None if working.cancelled() else working.result()


async def _wait_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
