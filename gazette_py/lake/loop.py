"""An event loop in a thread of its own, for engines which pull rows and know of no event loops."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Generator
from concurrent.futures import Future
from typing import Any, TypeVar

_T = TypeVar("_T")


class LoopThread:
    """Runs coroutines for other threads, from its making until it is closed."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        # A daemon, since who forgets to close a table shall still be able to leave.
        self._thread = threading.Thread(target=self._loop.run_forever, name="lake", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Return the outcome of a coroutine."""
        return self._submit(work).result()

    def iterate(self, items: AsyncGenerator[_T, None]) -> Generator[_T, None, None]:
        """Yield the items, with one more under way while the caller works on the last."""
        turn = asyncio.Lock()

        async def take() -> tuple[_T, ...]:
            async with turn:
                async for item in items:
                    return (item,)
                return ()

        async def end() -> None:
            async with turn:  # A cancelled `take` may still be about to end.
                await items.aclose()

        ahead = self._submit(take())
        try:
            while taken := ahead.result():
                ahead = self._submit(take())
                yield from taken
        finally:
            ahead.cancel()
            self.run(end())

    def close(self) -> None:
        """End the loop and its thread. Nothing must be under way."""
        if self._loop.is_closed():
            return
        self.run(self._loop.shutdown_asyncgens())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _submit(self, work: Coroutine[Any, Any, _T]) -> "Future[_T]":
        return asyncio.run_coroutine_threadsafe(work, self._loop)
