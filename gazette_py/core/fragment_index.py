"""Fragment index: which fragments of a journal exist, here or in its stores.

Pure. Remote entries come from the last listing of the stores; local ones have a file on this
broker. A local entry is forgotten, and its disk released, once remote ones cover it.

Source: gazette/core broker/fragment/index.go, which jumps to the first fragment at once. A broker
which has just come may have listed the second fragment of a journal before its first was stored,
and its readers would pass over content which was acknowledged.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from gazette_py.core.cover_set import CoverSet, difference
from gazette_py.core.spool import SpoolBytes
from gazette_py.protocol.fragment import Fragment

OFFSET_JUMP_AGE_S = 6 * 3600
"""A hole is skipped only when what follows it has been stored for this long: whatever belongs into
the hole may still be on its way to the store."""

FIRST_JUMP_AGE_S = 60
"""Likewise for content before the first fragment. Journals whose beginning was pruned are common,
and fragments take seconds on their way."""


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """A fragment, local if it has a file."""

    fragment: Fragment
    file: SpoolBytes | None = None
    listed_name: str = ""  # Below the journal's directory, if it is not the canonical one.

    @property
    def begin(self) -> int:
        """First offset."""
        return self.fragment.begin

    @property
    def end(self) -> int:
        """Offset after the last."""
        return self.fragment.end


@dataclass(frozen=True, slots=True)
class Hit:
    """Content from `offset` on is in `entry`."""

    offset: int
    entry: IndexEntry
    write_head: int


@dataclass(frozen=True, slots=True)
class Miss:
    """Nothing is at `offset` yet."""

    offset: int
    write_head: int


@dataclass(frozen=True, slots=True)
class Summary:
    """Extent of the index, and when its last fragment was stored (0: it was not)."""

    begin: int
    end: int
    mod_time: int


def conflicting(entries: Iterable[IndexEntry]) -> list[tuple[Fragment, ...]]:
    """Return fragments of the same extent which have other content, those of each extent together.

    Two primaries have written the same offsets: at most one of them was ever acknowledged.
    """
    by_extent: dict[tuple[int, int], dict[bytes, Fragment]] = {}
    for entry in entries:
        fragments = by_extent.setdefault((entry.begin, entry.end), {})
        fragments.setdefault(entry.fragment.sum, entry.fragment)
    return [tuple(found.values()) for found in by_extent.values() if len(found) > 1]


class FragmentIndex:
    """Of one journal on one broker."""

    __slots__ = ("_all", "_local", "is_refreshed", "version")

    def __init__(self) -> None:
        self.version = 0  # Grows with every change.
        self.is_refreshed = False  # The stores were listed at least once.
        self._all: CoverSet[IndexEntry] = CoverSet()
        self._local: CoverSet[IndexEntry] = CoverSet()

    def spool_commit(self, fragment: Fragment, file: SpoolBytes) -> None:
        """Add a local fragment, or extend the one which it grew from."""
        entry = IndexEntry(fragment, file)
        self._all.add(entry)
        self._local.add(entry)
        self.version += 1

    def replace_remote(self, entries: Iterable[IndexEntry]) -> None:
        """Take the listing of all stores in place of the one before. Later entries win."""
        remote: CoverSet[IndexEntry] = CoverSet(entries)
        self._local = CoverSet(difference(self._local, remote))
        for entry in self._local:
            remote.add(entry)
        self._all = remote
        self.is_refreshed = True
        self.version += 1

    def query(self, offset: int, begin_mod_time: int, now: float) -> Hit | Miss:
        """Find content.

        Args:
            offset: Where; -1: at the write head.
            begin_mod_time: Skip fragments stored before, in Unix seconds.
            now: Unix seconds.
        """
        if offset == -1:
            offset = self._all.end
        while True:
            index, is_found = self._all.longest_overlap(offset)
            if not is_found and self._may_jump(index, now):
                offset, is_found = self._all[index].begin, True
            if not is_found:
                return Miss(offset, self._all.end)
            entry = self._all[index]
            if not 0 < entry.fragment.mod_time < begin_mod_time:
                return Hit(offset, entry, self._all.end)
            offset = entry.end

    def _may_jump(self, index: int, now: float) -> bool:
        if index == len(self._all):
            return False
        mod_time = self._all[index].fragment.mod_time
        age_s = OFFSET_JUMP_AGE_S if index else FIRST_JUMP_AGE_S
        return 0 < mod_time < now - age_s

    def summary(self) -> Summary:
        """Return the extent of all fragments."""
        mod_time = self._all[len(self._all) - 1].fragment.mod_time if len(self._all) else 0
        return Summary(self._all.begin, self._all.end, mod_time)

    def stored_through(self, floor: int, now: float) -> tuple[int, tuple[tuple[int, int], ...]]:
        """Return the offset up to which all is in the stores, and what is missing below it.

        Args:
            floor: All below it is known to have been stored once.
            now: Unix seconds. What is missing counts as gone where `query` would jump over it.
        """
        offset, missing = floor, []
        for index in range(len(self._all)):
            entry = self._all[index]
            if entry.end <= offset:
                continue
            if entry.file is not None or (entry.begin > offset and not self._may_jump(index, now)):
                break
            if entry.begin > offset:
                missing.append((offset, entry.begin))
            offset = entry.end
        return offset, tuple(missing)

    def unpersisted(self) -> int:
        """Return how many bytes are in no store, as far as the last listing tells."""
        return sum(entry.fragment.length for entry in self._local)

    def __len__(self) -> int:
        return len(self._all)

    def list_page(
        self, begin_mod_time: int, end_mod_time: int, token: int, limit: int
    ) -> tuple[list[IndexEntry], int]:
        """Return up to `limit` fragments which begin at or after `token`, and the next token.

        Those of stores must have been stored within `[begin_mod_time, end_mod_time]`. Local ones
        are included if the range has no end (0). The next token is 0 when all were looked at.
        """
        page: list[IndexEntry] = []
        for index in range(self._all.index_from(token), len(self._all)):
            entry = self._all[index]
            if len(page) == limit:
                return page, entry.begin
            mod_time = entry.fragment.mod_time
            is_young = mod_time == 0 or mod_time >= begin_mod_time
            is_old = end_mod_time == 0 or 0 < mod_time <= end_mod_time
            if is_young and is_old:
                page.append(entry)
        return page, 0
