"""Journals as files of fsspec: `journal://acme/orders` is one, and `journal://acme/` a directory.

    fsspec.open("journal://acme/orders", address="http://localhost:8080")
    fsspec.open("journal://localhost:8080/acme/orders")

What stands before the first slash is the address of a broker if it has a colon, which names of
journals have not. Else the storage option `address` tells, or BROKER_ADDRESS in the environment.

A journal which continues the name of another is below a directory of that name: `acme/orders` is a
file, and `acme/orders/eu` lies in the directory `acme/orders`. A file is as long as the journal was
when it was asked for; offsets of the journal are offsets of the file. What brokers have and what is
stored is one; content which is gone is an error where it is read.
"""

import asyncio
import os
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from fsspec.asyn import AsyncFileSystem, sync, sync_wrapper
from fsspec.spec import AbstractBufferedFile

from gazette_py.client.client import Client, connect
from gazette_py.client.listing import ListedJournal
from gazette_py.errors import ConfigError, JournalNotFoundError, OffsetJumpError
from gazette_py.protocol.labels import Label, LabelSelector, LabelSet

_PROTOCOL = "journal"
_HOST = re.compile(r"(?P<host>[^/]*:[0-9]+)(?:/|$)")
_HEADS_MAX = 16
"""Write heads which are asked for at once."""


class GoneContentError(OffsetJumpError, FileNotFoundError):
    """Content was deleted, or lost. `to` is where the journal goes on."""


