"""A proxy before a store, which relays, or does what stores do on bad days."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import Enum
from urllib.parse import urlsplit

PIECE_BYTES = 2048
PIECE_S = 0.05
CUT_BYTES = 60
"""Within the head of any answer."""


class Day(Enum):
    """What the store is like."""

    GOOD = "is well"
    ERROR = "answers 500"
    BUSY = "answers 503"
    SLOW = "is slow: 40 KB/s"
    SILENT = "never answers"
    CUT = "cuts its answers"


_STATUS = {Day.ERROR: "500 Internal Server Error", Day.BUSY: "503 Slow Down"}


class FaultyProxy:
    """Listens on a free port; `day` is how it treats what arrives."""

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target)
        self._day = Day.GOOD
        self._writers: set[asyncio.StreamWriter] = set()
        self.url = ""
        self.refused = 0  # Connections which did not get what they asked for.

    async def start(self) -> asyncio.Server:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        return server

    def set(self, day: Day) -> None:
        """Change the day, also for connections which are open."""
        self._day = day
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        day = self._day
        self._writers.add(writer)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                await self._treat(day, reader, writer)
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _treat(
        self, day: Day, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if day in (Day.ERROR, Day.BUSY, Day.SILENT):
            self.refused += 1
        if day is Day.SILENT:
            while await reader.read(1 << 16):
                pass
            return
        if day in _STATUS:
            await reader.readuntil(b"\r\n\r\n")
            head = f"HTTP/1.1 {_STATUS[day]}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            writer.write(head.encode())
            await writer.drain()
            return
        theirs = await asyncio.open_connection(self._target.hostname, self._target.port)
        self._writers.add(theirs[1])
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._relay(reader, theirs[1], day, is_answer=False))
                group.create_task(self._relay(theirs[0], writer, day, is_answer=True))
        except* OSError:
            pass
        finally:
            self._writers.discard(theirs[1])
            theirs[1].close()

    async def _relay(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        day: Day,
        *,
        is_answer: bool,
    ) -> None:
        while piece := await reader.read(PIECE_BYTES if day is Day.SLOW else 1 << 16):
            if day is Day.SLOW:
                await asyncio.sleep(PIECE_S)
            if day is Day.CUT and is_answer:
                self.refused += 1
                writer.write(piece[:CUT_BYTES])
                await writer.drain()
                raise ConnectionResetError
            writer.write(piece)
            await writer.drain()
        writer.write_eof()


@asynccontextmanager
async def faulty_proxy(target: str) -> AsyncIterator[FaultyProxy]:
    """Run a proxy before a server."""
    proxy = FaultyProxy(target)
    server = await proxy.start()
    try:
        yield proxy
    finally:
        proxy.set(Day.GOOD)
        server.close()
