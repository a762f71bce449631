"""Threads of one store, and the reading of its files and connections through them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

_T = TypeVar("_T")

CHUNK_BYTES = 1 << 20
"""What is read at once: it keeps a thread for milliseconds, and a reader's window small."""


class Readable(Protocol):
    """A file, or the body of a response."""

    def read(self, amt: int, /) -> bytes:
        """Return up to `amt` bytes; none at the end."""
        ...

    def close(self) -> None:
        """Release what is below."""
        ...


class Threads:
    """A bounded number of threads, which start as they are needed. More work waits its turn."""

    def __init__(self, name: str, threads_max: int) -> None:
        self._pool = ThreadPoolExecutor(threads_max, thread_name_prefix=name)

    async def run(self, call: Callable[[], _T], discard: Callable[[_T], None] | None = None) -> _T:
        """Return the outcome of a blocking call.

        A cancelled caller does not wait for a call which has begun: it runs to its own end, in its
        own bounds.

        Args:
            call: What blocks.
            discard: Disposes of a result for which the caller did not wait.
        """
        future = self._pool.submit(call)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if discard is not None:
                future.add_done_callback(lambda done: _discard(done, discard))
            raise

    def close(self) -> None:
        """Refuse further work, and drop what has not begun."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class FileChunks:
    """Chunks of a blocking file, read in a store's threads, one at a time."""

    def __init__(
        self,
        threads: Threads,
        file: Readable,
        translate: Callable[[Exception], Exception],
        errors: tuple[type[Exception], ...],
    ) -> None:
        self._threads = threads
        self._file = file
        self._translate = translate  # From one of `errors` to a StoreError.
        self._errors = errors
        self._is_reading = False  # In a thread, perhaps for a reader who was cancelled.
        self._is_closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Return the iterator itself."""
        return self

    async def __anext__(self) -> bytes:
        """Return the next chunk."""
        if self._is_closed:
            raise StopAsyncIteration
        try:
            chunk = await self._threads.run(self._read)
        except self._errors as exc:
            raise self._translate(exc) from exc
        if not chunk:
            await self.aclose()
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        """Release the file, or have the read which is under way release it."""
        self._is_closed = True
        if not self._is_reading:
            self._file.close()

    def _read(self) -> bytes:
        # To close a file under a read in another thread would wait for it, or free a descriptor
        # which may be another file's by then.
        self._is_reading = True
        try:
            return self._file.read(CHUNK_BYTES)
        finally:
            self._is_reading = False
            if self._is_closed:
                self._file.close()


def _discard(done: "Future[_T]", discard: Callable[[_T], None]) -> None:
    if not done.cancelled() and done.exception() is None:
        discard(done.result())
