"""HTTP/1.1 as it is on the wire: requests which libraries would not send, and trailers."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import h11

TIMEOUT_S = 15.0


@dataclass(slots=True)
class Answer:
    """A response. Names of headers are in lower case."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    trailers: dict[str, str] = field(default_factory=dict)
    is_whole: bool = False


class Exchange:
    """One request on a connection of its own, whose response is read step by step."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.answer = Answer()
        self.informed: list[int] = []  # Statuses before the one of the response.
        self._reader = reader
        self._writer = writer
        self._connection = h11.Connection(h11.CLIENT)

    async def send(self, event: h11.Event) -> None:
        data = self._connection.send(event)
        if data:
            self._writer.write(data)
            await self._writer.drain()

    async def send_body(self, *pieces: bytes) -> None:
        for piece in pieces:
            await self.send(h11.Data(data=piece))
        await self.send(h11.EndOfMessage())

    async def start(self) -> Answer:
        """Wait for status and headers."""
        await self._read(lambda: bool(self.answer.status))
        return self.answer

    async def inform(self) -> int:
        """Wait for a status before that of the response."""
        await self._read(lambda: bool(self.informed))
        return self.informed[-1]

    async def until(self, content: bytes) -> bytes:
        """Wait until the body has some content; return all that there is."""
        await self._read(lambda: content in self.answer.body)
        return self.answer.body

    async def finish(self) -> Answer:
        """Wait for the end of the response."""
        await self._read(lambda: self.answer.is_whole)
        return self.answer

    async def _read(self, is_enough: Callable[[], bool]) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while not is_enough():
                event = self._connection.next_event()
                if event is h11.NEED_DATA:
                    self._connection.receive_data(await self._reader.read(1 << 16))
                else:
                    self._take(event)

    def _take(self, event: object) -> None:
        match event:
            case h11.InformationalResponse():
                self.informed.append(event.status_code)
            case h11.Response():
                self.answer.status = event.status_code
                self.answer.headers = _text(event.headers)
            case h11.Data():
                self.answer.body += event.data
            case h11.EndOfMessage():
                self.answer.trailers = _text(event.headers)
                self.answer.is_whole = True
            case _:
                raise AssertionError(f"{event} after {self.answer}")


def _text(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode(): value.decode("latin-1") for name, value in headers}


@asynccontextmanager
async def request(
    url: str, method: str, target: str, headers: dict[str, str] | None = None, version: str = "1.1"
) -> AsyncIterator[Exchange]:
    """Begin a request, whose body, if any, is still to be sent."""
    host = urlsplit(url)
    reader, writer = await asyncio.open_connection(host.hostname, host.port)
    try:
        exchange = Exchange(reader, writer)
        sent = {"Host": host.netloc, **(headers or {})}
        head = h11.Request(method=method, target=target, headers=list(sent.items()))
        if version == "1.0":
            writer.write(f"{method} {target} HTTP/1.0\r\n\r\n".encode())
            exchange._connection.send(head)
        else:
            await exchange.send(head)
        yield exchange
    finally:
        writer.close()


async def fetch(
    url: str,
    method: str,
    target: str,
    headers: dict[str, str] | None = None,
    body: bytes | None = None,
) -> Answer:
    """Make a request, and return its response."""
    sent = dict(headers or {})
    if body is not None:
        sent["Content-Length"] = str(len(body))
    async with request(url, method, target, sent) as exchange:
        await exchange.send_body(*([body] if body else []))
        return await exchange.finish()
