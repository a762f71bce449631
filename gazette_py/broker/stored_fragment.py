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
from collections import OrderedDict
from concurrent.futures import Executor
from contextlib import aclosing

from gazette_py.broker.spool_file import SpoolDirectory, SpoolFile, SpoolUse
from gazette_py.client.direct import read_fragment
from gazette_py.core.fragment_index import IndexEntry
from gazette_py.errors import RpcUnavailableError
from gazette_py.stores.base import Store
from gazette_py.stores.fragments import stored_path

Key = tuple[str, int, int, bytes]


class StoredFragments:
    """Fetches fragments, and keeps copies of those read last."""

    def __init__(
        self, spools: SpoolDirectory, executor: Executor, bytes_max: int = 1 << 30
    ) -> None:
        self._spools = spools
        self._executor = executor
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
        fragment = entry.fragment
        stream = await store.get(stored_path(entry))
        loop = asyncio.get_running_loop()
        try:
            copy = self._spools.open(fragment.journal, fragment.begin, SpoolUse.COPY)
            length = 0
            async with aclosing(read_fragment(fragment, stream, self._executor)) as pieces:
                async for piece in pieces:
                    await loop.run_in_executor(self._executor, copy.write, length, piece)
                    length += len(piece)
        except OSError as exc:
            raise RpcUnavailableError("spool", "UNAVAILABLE", f"no room for a copy: {exc}") from exc
        return copy
