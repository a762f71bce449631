"""Fragment files of a store: listed, read in order, and put where other programs can read them.

Invariants:
    LF1  Content which `read` yields was compared with its fragment's SHA-1, but for the last piece
         of a file not before all of it was read.
    LF2  A gap is an error, unless the caller wants to go on.
    LF3  Where files which are read one after the other overlap, both were read, and hold the same
         bytes there, or nothing from the second one on was yielded.
    LF4  Files are fetched ahead as a client's reader does: some at a time, and of all which waits
         at most a budget of bytes, and a piece of each.
"""

import asyncio
import hashlib
import os
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Self

from gazette_py.client.counts import Counts
from gazette_py.client.history import BUDGET_BYTES, FETCHES_MAX, History
from gazette_py.clock import SYSTEM
from gazette_py.core.fragment_index import IndexEntry, conflicting
from gazette_py.core.read_plan import ReadPlan, StoredFragment
from gazette_py.errors import ConflictingFragmentsError, OffsetJumpError
from gazette_py.lake.cover import Gap, Slice, cover
from gazette_py.lake.sql import READABLE
from gazette_py.protocol.fragment import Fragment, content_path
from gazette_py.protocol.store_url import StoreURL
from gazette_py.protocol.watermark import Watermark
from gazette_py.stores.fragments import OnSkipped, list_fragments, log_skipped, stored_path
from gazette_py.stores.registry import StoreRegistry
from gazette_py.stores.watermarks import read_watermark, watermark_times

_DECODING_THREADS_MAX = 4
_BATCH_BYTES = 4 << 20
"""Handed out before other fetches are begun."""


