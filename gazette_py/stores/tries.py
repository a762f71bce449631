"""How often a store is asked before it counts as unavailable.

Libraries below have retries of their own, each with other bounds. Where one can switch them off,
this is the only policy.
"""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from gazette_py.clock import Clock
from gazette_py.errors import StoreUnavailableError

_T = TypeVar("_T")

TRIES: Final = 3
_DELAY_S: Final = 0.2  # Doubled by each try, and drawn from its upper half.


async def tried(clock: Clock, operation: Callable[[], Awaitable[_T]]) -> _T:
    """Return the outcome of an operation, which is tried 3 times while it is unavailable.

    Raises:
        StoreUnavailableError: Of the last try.
    """
    delay_s = _DELAY_S
    for _ in range(TRIES - 1):
        try:
            return await operation()
        except StoreUnavailableError:
            await clock.sleep(clock.uniform(delay_s / 2, delay_s))
            delay_s *= 2
    return await operation()