class JournalFileSystem(AsyncFileSystem):  # type: ignore[misc]  # fsspec has no types.
    """Journals of a cluster, to be read.

    Args:
        address: Of brokers, as `connect` takes it.
        file_root: Directory of file:// stores.
        timeout_s: Of calls.
        connect_options: More of `connect`.
    """

    protocol = _PROTOCOL
    root_marker = ""
    cachable = True
    async_impl = True

    def __init__(
        self,
        address: str = "",
        *,
        file_root: str = "",
        timeout_s: float = 30.0,
        connect_options: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._address = address or os.environ.get("BROKER_ADDRESS", "")
        if not self._address:
            raise ConfigError(
                "address", "give the address of brokers, such as http://localhost:8080"
            )
        self._timeout_s = timeout_s
        self._connect_options = (connect_options or {}) | {"file_root": file_root}
        self._client: Client | None = None

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(each) for each in path]
        stripped = str(path).removeprefix(f"{_PROTOCOL}://")
        if (host := _HOST.match(stripped)) is not None:
            stripped = stripped[host.end() :]
        return stripped.strip("/")

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, str]:
        host = _HOST.match(path.removeprefix(f"{_PROTOCOL}://"))
        return {"address": f"http://{host['host']}"} if host is not None else {}

    async def connected(self) -> Client:
        """Return the client, which lives on the loop of the file system."""
        if self._client is None:
            self._client = connect(
                self._address, timeout_s=self._timeout_s, **self._connect_options
            )
        return self._client

    async def _close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    close = sync_wrapper(_close)
    """Close the client. The file system may be used again."""

    # What there is.

    async def _ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        path = self._strip_protocol(path)
        listed = await self._list(path)
        below = f"{path}/" if path else ""
        directories: set[str] = set()
        direct: list[ListedJournal] = []
        for journal in listed:
            if journal.spec.name != path:
                child, is_deeper, _rest = journal.spec.name.removeprefix(below).partition("/")
                if is_deeper:
                    directories.add(below + child)
                else:
                    direct.append(journal)
        if not direct and not directories:
            if not listed and path:
                raise FileNotFoundError(f"no journal is {path!r}, or below it")
            direct = listed
        if not detail:
            return sorted(directories | {journal.spec.name for journal in direct})
        return [*map(_directory, sorted(directories)), *await self._infos(direct)]

    async def _info(self, path: str, **_: Any) -> dict[str, Any]:
        path = self._strip_protocol(path)
        listed = await self._list(path)
        for journal in listed:
            if journal.spec.name == path:
                return (await self._infos([journal]))[0]
        if listed or not path:
            return _directory(path)
        raise FileNotFoundError(f"no journal is {path!r}, or below it")

    async def _list(self, path: str) -> list[ListedJournal]:
        """Return the journal of a name, and those below it."""
        wanted = [Label("name", path), Label("name", f"{path}/", True)] if path else []
        client = await self.connected()
        return list((await client.list(LabelSelector(LabelSet(tuple(wanted))))).journals)

    async def _infos(self, journals: list[ListedJournal]) -> list[dict[str, Any]]:
        client = await self.connected()
        turn = asyncio.Semaphore(_HEADS_MAX)

        async def info(journal: ListedJournal) -> dict[str, Any]:
            async with turn:
                head = await client.write_head(journal.spec.name)
            return {
                "name": journal.spec.name,
                "type": "file",
                "size": head,
                "mod_revision": journal.mod_revision,
                "content_type": journal.spec.labels.value_of("content-type"),
            }

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(info(journal)) for journal in journals]
        return [task.result() for task in tasks]

    def ukey(self, path: str) -> str:
        """Return what changes whenever the journal does, for caches."""
        info = self.info(path)
        return f"{info['name']}-{info.get('mod_revision')}-{info['size']}"

    # Content.

    async def _cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **_: Any
    ) -> bytes:
        pieces = self._pieces(self._strip_protocol(path), start, end)
        async with aclosing(pieces):
            return b"".join([piece async for piece in pieces])

    async def _get_file(self, rpath: str, lpath: Any, **_: Any) -> None:
        path = self._strip_protocol(rpath)
        if (await self._info(path))["type"] == "directory":
            os.makedirs(lpath, exist_ok=True)
            return
        pieces = self._pieces(path, None, None)
        file = await asyncio.to_thread(open, lpath, "wb")
        with file:
            async with aclosing(pieces):
                async for piece in pieces:
                    await asyncio.to_thread(file.write, piece)

    async def _pieces(
        self, journal: str, start: int | None, end: int | None
    ) -> AsyncGenerator[bytes, None]:
        """Yield `[start, end)`, of which negative ones count from the write head."""
        client = await self.connected()
        if end is None or end < 0 or (start or 0) < 0:
            try:
                head = await client.write_head(journal)
            except JournalNotFoundError as exc:
                raise FileNotFoundError(f"no journal is {journal!r}") from exc
            start = max(0, head + start) if start is not None and start < 0 else start
            end = head if end is None else max(0, head + end) if end < 0 else min(end, head)
        begin = start or 0
        if begin >= end:
            return
        async with client.reader(
            journal, offset=begin, end_offset=end, block=True, timeout_s=self._timeout_s
        ) as reader:
            try:
                while (batch := await reader.next_batch()) is not None:
                    yield bytes(batch)
            except OffsetJumpError as exc:
                raise GoneContentError(exc.journal, exc.offset, exc.to) from exc
            except JournalNotFoundError as exc:
                raise FileNotFoundError(f"no journal is {journal!r}") from exc

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: Any = None,
        autocommit: bool = True,
        cache_options: Any = None,
        **options: Any,
    ) -> "JournalFile":
        if mode != "rb":
            raise NotImplementedError(
                f"mode {mode!r}: journals are read here, and appended to by the client"
            )
        return JournalFile(
            self,
            path,
            mode,
            block_size or "default",
            autocommit,
            cache_options=cache_options,
            **options,
        )


class JournalFile(AbstractBufferedFile):  # type: ignore[misc]  # As above.
    """A journal, as long as it was when it was opened."""

    def _fetch_range(self, start: int, end: int) -> bytes:
        fetched: bytes = sync(self.fs.loop, self.fs._cat_file, self.path, start, end)  # noqa: SLF001  # fsspec's own name.
        return fetched


def _directory(name: str) -> dict[str, Any]:
    return {"name": name, "type": "directory", "size": 0}