class Lake:
    """One fragment store.

    Args:
        store: Its URL, as journal specs spell it.
        file_root: Directory which roots file:// stores.
    """

    def __init__(self, store: str, *, file_root: str = "") -> None:
        self.url = store
        self._file_root = file_root
        self._registry = StoreRegistry(SYSTEM, file_root=file_root)
        self._executor = ThreadPoolExecutor(_DECODING_THREADS_MAX, thread_name_prefix="lake")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Release connections and threads."""
        await self._registry.close()
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def files(
        self,
        journal: str,
        journals: Sequence[str] = (),
        *,
        skip_foreign: bool = False,
        skip_conflicts: bool = False,
        on_skipped: OnSkipped = log_skipped,
    ) -> list[IndexEntry]:
        """Return all fragment files of a journal.

        Args:
            journal: Its name.
            journals: Names of others. Those which continue this one's name are told by it.
            skip_foreign: Pass over objects which are no fragments.
            skip_conflicts: Return also fragments of the same offsets, but other content.
            on_skipped: Hears of what was passed over. By default it is logged.

        Raises:
            ForeignObjectError: There is an object which is no fragment.
            ConflictingFragmentsError: There are fragments of the same offsets, but other content.
            StoreError: The store cannot be listed.
        """
        store = self._registry.get(self.url).store
        files = await list_fragments(
            journal,
            [(self.url, store)],
            frozenset(journals).__contains__,
            refuse_foreign=not skip_foreign,
            on_skipped=on_skipped,
        )
        for fragments in () if skip_conflicts else conflicting(files):
            raise ConflictingFragmentsError(
                journal,
                fragments[0].begin,
                fragments[0].end,
                tuple(content_path(fragment) for fragment in fragments),
            )
        return files

    async def read(
        self, journal: str, *, offset: int = 0, skip_gaps: bool = False
    ) -> AsyncGenerator[bytes, None]:
        """Yield the journal's stored content from `offset` on.

        Raises:
            OffsetJumpError: Content is missing, and `skip_gaps` is not set.
            CorruptFragmentError: A file is not what its name says.
            ConflictingFragmentsError: Overlapping files differ.
            StoreError: The store does not answer, or there is an object which is no fragment.
        """
        parts = cover(await self.files(journal), offset)
        async with aclosing(self.read_parts(journal, parts, skip_gaps=skip_gaps)) as pieces:
            async for piece in pieces:
                yield piece

    async def read_parts(
        self, journal: str, parts: Iterable[Slice | Gap], *, skip_gaps: bool = False
    ) -> AsyncGenerator[bytes, None]:
        """Yield the content of parts of a cover, in their order. Errors are those of `read`."""
        for run in _runs(parts):
            if isinstance(run, Gap):
                if not skip_gaps:
                    raise OffsetJumpError(journal, run.begin, run.end)
                continue
            async with aclosing(self._read_run(journal, run)) as pieces:
                async for piece in pieces:
                    yield piece

    async def read_slice(self, part: Slice) -> AsyncGenerator[bytes, None]:
        """Yield the content of a slice.

        Raises:
            CorruptFragmentError: The file is not what its name says.
            StoreError: The store does not give it.
        """
        async with aclosing(self._read_run(part.file.fragment.journal, [part])) as pieces:
            async for piece in pieces:
                yield piece

    async def _read_run(self, journal: str, run: Sequence[Slice]) -> AsyncGenerator[bytes, None]:
        """Yield the content of slices, each of which begins where the one before it ends."""
        # Who wants no more than the first rows has one file fetched.
        plan = ReadPlan(
            journal, run[0].begin, run[-1].end, budget_bytes=BUDGET_BYTES, fetches_max=1
        )
        plan.begin_at_store(
            StoredFragment(part.file.fragment, stored_path(part.file)) for part in run
        )
        overlaps = _Overlaps(run)
        history = History(
            plan,
            open_url=self._registry.get(self.url).store.get,
            executor=self._executor,
            counts=Counts(),  # Which nobody is shown: they are those of clients.
            observe=overlaps.take,
        )
        try:
            while True:
                pieces, fragment = await history.batch(_BATCH_BYTES)
                if fragment is None:
                    assert plan.is_done, "a run has no gap"
                    return
                overlaps.check(fragment)
                for piece in pieces:
                    yield bytes(piece)
                plan.fetches_max = min(plan.fetches_max + 1, FETCHES_MAX)
        finally:
            await history.aclose()

    async def watermark(self, journal: str, at: datetime | None = None) -> Watermark | None:
        """Return what says up to where the journal is whole in the store.

        Args:
            journal: Its name. Brokers write watermarks if it has a flush interval.
            at: Everything which was appended before shall be there: the first watermark which says
                so. None: the last one there is.

        Returns:
            None if there is none yet.

        Raises:
            ValueError: `at` has no time zone.
            StoreError: The store does not answer.
        """
        if at is not None and at.tzinfo is None:
            raise ValueError(f"{at} has no time zone")
        store = self._registry.get(self.url).store
        times = await watermark_times(store, journal)
        if at is not None:
            times = [time for time in times if time >= at.timestamp()][:1]
        return await read_watermark(store, journal, times[-1]) if times else None

    async def path_for_others(self, part: Slice, directory: Path) -> str:
        """Return a path at which another program can read a slice, decompressing it by itself.

        A whole file of a file store is given where it lies. Others are copied below `directory`:
        as they are, if they are whole and of a codec which others know, else decoded and cut.
        Directories keep their names, and with them the partitions of a Hive-style postfix.
        """
        fragment = part.file.fragment
        is_whole = part.skip == 0 and fragment.compression_codec in READABLE
        name = stored_path(part.file)
        url = StoreURL.parse(self.url)
        if is_whole and url.scheme == "file":
            root = os.path.abspath(self._file_root)  # noqa: ASYNC240  # It asks no disk.
            return os.path.join(root, url.path.lstrip("/") + url.rewrite(name))
        if not is_whole:
            name = os.path.join(
                os.path.dirname(content_path(fragment)), f"{part.begin:016x}-{part.end:016x}.raw"
            )
        target = directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        pieces = self._stored_bytes(part) if is_whole else self.read_slice(part)
        file = await asyncio.to_thread(open, target, "wb")
        with file:
            async with aclosing(pieces) as closing:
                async for piece in closing:
                    await asyncio.to_thread(file.write, piece)
        return str(target)

    async def _stored_bytes(self, part: Slice) -> AsyncGenerator[bytes, None]:
        store = self._registry.get(self.url).store
        stream = await store.get(stored_path(part.file))
        async with aclosing(stream.chunks) as chunks:
            async for chunk in chunks:
                yield chunk


def _runs(parts: Iterable[Slice | Gap]) -> Iterator[Gap | list[Slice]]:
    """Yield gaps, and between them slices, each of which begins where the one before it ends."""
    run: list[Slice] = []
    for part in parts:
        if run and (isinstance(part, Gap) or part.begin != run[-1].end):
            yield run
            run = []
        if isinstance(part, Gap):
            yield part
        else:
            run.append(part)
    if run:
        yield run


class _Overlaps:
    """Where files of a run overlap: each is compared with the one before it (LF3).

    Files are fetched side by side, so either may come first; what counts is that both have come
    once the second is handed out.
    """

    def __init__(self, run: Sequence[Slice]) -> None:
        self._as_first: dict[int, _Overlap] = {}  # By the begin of the file.
        self._as_second: dict[int, _Overlap] = {}
        for first, second in pairwise(run):
            if second.skip:
                overlap = _Overlap(first, second)
                self._as_first[first.file.begin] = self._as_second[second.file.begin] = overlap

    def take(self, fragment: Fragment, offset: int, piece: bytes) -> None:
        """Take the next piece of a file, from its first byte on."""
        if (overlap := self._as_first.get(fragment.begin)) is not None:
            overlap.add_first(offset, piece)
        if (overlap := self._as_second.get(fragment.begin)) is not None:
            overlap.add_second(offset, piece)

    def check(self, fragment: Fragment) -> None:
        """Allow for content of a file to be handed out, as that of the file before it was.

        Raises:
            ConflictingFragmentsError: They differ.
        """
        if (overlap := self._as_second.pop(fragment.begin, None)) is not None:
            overlap.check()


class _Overlap:
    """Compares what two files hold at the same offsets, by sums."""

    def __init__(self, first: Slice, second: Slice) -> None:
        self._files = (first.file.fragment, second.file.fragment)
        self._begin, self._end = second.file.begin, first.end
        self._sums = [hashlib.sha1(usedforsecurity=False) for _ in self._files]

    def add_first(self, offset: int, piece: bytes) -> None:
        """Take content of the first file, of which no byte is left out."""
        self._sums[0].update(piece[max(0, self._begin - offset) :])

    def add_second(self, offset: int, piece: bytes) -> None:
        """Take content of the second file, of which no byte is left out."""
        self._sums[1].update(piece[: max(0, self._end - offset)])

    def check(self) -> None:
        """Compare, once both were taken.

        Raises:
            ConflictingFragmentsError: They differ.
        """
        if self._sums[0].digest() != self._sums[1].digest():
            raise ConflictingFragmentsError(
                self._files[0].journal,
                self._begin,
                self._end,
                tuple(content_path(fragment) for fragment in self._files),
            )
