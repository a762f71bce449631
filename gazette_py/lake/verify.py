"""Looks through the files of a journal for what is damaged, missing or contradictory.

    async for finding in verify([lake], "acme/orders"):
        print(finding.kind, finding.begin, finding.end, finding.detail)

It is told of everything that is wrong, where readers stop at the first thing.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from enum import StrEnum

from gazette_py.core.fragment_index import IndexEntry, conflicting
from gazette_py.errors import CorruptFragmentError, StoreError
from gazette_py.lake.cover import Gap, Slice, cover
from gazette_py.lake.files import Lake
from gazette_py.protocol.fragment import content_path

READS_MAX = 4
"""Files which are read at once."""


class Kind(StrEnum):
    """What is wrong."""

    CORRUPT = "corrupt"  # A file is not what its name says.
    UNREADABLE = "unreadable"  # The store does not give a file.
    CONFLICT = "conflict"  # Files of the same offsets have other content.
    GAP = "gap"  # No file has these offsets: they are lost, unless a broker still holds them.
    OVERLAP = "overlap"  # Files have the same offsets. Readers read each once: it is no damage.


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found at `[begin, end)` of a journal."""

    kind: Kind
    journal: str
    begin: int
    end: int
    detail: str

    @property
    def is_damage(self) -> bool:
        """Tell whether content is, or may be, lost."""
        return self.kind is not Kind.OVERLAP


@dataclass(slots=True)
class Counts:
    """What was looked at."""

    files: int = 0
    skipped: int = 0  # Objects which are no fragments, by their names.
    listed_bytes: int = 0  # Before compression, of those which are, or will be, read.
    content_bytes: int = 0  # Of these, read and compared.
    tell: Callable[[], None] | None = None  # Called when there is something new.


async def verify(
    lakes: Sequence[Lake],
    journal: str,
    journals: Sequence[str] = (),
    *,
    reads: bool = True,
    counts: Counts | None = None,
) -> AsyncGenerator[Finding, None]:
    """Yield what is wrong with a journal, its list of files first.

    Args:
        lakes: Its stores.
        journal: Its name.
        journals: Names of others. Those which continue this one's name are told by it.
        reads: Read each file, and compare it with its SHA-1.
        counts: Is added up meanwhile.

    Raises:
        StoreError: A store cannot be listed.
    """
    counts = Counts() if counts is None else counts

    def count_skipped(_journal: str, _url: str, skipped: Sequence[str]) -> None:
        counts.skipped += len(skipped)

    files: list[tuple[Lake, IndexEntry]] = []
    for lake in lakes:
        listed = await lake.files(
            *(journal, journals),
            skip_foreign=True,
            skip_conflicts=True,
            on_skipped=count_skipped,
        )
        files += [(lake, file) for file in listed]
    counts.files += len(files)
    for of_names in findings_of_names(journal, [file for _, file in files]):
        yield of_names
    if not reads:
        return
    counts.listed_bytes += sum(file.end - file.begin for _, file in files)
    checks: deque[asyncio.Task[Finding | None]] = deque()
    try:
        for lake, file in files:
            checks.append(asyncio.create_task(_check(lake, file, counts), name="verify a file"))
            if len(checks) == READS_MAX and (finding := await checks.popleft()) is not None:
                yield finding
        while checks:
            if (finding := await checks.popleft()) is not None:
                yield finding
    finally:
        for task in checks:
            task.cancel()
        await asyncio.gather(*checks, return_exceptions=True)


def findings_of_names(journal: str, files: Sequence[IndexEntry]) -> Iterator[Finding]:
    """Yield what the names of all files tell. Pure.

    Content before the first file may have been removed, as by retention, and is no gap.
    """
    for fragments in conflicting(files):
        begin, end = fragments[0].begin, fragments[0].end
        detail = " and ".join(content_path(fragment) for fragment in fragments)
        yield Finding(kind=Kind.CONFLICT, journal=journal, begin=begin, end=end, detail=detail)
    for part in cover(files, min((file.begin for file in files), default=0)):
        if isinstance(part, Gap):
            detail = f"{part.end - part.begin} bytes are in no file"
            yield Finding(
                kind=Kind.GAP, journal=journal, begin=part.begin, end=part.end, detail=detail
            )
    yield from _overlaps(journal, files)


def _overlaps(journal: str, files: Iterable[IndexEntry]) -> Iterator[Finding]:
    last: IndexEntry | None = None  # Of those so far, the one which ends last.
    for file in sorted(files, key=lambda f: (f.begin, f.end)):
        if last is not None and file.begin < last.end:
            yield Finding(
                kind=Kind.OVERLAP,
                journal=journal,
                begin=file.begin,
                end=min(file.end, last.end),
                detail=f"{content_path(last.fragment)} and {content_path(file.fragment)}",
            )
        if last is None or file.end > last.end:
            last = file


async def _check(lake: Lake, file: IndexEntry, counts: Counts) -> Finding | None:
    try:
        async with aclosing(lake.read_slice(Slice(file, 0))) as pieces:
            async for piece in pieces:
                counts.content_bytes += len(piece)
                if counts.tell is not None:
                    counts.tell()
    except CorruptFragmentError as exc:
        kind, detail = Kind.CORRUPT, str(exc)
    except StoreError as exc:
        kind, detail = Kind.UNREADABLE, str(exc)
    else:
        return None
    journal = file.fragment.journal
    return Finding(kind=kind, journal=journal, begin=file.begin, end=file.end, detail=detail)
