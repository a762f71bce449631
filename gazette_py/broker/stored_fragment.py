"""Verified local copies of fragments which lie in a store.

A read of history through a broker is served from a copy whose length and SHA-1 have been checked,
so no byte of a damaged fragment is ever sent. Clients which read directly from the store do the
same for themselves, and do not need us.

Invariants:
    SF1  A copy is handed out only if it has the length and the SHA-1 which its name says.
    SF2  Each fragment is fetched once at a time, whoever asks for it.
    SF3  Copies no longer in use are kept up to `bytes_max`, the least recently used going first.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

from gazette_py.broker.spool_file import SpoolDirectory, SpoolFile
from gazette_py.codecs import CodecError, decompressor
from gazette_py.core.fragment_index import IndexEntry
from gazette_py.errors import CorruptFragmentError, RpcUnavailableError
from gazette_py.protocol.fragment import Fragment, content_path
from gazette_py.stores.base import Store
from gazette_py.stores.threads import Threads

Key = tuple[str, int, int, bytes]


def stored_path(entry: IndexEntry) -> str:
    """Return the path of the object, as it was listed if that is not the canonical one."""
    if entry.listed_name:
        return f"{entry.fragment.journal}/{entry.listed_name}"
    return content_path(entry.fragment)


class StoredFragments:
    """Fetches fragments, and keeps copies of those read last."""

    def __init__(self, spools: SpoolDirectory, threads: Threads, bytes_max: int = 1 << 30) -> None:
        self._spools = spools
        self._threads = threads
        self._bytes_max = bytes_max
        self._bytes = 0
        self._copies: OrderedDict[Key, tuple[SpoolFile, int]] = OrderedDict()
        self._fetching: dict[Key, asyncio.Task[SpoolFile]] = {}

    async def open(self, entry: IndexEntry, store: Store) -> SpoolFile:
        """Return a copy of the fragment's content, decompressed and verified.

        Raises:
            CorruptFragmentError: The object is not what its name says.
            StoreError: The store does not give it.
        """
        fragment = entry.fragment
        key = (fragment.journal, fragment.begin, fragment.end, fragment.sum)
        if key in self._copies:
            self._copies.move_to_end(key)
            return self._copies[key][0]
        task = self._fetching.get(key)
        if task is None:
            # Not in a task group: several readers wait for it, and any may leave before the rest.
            task = asyncio.create_task(self._fetch(entry, store), name=f"fetch {key[0]}")
            self._fetching[key] = task
            task.add_done_callback(lambda done: self._on_fetched(key, done))
        return await asyncio.shield(task)

    def _on_fetched(self, key: Key, task: "asyncio.Task[SpoolFile]") -> None:
        del self._fetching[key]
        if task.cancelled() or task.exception() is not None:
            return
        length = key[2] - key[1]
        self._copies[key] = (task.result(), length)
        self._bytes += length
        while self._bytes > self._bytes_max and len(self._copies) > 1:
            _, (_, dropped) = self._copies.popitem(last=False)
            self._bytes -= dropped

    async def _fetch(self, entry: IndexEntry, store: Store) -> SpoolFile:
        try:
            return await self._copy(entry.fragment, stored_path(entry), store)
        except OSError as exc:
            raise RpcUnavailableError("spool", "UNAVAILABLE", f"no room for a copy: {exc}") from exc

    async def _copy(self, fragment: Fragment, path: str, store: Store) -> SpoolFile:
        copy = self._spools.open(fragment.journal, fragment.begin)
        summer, length = hashlib.sha1(usedforsecurity=False), 0
        async with aclosing(_decoded(fragment, path, store, self._threads)) as pieces:
            async for piece in pieces:
                if length + len(piece) > fragment.length:
                    raise _corrupt(fragment, path, f"more than {fragment.length} bytes")
                await self._threads.run(partial(_take, copy, length, piece, summer))
                length += len(piece)
        if length != fragment.length:
            raise _corrupt(fragment, path, f"{length} of {fragment.length} bytes")
        if summer.digest() != fragment.sum:
            raise _corrupt(fragment, path, f"SHA-1 {summer.hexdigest()}")
        return copy


def _take(copy: SpoolFile, position: int, piece: bytes, summer: "hashlib._Hash") -> None:
    copy.write(position, piece)
    summer.update(piece)


async def _decoded(
    fragment: Fragment, path: str, store: Store, threads: Threads
) -> AsyncGenerator[bytes, None]:
    stored = await store.get(path)
    decoder = decompressor(
        fragment.compression_codec, is_still_gzip=stored.content_encoding == "gzip"
    )
    try:
        async for chunk in stored.chunks:
            if piece := await threads.run(partial(decoder.decompress, chunk)):
                yield piece
        decoder.finish()
    except CodecError as exc:
        raise _corrupt(fragment, path, str(exc)) from exc


def _corrupt(fragment: Fragment, path: str, actual: str) -> CorruptFragmentError:
    return CorruptFragmentError(fragment.journal, path, f"SHA-1 {fragment.sum.hex()}", actual)
