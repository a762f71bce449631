"""Which fragment files to read, and from which byte on, so that every byte is read once.

Fragments of a journal may overlap: after a change of its replicas, several uploaded what they had.
For any offset all of them hold the same byte, and ends are ends of appends. Pure.

Which files are worth a look at all is told by a cover set, as in brokers and readers. Only whoever
cannot cut files needs more than that: of files within others, too, some may fit where those do not.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from gazette_py.core.cover_set import CoverSet
from gazette_py.core.fragment_index import FIRST_JUMP_AGE_S, IndexEntry


@dataclass(frozen=True, slots=True)
class Slice:
    """Content of `file` from its byte `skip` on, before compression."""

    file: IndexEntry
    skip: int

    @property
    def begin(self) -> int:
        """First offset."""
        return self.file.begin + self.skip

    @property
    def end(self) -> int:
        """Offset after the last."""
        return self.file.end


@dataclass(frozen=True, slots=True)
class Gap:
    """Offsets which no file holds."""

    begin: int
    end: int


def beginning(files: Iterable[IndexEntry], offset: int, now: float) -> int:
    """Return where content begins for who asks for all from an offset on.

    That is the offset, unless it is 0 and what lay there was removed, as by retention: whoever asks
    for 0 wants what there is, whoever asks for another was there before. As to brokers, the first
    file has to be stored for a while: what belongs before it could be on its way.

    Args:
        files: Of the journal, all which are known.
        offset: The one asked for.
        now: Unix seconds.
    """
    first = min(files, key=lambda file: (file.begin, -file.end), default=None)
    if offset == 0 and first is not None and 0 < first.fragment.mod_time < now - FIRST_JUMP_AGE_S:
        return first.begin
    return offset


def cover(files: Iterable[IndexEntry], begin: int = 0) -> list[Slice | Gap]:
    """Return slices and gaps from `begin` on, in order, each offset in one of them.

    Of files which hold an offset the one which ends last is taken, so the fewest are. Of files of
    the same extent the last one is.
    """
    known = CoverSet(files)
    covered: list[Slice | Gap] = []
    offset = begin
    while offset < known.end:
        index, is_found = known.longest_overlap(offset)
        file = known[index]
        if is_found:
            covered.append(Slice(file, offset - file.begin))
            offset = file.end
        else:
            covered.append(Gap(offset, file.begin))
            offset = file.begin
    return covered


def cover_with_whole_files(files: Iterable[IndexEntry], begin: int = 0) -> list[IndexEntry] | None:
    """Return files which hold every byte from `begin` to the end once, without any cutting.

    Each begins where the one before it ends; the fewest which do are taken. None: there are no such
    files, or there is a gap.
    """
    waiting = list(files)
    end = max((file.end for file in waiting), default=begin)
    steps = {end: 0}  # From an offset to the end.
    first: dict[int, IndexEntry] = {}  # Of the files from an offset to the end.
    for file in sorted(waiting, key=lambda f: (f.begin, f.end), reverse=True):
        if file.begin < file.end and file.end in steps:
            count = steps[file.end] + 1
            if file.begin not in steps or count < steps[file.begin]:
                steps[file.begin], first[file.begin] = count, file
    if begin not in steps:
        return None
    chosen: list[IndexEntry] = []
    while begin < end:
        chosen.append(first[begin])
        begin = first[begin].end
    return chosen
