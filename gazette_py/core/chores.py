"""Chores: what is done again and again for each journal, at times, without a task which waits.

A broker has thousands of idle journals. Each has its chores here, a few words of memory, and one
timer stands for all of them.

Invariants:
    CH1  A chore does not run twice at a time. What asks for it while it runs has it run once more
         afterwards: the run under way may have begun too early to see what changed.
    CH2  After a failure a chore waits for its retry, whoever asks, unless it is compelled: what
         failed may itself be what asks.
    CH3  A key of a calendar has one time. One which is dropped is in memory no more, however far
         away its time was; entries which no longer hold never outnumber those which do.

Units: seconds of one monotonic clock. Pure.
"""

from heapq import heapify, heappop, heappush
from typing import Any, Generic, TypeVar

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
    """Keys, each with the time at which to look at it."""

    def __init__(self) -> None:
        # An entry is [time, number, (key,)]; the last is None once the entry no longer holds. The
        # number tells equal times apart, in the order in which they came.
        self._heap: list[list[Any]] = []
        self._entries: dict[K, list[Any]] = {}  # Those which hold.
        self._count = 0

    @property
    def size(self) -> int:
        """How many entries are in memory: at most twice as many as there are keys."""
        return len(self._heap)

    @property
    def next_at(self) -> float | None:
        """The earliest time; None if there is none."""
        while self._heap and self._heap[0][2] is None:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def put(self, at: float, key: K) -> None:
        """Have a key looked at then, and at no other time."""
        self.drop(key)
        self._count += 1
        entry = self._entries[key] = [at, self._count, (key,)]
        heappush(self._heap, entry)

    def drop(self, key: K) -> None:
        """Forget a key, if it is known."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        entry[2] = None
        self._tidy()

    def take(self, now: float) -> list[K]:
        """Return the keys whose time has come, and forget them."""
        taken: list[K] = []
        while (at := self.next_at) is not None and at <= now:
            (key,) = heappop(self._heap)[2]
            del self._entries[key]
            taken.append(key)
        self._tidy()
        return taken

    def _tidy(self) -> None:
        if len(self._heap) > 2 * len(self._entries):
            self._heap = [entry for entry in self._heap if entry[2] is not None]
            heapify(self._heap)
