"""Single-slot hand-over of exclusive ownership, and the signals which end a wait for it.

Invariants:
    K1  An item is held by at most one owner, or lies in the slot; none is ever lost. A waiter which
        is cancelled, or signalled, at the very moment it is given the item leaves it in the slot.
    K2  Waiters are served in the order in which they came.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Signal:
    """Fires once, and says why. Callbacks run at once, in order, when it fires."""

    # Every idle journal has several: no dictionary of attributes, none of callbacks before the
    # first.
    __slots__ = ("_callbacks", "_is_fired", "_next")

    def __init__(self) -> None:
        self._is_fired = False
        self._callbacks: dict[int, Callable[[], object]] | None = None
        self._next = 0

    @property
    def is_fired(self) -> bool:
        """Tell whether it has fired."""
        return self._is_fired

    def fire(self) -> None:
        """Fire, if it has not."""
        if self._is_fired:
            return
        self._is_fired = True
        callbacks, self._callbacks = self._callbacks, None
        for callback in list(callbacks.values()) if callbacks else ():
            callback()

    def add(self, callback: Callable[[], object]) -> int:
        """Call back when it fires: at once, if it has. Return a handle for `discard`."""
        if self._is_fired:
            callback()
            return -1
        self._next += 1
        if self._callbacks is None:
            self._callbacks = {}
        self._callbacks[self._next] = callback
        return self._next

    def discard(self, handle: int) -> None:
        """Forget a callback."""
        if self._callbacks is not None:
            self._callbacks.pop(handle, None)
            self._callbacks = self._callbacks or None


async def wait_signal(timeout_s: float | None, *signals: Signal) -> bool:
    """Wait until any signal has fired. Return False if the time ran out first."""
    fired: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def settle(result: bool = True) -> None:
        if not fired.done():
            fired.set_result(result)

    handles = [(signal, signal.add(settle)) for signal in signals]
    timer = None
    if timeout_s is not None:
        timer = asyncio.get_running_loop().call_later(timeout_s, settle, False)
    try:
        return await fired
    finally:
        if timer is not None:
            timer.cancel()
        for signal, handle in handles:
            signal.discard(handle)


class Slot(Generic[T]):
    """Holds the item while nobody owns it."""

    __slots__ = ("_held", "_waiters")

    def __init__(self) -> None:
        self._held: tuple[T] | None = None
        # None while nobody waits: an empty deque takes 600 bytes, and every idle journal has two.
        self._waiters: deque[asyncio.Future[tuple[T] | None]] | None = None

    def put(self, item: T) -> None:
        """Give the item up: to the first who waits, or to the slot, which must be empty."""
        assert self._held is None
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result((item,))
                return
        self._waiters = None
        self._held = (item,)

    async def take(self, *signals: Signal) -> tuple[T] | None:
        """Own the item (boxed, since it may be None); return None if a signal fired before that."""
        if any(signal.is_fired for signal in signals):
            return None
        if self._held is not None:
            held, self._held = self._held, None
            return held
        waiter: asyncio.Future[tuple[T] | None] = asyncio.get_running_loop().create_future()
        if self._waiters is None:
            self._waiters = deque()
        self._waiters.append(waiter)

        def give_up() -> None:
            if not waiter.done():
                waiter.set_result(None)

        handles = [(signal, signal.add(give_up)) for signal in signals]
        try:
            taken = await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and (given := waiter.result()) is not None:
                self.put(given[0])
            raise
        finally:
            for signal, handle in handles:
                signal.discard(handle)
        if taken is not None and any(signal.is_fired for signal in signals):
            self.put(taken[0])
            return None
        return taken
