"""What brokers which were killed left of their open fragments, and which of it is in no store.

A broker removes the file of a spool once the fragment is stored. A file which is still there before
any broker runs belongs to one which was killed. Its size bounds what was acknowledged: bytes of an
append which was never acknowledged may be at its end.

Units: offsets are journal byte offsets, spans are half-open `[begin, end)`.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

SUFFIX = ".spool"
_NAME_MAX = 120
"""Characters of a journal's name which the name of a spool's file has: its last ones."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """One file."""

    path: Path
    escaped: str  # The journal's name as files have it.
    begin: int
    end: int  # Of what the file may hold.

    def is_of(self, journal: str) -> bool:
        """Tell whether it is the journal's."""
        return journal.replace("/", "%2F")[-_NAME_MAX:] == self.escaped


def move_leftovers(spools: Path, lost: Path) -> list[Leftover]:
    """Move the files of killed brokers out of the reach of the next ones, which remove them.

    Args:
        spools: Has a directory of spools for each broker.
        lost: Where to; it is made if there is something to move. Files which an earlier call moved,
            and which nobody has looked at since, are found there again.
    """
    for file in spools.glob(f"*/*{SUFFIX}"):
        if file.stat().st_size:
            lost.mkdir(exist_ok=True)
            # Names are unique in a broker's directory only.
            file.rename(lost / f"{file.parent.name}.{os.stat(file).st_ino:x}.{file.name}")
    return [_parse(file) for file in sorted(lost.glob(f"*{SUFFIX}"))]


def _parse(file: Path) -> Leftover:
    """Return what a file's name says: BROKER.INODE.JOURNAL@BEGIN.SERIAL.spool."""
    name, _, position = file.name.rpartition("@")
    _, _, escaped = name.split(".", 2)
    begin = int(position.partition(".")[0], 16)
    return Leftover(file, escaped, begin, begin + file.stat().st_size)


def lost_spans(
    leftovers: Iterable[Leftover], stored: Iterable[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Return the spans which leftovers hold and the store does not, ascending and disjoint.

    Args:
        leftovers: Of one journal.
        stored: Spans of its stored fragments.
    """
    covered = sorted(stored)
    spans: list[tuple[int, int]] = []
    for begin, end in sorted((leftover.begin, leftover.end) for leftover in leftovers):
        # Replicas hold the same bytes: what an earlier one told is not told again.
        begin = max(begin, spans[-1][1] if spans else 0)
        for gap in _without(begin, end, covered):
            if spans and spans[-1][1] == gap[0]:
                spans[-1] = (spans[-1][0], gap[1])
            else:
                spans.append(gap)
    return spans


def _without(begin: int, end: int, covered: Sequence[tuple[int, int]]) -> Iterable[tuple[int, int]]:
    """Yield the parts of `[begin, end)` which no covered span has."""
    for low, high in covered:
        if high <= begin:
            continue
        if low >= end:
            break
        if low > begin:
            yield begin, low
        begin = high
    if begin < end:
        yield begin, end
