"""Spreads content over time."""

from collections.abc import AsyncGenerator, Iterable

from gazette_py.clock import Clock

_PIECES_PER_S = 10
"""Enough that brokers, who count each second, see an even flow."""


class Pace:
    """Lets no more bytes per second pass than wanted, in the long run. The first pass at once."""

    def __init__(self, clock: Clock, bytes_per_s: int) -> None:
        """Build it.

        Args:
            clock: What it waits by.
            bytes_per_s: At least 1.
        """
        assert bytes_per_s > 0
        self.bytes_per_s = bytes_per_s
        self._clock = clock
        self._free_at = clock.monotonic()  # When what has passed has had its time.

    async def take(self, count: int) -> None:
        """Wait until so many bytes may pass."""
        delay_s = self._free_at - self._clock.monotonic()
        if delay_s > 0:
            await self._clock.sleep(delay_s)
        # Time which was not used is not made up for.
        self._free_at = max(self._free_at, self._clock.monotonic()) + count / self.bytes_per_s


class Paced:
    """Content at a pace. It can be iterated over again if that which is within can."""

    def __init__(self, content: Iterable[bytes], pace: Pace) -> None:
        self._content = content
        self._pace = pace

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        """Yield pieces when it is their time."""
        size = max(1, self._pace.bytes_per_s // _PIECES_PER_S)
        for chunk in self._content:
            for at in range(0, len(chunk), size):
                piece = chunk[at : at + size]
                await self._pace.take(len(piece))
                yield piece
