"""Fragment files of a store: listed, read in order, and put where other programs can read them.

Invariants:
    LF1  Content which `read` yields was compared with its fragment's SHA-1, but for the last piece
         of a file not before all of it was read.
    LF2  A gap is an error, unless the caller wants to go on.
    LF3  Where files which are read one after the other overlap, both were read, and hold the same
         bytes there, or nothing from the second one on was yielded.
"""

import asyncio
import hashlib
import os
from collections.abc import AsyncGenerator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from typing import Self

from gazette_py.client.direct import read_fragment
from gazette_py.clock import SYSTEM
from gazette_py.core.fragment_index import IndexEntry, conflicting
from gazette_py.errors import ConflictingFragmentsError, OffsetJumpError
from gazette_py.lake.cover import Gap, Slice, cover
from gazette_py.lake.sql import READABLE
from gazette_py.protocol.fragment import content_path
from gazette_py.protocol.store_url import StoreURL
from gazette_py.protocol.watermark import Watermark
from gazette_py.stores.fragments import list_fragments, stored_path
from gazette_py.stores.registry import StoreRegistry
from gazette_py.stores.watermarks import read_watermark, watermark_times

_DECODING_THREADS_MAX = 4


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
    ) -> list[IndexEntry]:
        """Return all fragment files of a journal.

        Args:
            journal: Its name.
            journals: Names of others. Those which continue this one's name are told by it.
            skip_foreign: Pass over objects which are no fragments. They are logged.
            skip_conflicts: Return also fragments of the same offsets, but other content.

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
        """Yield the content of neighbouring parts of a cover. Errors are those of `read`."""
        last: _Overlap | None = None
        waiting = list(parts)
        for part, following in zip(waiting, [*waiting[1:], None], strict=True):
            if isinstance(part, Gap):
                if not skip_gaps:
                    raise OffsetJumpError(journal, part.begin, part.end)
                last = None
                continue
            overlap = None
            if isinstance(following, Slice) and following.skip:
                overlap = _Overlap(part, following)
            async with aclosing(self._read_slice(part, last, overlap)) as pieces:
                async for piece in pieces:
                    yield piece
            last = overlap

    async def read_slice(self, part: Slice) -> AsyncGenerator[bytes, None]:
        """Yield the content of a slice.

        Raises:
            CorruptFragmentError: The file is not what its name says.
            StoreError: The store does not give it.
        """
        async with aclosing(self._read_slice(part, None, None)) as pieces:
            async for piece in pieces:
                yield piece

    async def _read_slice(
        self, part: Slice, before: "_Overlap | None", after: "_Overlap | None"
    ) -> AsyncGenerator[bytes, None]:
        store = self._registry.get(self.url).store
        stream = await store.get(stored_path(part.file))
        offset = part.file.begin
        async with aclosing(read_fragment(part.file.fragment, stream, self._executor)) as pieces:
            async for piece in pieces:
                if before is not None:
                    before.add_second(offset, piece)
                if after is not None:
                    after.add_first(offset, piece)
                wanted = piece[max(0, part.begin - offset) :]
                offset += len(piece)
                if wanted:
                    yield wanted

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


class _Overlap:
    """Compares what two files hold at the same offsets, by sums (LF3)."""

    def __init__(self, first: Slice, second: Slice) -> None:
        self._files = (first.file.fragment, second.file.fragment)
        self._begin, self._end = second.file.begin, first.end
        self._sums = [hashlib.sha1(usedforsecurity=False) for _ in self._files]

    def add_first(self, offset: int, piece: bytes) -> None:
        """Take content of the first file, of which no byte is left out."""
        self._sums[0].update(piece[max(0, self._begin - offset) :])

    def add_second(self, offset: int, piece: bytes) -> None:
        """Take content of the second.

        Raises:
            ConflictingFragmentsError: It is not that of the first.
        """
        if offset >= self._end:
            return
        self._sums[1].update(piece[: self._end - offset])
        if offset + len(piece) >= self._end and self._sums[0].digest() != self._sums[1].digest():
            raise ConflictingFragmentsError(
                self._files[0].journal,
                self._begin,
                self._end,
                tuple(content_path(fragment) for fragment in self._files),
            )
