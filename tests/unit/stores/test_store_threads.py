"""Files are closed exactly when nobody reads them any more, whoever leaves first."""

import asyncio
import threading

import pytest

from gazette_py.stores.threads import FileChunks, Threads


class SlowFile:
    """A file whose read blocks until the test lets it go on."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.go_on = threading.Event()
        self.closed = threading.Event()
        self.was_closed_while_read = False

    def read(self, amt: int, /) -> bytes:
        self.began.set()
        self.go_on.wait()
        self.was_closed_while_read = self.closed.is_set()
        return b"chunk"

    def close(self) -> None:
        self.closed.set()


async def test_a_file_is_closed_after_the_read_of_a_cancelled_reader() -> None:
    threads = Threads("test", 1)
    file = SlowFile()
    chunks = FileChunks(threads, file, lambda exc: exc, ())
    reader = asyncio.create_task(chunks.__anext__())
    while not file.began.is_set():
        await asyncio.sleep(0)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader

    await chunks.aclose()
    assert not file.closed.is_set()
    file.go_on.set()

    assert await asyncio.to_thread(file.closed.wait, 5)
    assert not file.was_closed_while_read
    threads.close()


async def test_a_result_nobody_waits_for_is_discarded() -> None:
    threads = Threads("test", 1)
    began, go_on, discarded = threading.Event(), threading.Event(), threading.Event()

    def open_slowly() -> str:
        began.set()
        go_on.wait()
        return "connection"

    def discard(result: str) -> None:
        assert result == "connection"
        discarded.set()

    opening = asyncio.create_task(threads.run(open_slowly, discard))
    while not began.is_set():
        await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert not discarded.is_set()
    go_on.set()

    assert await asyncio.to_thread(discarded.wait, 5)
    threads.close()
