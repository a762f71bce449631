"""Chores: what is done again and again for each journal, at times, without a task which waits.

A broker has thousands of idle journals. Each has its chores here, a few words of memory, and one
timer stands for all of them.

Invariants:
    CH1  A chore does not run twice at a time. What asks for it while it runs has it run once more
         afterwards: the run under way may have begun too early to see what changed.
    CH2  After a failure a chore waits for its retry, whoever asks, unless it is compelled: what
         failed may itself be what asks.

Units: seconds of one monotonic clock. Pure.
"""

from heapq import heappop, heappush
from typing import Generic, TypeVar

K = TypeVar("K")


class Chore:
    """One chore of one journal. It is due at once."""

    __slots__ = ("_is_asked", "_is_barred", "_is_compelled", "due")

    def __init__(self, now: float) -> None:
        self.due: float | None = now  # None: it runs.
        self._is_asked = self._is_compelled = self._is_barred = False

    def ask(self, now: float) -> bool:
        """Have it run soon. Return whether that changes when it is due."""
        if self.due is None:
            self._is_asked = True
            return False
        return not self._is_barred and self._hasten(now)

    def compel(self, now: float) -> bool:
        """Likewise, also after a failure."""
        if self.due is None:
            self._is_compelled = True
            return False
        return self._hasten(now)

    def begin(self) -> None:
        """Note that it runs."""
        assert self.due is not None, "it runs"
        self.due = None
        self._is_asked = self._is_compelled = False

    def end(self, now: float, next_s: float, *, failed: bool = False) -> None:
        """Note that it has run.

        Args:
            now: The time.
            next_s: When to run again, from now, if nobody has asked meanwhile.
            failed: See CH2.
        """
        assert self.due is None, "it does not run"
        again = self._is_compelled or (self._is_asked and not failed)
        self._is_barred = failed and not again
        self.due = now if again else now + next_s

    def _hasten(self, now: float) -> bool:
        self._is_barred = False
        if self.due is None or self.due <= now:
            return False
        self.due = now
        return True


class Calendar(Generic[K]):
    """Keys with the times at which to look at them. One may be in it several times."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, K]] = []
        self._count = 0  # Tells equal times apart, in the order in which they came.

    @property
    def next_at(self) -> float | None:
        """The earliest time; None if there is none."""
        return self._heap[0][0] if self._heap else None

    def put(self, at: float, key: K) -> None:
        """Have a key looked at."""
        self._count += 1
        heappush(self._heap, (at, self._count, key))

    def take(self, now: float) -> list[tuple[float, K]]:
        """Return the keys whose time has come, each with its time, and forget them."""
        taken: list[tuple[float, K]] = []
        while self._heap and self._heap[0][0] <= now:
            at, _, key = heappop(self._heap)
            taken.append((at, key))
        return taken
