"""A headless Chromium, driven by its DevTools protocol over a pipe: no port, no library.

Pages are served from here, since a browser gives those of files no origin.
"""

import asyncio
import fcntl
import json
import os
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TIMEOUT_S = 60.0
"""Of whatever a browser is asked for: starting one takes seconds on a busy machine."""

PROGRAM = os.environ.get("GAZETTE_TEST_CHROMIUM") or shutil.which("chromium")


@contextmanager
def page_server(html: str) -> Iterator[str]:
    """Serve one page at every path of an origin of its own; yield the origin."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(html.encode())

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, name="pages")
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class Browser:
    """A browser which runs."""

    def __init__(self, reader: asyncio.StreamReader, write_fd: int) -> None:
        self._reader = reader
        self._write_fd = write_fd
        self._serial = 0

    async def open(self, url: str) -> "Page":
        """Open a page."""
        target = await self.call("Target.createTarget", {"url": "about:blank"})
        attached = await self.call(
            "Target.attachToTarget", {"targetId": target["targetId"], "flatten": True}
        )
        page = Page(self, attached["sessionId"])
        await self.call("Page.navigate", {"url": url}, page.session)
        return page

    async def call(self, method: str, params: dict[str, Any], session: str = "") -> Any:
        """Call, and return the result. One call at a time; events are dropped."""
        self._serial += 1
        message: dict[str, Any] = {"id": self._serial, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._write_fd, json.dumps(message).encode() + b"\0")
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                answer = json.loads((await self._reader.readuntil(b"\0"))[:-1])
                if answer.get("id") == self._serial:
                    assert "result" in answer, answer
                    return answer["result"]


class Page:
    """A page of a browser."""

    def __init__(self, browser: Browser, session: str) -> None:
        self.session = session
        self._browser = browser

    async def evaluate(self, expression: str) -> Any:
        """Return what an expression is, or a promise becomes."""
        params = {"expression": expression, "awaitPromise": True, "returnByValue": True}
        found = await self._browser.call("Runtime.evaluate", params, self.session)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def until(self, expression: str, expected: object) -> None:
        """Wait until an expression is what it should be."""
        found: object = None
        try:
            async with asyncio.timeout(TIMEOUT_S):
                while (found := await self.evaluate(expression)) != expected:
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"{expression} is {found!r}, not {expected!r}") from None


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Run one until the context ends."""
    assert PROGRAM is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        pipes = [_above(fd) for fd in (*os.pipe(), *os.pipe())]
        their_in, our_out, our_in, their_out = pipes
        # The browser reads from file 3, and writes to 4.
        command = [
            *("bash", "-c", f'exec "$@" 3<&{their_in} 4>&{their_out} 2>/dev/null', "bash"),
            *(PROGRAM, "--headless=new", "--no-sandbox", "--remote-debugging-pipe"),
            *("--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
            *("--disable-background-networking", f"--user-data-dir={profile}"),
        ]
        process = await asyncio.create_subprocess_exec(
            *command, pass_fds=(their_in, their_out), stdin=asyncio.subprocess.DEVNULL
        )
        os.close(their_in)
        os.close(their_out)
        reader = asyncio.StreamReader(limit=1 << 24)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(our_in, "rb")
        )
        try:
            yield Browser(reader, our_out)
        finally:
            os.close(our_out)  # It ends with its pipe.
            try:
                await asyncio.wait_for(process.wait(), 10)
            except TimeoutError:
                process.kill()
                await process.wait()
            transport.close()


def _above(fd: int) -> int:
    """Return a file under a number which is not 3 or 4."""
    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(fd)
    return moved
