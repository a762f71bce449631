"""An asynchronous context held open by a thread with an event loop of its own.

So what needs a loop, such as brokers, serves tests which have none, or another.
"""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, Self, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class ContextThread(Generic[T]):
    """Enters the context as it is entered itself, and leaves it likewise.

    Args:
        context: To hold open.
        name: Of the thread.
        timeout_s: Bound of entering, of leaving, and of each call.
    """

    def __init__(
        self, context: AbstractAsyncContextManager[T], name: str, timeout_s: float
    ) -> None:
        self._context = context
        self._timeout_s = timeout_s
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._entered: Future[T] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._leave = asyncio.Event()
        self._error: BaseException | None = None

    @property
    def value(self) -> T:
        """What the context gave as it was entered."""
        return self._entered.result(0)

    def __enter__(self) -> Self:
        """Enter the context.

        Raises:
            Exception: The context's own, or TimeoutError.
        """
        self._thread.start()
        self._entered.result(self._timeout_s)
        return self

    def __exit__(self, *_: object) -> None:
        """Leave it.

        Raises:
            Exception: The context's own, or TimeoutError.
        """
        if self._loop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._leave.set)
        self._thread.join(self._timeout_s)
        if self._thread.is_alive():
            raise TimeoutError(f"{self._thread.name} did not end in {self._timeout_s} s")
        if self._error is not None:
            raise self._error

    def call(self, work: Coroutine[Any, Any, R]) -> R:
        """Run work on the thread's loop, and return its result."""
        assert self._loop is not None, f"{self._thread.name} was not entered"
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(self._timeout_s)

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as exc:  # noqa: BLE001  # Raised by who enters, or leaves.
            if self._entered.done():
                self._error = exc
            else:
                self._entered.set_exception(exc)

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with self._context as value:
            self._entered.set_result(value)
            await self._leave.wait()
