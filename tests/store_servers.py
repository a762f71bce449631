"""Servers of S3 in this process: moto's, and ones which fail in a way that a test asks for.

And a large file to send to them.
"""

import contextlib
import io
import os
import socketserver
import threading
from collections.abc import Callable, Iterator

from moto.server import ThreadedMotoServer
from versitygw_server import S3Server


@contextlib.contextmanager
def moto(bucket: str = "fragments") -> Iterator[S3Server]:
    """Run moto's server, with a bucket, until the context ends. It accepts any credentials."""
    process = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    process.start()
    host, port = process.get_host_and_port()
    server = S3Server(
        endpoint=f"http://{host}:{port}", bucket=bucket, access_key="any", secret_key="any"
    )
    try:
        server.create_bucket()
        yield server
    finally:
        process.stop()


class FailingServer:
    """Answers requests with given bytes, then hangs up.

    Attributes:
        endpoint: Its URL.
        requests: First lines of the requests so far.
        headers: Of each, by lower-case name.
        body_bytes: Length of all bodies together.
    """

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.requests: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.body_bytes = 0

    def url(self) -> str:
        """Return the URL of a fragment store."""
        return f"s3://fragments/?endpoint={self.endpoint}&region=us-east-1"


@contextlib.contextmanager
def failing_server(answer: Callable[[int], bytes | None]) -> Iterator[FailingServer]:
    """Run a server which gives `answer` of the request's number, from 0. None: it never answers."""
    stopping = threading.Event()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            first = self.rfile.readline().decode()
            headers: dict[str, str] = {}
            while (line := self.rfile.readline().decode().strip()) != "":
                name, _, value = line.partition(":")
                headers[name.lower()] = value.strip()
            server.headers.append(headers)
            length = int(headers.get("content-length", "0"))
            if headers.get("expect") == "100-continue":
                self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            while length and (piece := self.rfile.read(min(length, 1 << 16))):
                server.body_bytes += len(piece)
                length -= len(piece)
            server.requests.append(first.strip())
            body = answer(len(server.requests) - 1)
            if body is None:
                stopping.wait()
            else:
                self.wfile.write(body)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as process:
        server = FailingServer(f"http://127.0.0.1:{process.server_address[1]}")
        thread = threading.Thread(target=process.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            stopping.set()
            process.shutdown()
            thread.join()


def http_answer(status: str, body: bytes = b"", *, length: int | None = None) -> bytes:
    """Return a response, whose Content-Length may promise more than there is."""
    announced = len(body) if length is None else length
    head = f"HTTP/1.1 {status}\r\nContent-Length: {announced}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


class Zeros(io.RawIOBase):
    """A large file of zeros, which takes no memory."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self._length = length
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._length}[whence]
        self._position = base + offset
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = min(len(buffer), self._length - self._position)
        buffer[:count] = bytes(count)
        self._position += count
        return count
