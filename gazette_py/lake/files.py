"""Fragment files of a store: listed, read in order, and put where other programs can read them.

Invariants:
    LF1  Content which `read` yields was compared with its fragment's SHA-1, but for the last piece
         of a file not before all of it was read.
    LF2  A gap is an error, unless the caller wants to go on.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from typing import Self

from gazette_py.client.direct import read_fragment
from gazette_py.clock import SYSTEM
from gazette_py.core.fragment_index import IndexEntry
from gazette_py.errors import OffsetJumpError
from gazette_py.lake.cover import Gap, Slice, cover
from gazette_py.protocol.enums import CompressionCodec
from gazette_py.protocol.fragment import content_path
from gazette_py.protocol.store_url import StoreURL
from gazette_py.protocol.watermark import Watermark
from gazette_py.stores.fragments import list_fragments, stored_path
from gazette_py.stores.registry import StoreRegistry
from gazette_py.stores.watermarks import read_watermark, watermark_times

_DECODING_THREADS_MAX = 4

_READABLE = frozenset({CompressionCodec.NONE, CompressionCodec.GZIP, CompressionCodec.ZSTANDARD})
"""Codecs which other programs know by the file's extension."""


class Lake:
    """One fragment store.

    Args:
        store: Its URL, as journal specs spell it.
        file_root: Directory which roots file:// stores.
    """

    def __init__(self, store: str, *, file_root: str = "") -> None:
        self._url = store
        self._file_root = file_root
        self._registry = StoreRegistry(SYSTEM, file_root=file_root)
        self._executor = ThreadPoolExecutor(_DECODING_THREADS_MAX, thread_name_prefix="lake")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._registry.close()
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def files(self, journal: str, journals: Sequence[str] = ()) -> list[IndexEntry]:
        """Return all fragment files of a journal.

        Args:
            journal: Its name.
            journals: Names of others. Those which continue this one's name are told by it.

        Raises:
            StoreError: The store cannot be listed.
        """
        store = self._registry.get(self._url).store
        return await list_fragments(journal, [(self._url, store)], frozenset(journals).__contains__)

    async def read(
        self, journal: str, *, offset: int = 0, skip_gaps: bool = False
    ) -> AsyncGenerator[bytes, None]:
        """Yield the journal's stored content from `offset` on.

        Raises:
            OffsetJumpError: Content is missing, and `skip_gaps` is not set.
            CorruptFragmentError: A file is not what its name says.
            StoreError: The store does not answer.
        """
        for part in cover(await self.files(journal), offset):
            if isinstance(part, Gap):
                if not skip_gaps:
                    raise OffsetJumpError(journal, part.begin, part.end)
                continue
            async with aclosing(self.read_slice(part)) as pieces:
                async for piece in pieces:
                    yield piece

    async def read_slice(self, part: Slice) -> AsyncGenerator[bytes, None]:
        """Yield the content of a slice.

        Raises:
            CorruptFragmentError: The file is not what its name says.
            StoreError: The store does not give it.
        """
        store = self._registry.get(self._url).store
        stream = await store.get(stored_path(part.file))
        skip = part.skip
        async with aclosing(read_fragment(part.file.fragment, stream, self._executor)) as pieces:
            async for piece in pieces:
                if skip < len(piece):
                    yield piece[skip:]
                skip = max(0, skip - len(piece))

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
        store = self._registry.get(self._url).store
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
        is_whole = part.skip == 0 and fragment.compression_codec in _READABLE
        name = stored_path(part.file)
        url = StoreURL.parse(self._url)
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
        store = self._registry.get(self._url).store
        stream = await store.get(stored_path(part.file))
        async with aclosing(stream.chunks) as chunks:
            async for chunk in chunks:
                yield chunk
