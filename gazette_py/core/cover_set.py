"""Cover sets: spans of a journal, none within another.

Invariants:
    CS1  Begins strictly ascend, and so do ends.
    CS2  No entry is empty.

Source: gazette/core broker/fragment/cover_set.go, without its shortcut which leaves covered
entries.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import Generic, Protocol, TypeVar


class Span(Protocol):
    """Bytes `[begin, end)`."""

    @property
    def begin(self) -> int:
        """First offset."""

    @property
    def end(self) -> int:
        """Offset after the last."""


S = TypeVar("S", bound=Span)


class CoverSet(Generic[S]):
    """Entries by ascending begin and end."""

    __slots__ = ("_begins", "_ends", "_entries")

    def __init__(self, spans: Iterable[S] = ()) -> None:
        self._entries: list[S] = []
        self._begins: list[int] = []
        self._ends: list[int] = []
        # Ascending, so that nearly every entry is appended.
        for span in sorted(spans, key=lambda s: (s.begin, s.end)):
            self.add(span)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[S]:
        return iter(self._entries)

    def __getitem__(self, index: int) -> S:
        return self._entries[index]

    @property
    def begin(self) -> int:
        """Smallest begin, or 0."""
        return self._begins[0] if self._begins else 0

    @property
    def end(self) -> int:
        """Largest end, or 0."""
        return self._ends[-1] if self._ends else 0

    def add(self, span: S) -> bool:
        """Add an entry, in place of those within it. Of equal spans the last one added stays.

        Returns:
            Whether the set has changed: not if the span is empty, or within an entry.
        """
        if span.begin == span.end:
            return False
        low = bisect_left(self._begins, span.begin)
        has_equal_begin = low < len(self._begins) and self._begins[low] == span.begin
        if (low and self._ends[low - 1] >= span.end) or (
            has_equal_begin and self._ends[low] > span.end
        ):
            return False  # It lies within an entry.
        high = bisect_right(self._ends, span.end)  # Entries [low, high) lie within the span.
        self._entries[low:high] = [span]
        self._begins[low:high] = [span.begin]
        self._ends[low:high] = [span.end]
        return True

    def longest_overlap(self, offset: int) -> tuple[int, bool]:
        """Return the index of the entry which covers the offset and ends last, and True.

        If none covers it: the index of the next entry after it (or the length), and False.
        """
        index = bisect_right(self._begins, offset)
        if index and self._ends[index - 1] > offset:
            return index - 1, True
        return index, False

    def index_from(self, begin: int) -> int:
        """Return the index of the first entry which begins at or after `begin`."""
        return bisect_left(self._begins, begin)


def difference(left: CoverSet[S], right: CoverSet[S]) -> list[S]:
    """Return entries of `left` which no unbroken run of entries of `right` covers."""
    return [entry for entry in left if not is_covered(entry.begin, entry.end, right)]


def is_covered(begin: int, end: int, by: CoverSet[S]) -> bool:
    """Tell whether an unbroken run of entries covers `[begin, end)`."""
    offset = begin
    while offset < end:
        index, is_found = by.longest_overlap(offset)
        if not is_found:
            return False
        offset = by[index].end
    return True
