"""What a journal holds at one moment, in parts: stored fragments, and what only brokers have. Pure.

Invariants:
    SN1  Parts ascend and do not overlap: each offset is in at most one.
    SN2  A part of a stored fragment has the partitions of its path postfix; others have none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from gazette_py.lake.cover import Slice

_NULL = "__HIVE_DEFAULT_PARTITION__"


def partitions_of(postfix: str) -> dict[str, str | None]:
    """Return values by name, of a postfix's directories which are like `day=1`."""
    found: dict[str, str | None] = {}
    for element in postfix.split("/"):
        name, equals, value = element.partition("=")
        if equals:
            found[unquote(name)] = None if value == _NULL else unquote(value)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Content `[begin, end)` of a journal.

    Attributes:
        begin: First offset.
        end: Offset after the last.
        postfix: Path postfix of the stored fragment, or "".
        file: The slice of the fragment which holds it; None if it is to be had from brokers.
    """

    begin: int
    end: int
    postfix: str = ""
    file: Slice | None = None

    @property
    def partitions(self) -> dict[str, str | None]:
        """Return values by name, of the postfix's directories which are like `day=1`."""
        return partitions_of(self.postfix)

    def starting_at(self, offset: int) -> "Part":
        """Return the end of the part, from an offset within on."""
        assert self.begin <= offset < self.end, "the offset is within the part"
        file = self.file and Slice(self.file.file, offset - self.file.file.begin)
        return Part(begin=offset, end=self.end, postfix=self.postfix, file=file)


@dataclass(frozen=True, slots=True)
class JournalSnapshot:
    """A journal's parts.

    Attributes:
        journal: Its name.
        parts: What it holds.
        expected: Names of partitions which its files are going to have.
    """

    journal: str
    parts: tuple[Part, ...]
    expected: tuple[str, ...] = ()

    @property
    def partition_names(self) -> set[str]:
        """Names of partitions which its files have, or are going to have."""
        return {*self.expected, *(name for part in self.parts for name in part.partitions)}

    @property
    def end(self) -> int:
        """Where the content ended at the moment."""
        return self.parts[-1].end if self.parts else 0

    def runs(self, kept: Sequence[int]) -> list[tuple[int, int]]:
        """Return the first and the last index of each run of neighbours among the kept parts."""
        found: list[tuple[int, int]] = []
        for index in kept:
            if found and self.is_joined(index) and found[-1][1] == index - 1:
                found[-1] = (found[-1][0], index)
            else:
                found.append((index, index))
        return found

    def is_joined(self, index: int) -> bool:
        """Tell whether a part begins where the one before it ends."""
        return 0 < index < len(self.parts) and self.parts[index - 1].end == self.parts[index].begin
