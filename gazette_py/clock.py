"""Time, waiting and randomness, behind one interface that a test can replace.

Everything that waits, times out, reads the time or draws a random id takes a `Clock`. The linter
refuses the real sources elsewhere.
"""

import asyncio
import random
import secrets
import time
from typing import Protocol


class Clock(Protocol):
    """What a component may know of time and chance."""

    def now(self) -> float:
        """Return Unix seconds of the wall clock, which may step."""
        ...

    def monotonic(self) -> float:
        """Return seconds of CLOCK_MONOTONIC, of no particular origin."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...

    def uniform(self, low: float, high: float) -> float:
        """Draw from [low, high]."""
        ...

    def token_hex(self, nbytes: int) -> str:
        """Draw an id of 2 * nbytes hexadecimal digits."""
        ...


class SystemClock:
    """The clock, timers and randomness of this machine."""

    def now(self) -> float:
        """Return Unix seconds of the wall clock."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds of CLOCK_MONOTONIC."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    def uniform(self, low: float, high: float) -> float:
        """Draw from [low, high]."""
        return random.uniform(low, high)

    def token_hex(self, nbytes: int) -> str:
        """Draw an id of 2 * nbytes hexadecimal digits."""
        return secrets.token_hex(nbytes)


SYSTEM: Clock = SystemClock()
