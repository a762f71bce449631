"""Bodies of requests, which are whole before anything is done with them.

An append holds its journal from its first byte to its last: others wait, and brokers end one whose
client is slow. So a body comes in first, beyond a bound to disk, and the append is as quick as we
are, however slow the client.

Invariants:
    BD1  A body which is not whole is never handed out.
    BD2  No more than `MEMORY_BYTES_MAX` of a body is held in memory, and one chunk.
    BD3  A client which sends nothing for `IDLE_S_MAX` is given up.
"""

import asyncio
import errno
from collections.abc import AsyncGenerator, Callable
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from gazette_py.web.calls import BodyFile
from gazette_py.web.refusal import RefusedError

MEMORY_BYTES_MAX: Final = 256 << 10
IDLE_S_MAX: Final = 60.0

_PIECE_BYTES: Final = 256 << 10


class Body:
    """A body, in memory or in a file."""

    def __init__(self, open_file: Callable[[], BodyFile]) -> None:
        self.length = 0  # Bytes.
        self._open_file = open_file
        self._memory = bytearray()
        self._file: BodyFile | None = None

    def take(self, content: bytes) -> None:
        """Add what comes next.

        Raises:
            OSError: There is no room.
        """
        if self._file is None and self.length + len(content) > MEMORY_BYTES_MAX:
            self._file = self._open_file()
            self._file.write(0, bytes(self._memory))
            self._memory.clear()
        if self._file is None:
            self._memory += content
        else:
            self._file.write(self.length, content)
        self.length += len(content)

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yield all of it, in pieces which are not empty."""
        for position in range(0, self.length, _PIECE_BYTES):
            if self._file is None:
                yield bytes(self._memory[position : position + _PIECE_BYTES])
            else:
                yield self._file.read(position, min(_PIECE_BYTES, self.length - position))


async def receive_body(
    receive: Receive, open_file: Callable[[], BodyFile], idle_s_max: float = IDLE_S_MAX
) -> Body:
    """Receive the body of a request.

    Raises:
        RefusedError: There is no room for it, or it does not come.
        ClientDisconnect: The client has gone.
    """
    body = Body(open_file)
    while True:
        try:
            async with asyncio.timeout(idle_s_max):
                message = await receive()
        except TimeoutError as exc:
            raise RefusedError(
                408, f"nothing of the body came for {idle_s_max:.0f} s: nothing was appended"
            ) from exc
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        try:
            body.take(message.get("body", b""))
        except OSError as exc:
            status = 507 if exc.errno == errno.ENOSPC else 500
            raise RefusedError(
                status, f"the broker cannot spool the body: {exc.strerror}; nothing was appended"
            ) from exc
        if not message.get("more_body", False):
            return body
