"""When a journal is whole up to a time: what its primary may say, and when.

At each boundary of the flush interval the primary learns an offset below which all lies that was
appended before: from then on it waits until all below that offset is in the stores.

Invariants:
    WM1  A claim is made only from an offset which the journal's pipeline confirmed at least
         `SKEW_S` after its time: brokers whose clocks differ by less agree on what was before.
    WM2  A claim is handed out only once all below its offset is in the stores.
    WM3  Each boundary is claimed once, in order, without gaps since the last which is known.

Times are Unix seconds, and boundaries multiples of the interval. Pure.
"""

from collections import deque
from dataclasses import dataclass

SKEW_S = 10
"""How much clocks of brokers may differ."""

MISSED_MAX = 1000
"""Boundaries which are made up for, after a time without a primary. Older ones are left out."""


@dataclass(frozen=True, slots=True)
class Claim:
    """All that was appended before `time` is below `offset`."""

    time: int
    offset: int


class Watermarks:
    """Of one journal, while we are its primary.

    Args:
        interval_s: The flush interval, positive.
        written: Time of the last watermark in the store; None: there is none.
    """

    __slots__ = ("_claimed", "_interval_s", "_pending")

    def __init__(self, interval_s: int, written: int | None) -> None:
        self._interval_s = interval_s
        self._claimed = written
        self._pending: deque[Claim] = deque()

    @property
    def is_waiting(self) -> bool:
        """Whether claims wait for content to be stored."""
        return bool(self._pending)

    def is_due(self, now: float) -> bool:
        """Tell whether a boundary has passed which is not claimed yet."""
        return self._claimed is None or self._boundary(now) > self._claimed

    def claim(self, now: float, offset: int) -> None:
        """Claim all boundaries which have passed.

        Args:
            now: When `offset` was asked for.
            offset: Confirmed by the pipeline since; all that was appended before the last boundary
                is below it.
        """
        last = self._boundary(now)
        first = last if self._claimed is None else self._claimed + self._interval_s
        first = max(first, last - (MISSED_MAX - 1) * self._interval_s)
        self._pending += (Claim(time, offset) for time in range(first, last + 1, self._interval_s))
        self._claimed = max(last, self._claimed or last)

    def settled(self, stored_through: int) -> list[Claim]:
        """Return claims which are true, now that all below an offset is stored. They stay."""
        return [claim for claim in self._pending if claim.offset <= stored_through]

    def wrote(self, claim: Claim) -> None:
        """Forget a claim, whose watermark is written."""
        self._pending.remove(claim)

    def _boundary(self, now: float) -> int:
        at = int(now) - SKEW_S
        return at - at % self._interval_s
