"""Fragment store of a directory: `file:///dir/`, below the broker's file root.

Invariants:
    F1  An object appears under its name by a rename, after its bytes are on disk; then the
        directory is synced, as are directories which we created.
    F2  The store's own directory must exist before the first put. It may be the mount point of a
        disk which is missing just now, and must not be made up on the disk below.
    F3  No path leads out of the file root.

A directory cannot mark objects as encoded. What is put with the content encoding gzip is stored
decoded, so that every reader finds what a decoding object store would send.

Source: gazette/core broker/stores/fs/store.go, which neither syncs nor decodes.
"""

import contextlib
import gzip
import os
import shutil
import stat
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import islice
from typing import BinaryIO, Final

from gazette_py.errors import (
    StoreDeniedError,
    StoreError,
    StoreMissingError,
    StoreUnavailableError,
)
from gazette_py.protocol.store_url import StoreURL
from gazette_py.stores.base import ObjectInfo, ObjectStream, Store
from gazette_py.stores.paths import join_below
from gazette_py.stores.threads import CHUNK_BYTES, FileChunks, Threads

_THREADS_MAX: Final = 8  # A local disk has little to gain from more.
_LIST_BATCH: Final = 1000  # Objects per hand-over from a thread, as many as a page of S3 has.
_DIRECTORY_MODE: Final = 0o750
_PARTIAL_PREFIX: Final = ".partial-"
# A directory where an object is asked for has no content either.
_MISSING_ERRORS: Final = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


class FileStore(Store):
    """Objects are files below the directory of the URL's path, within `file_root`."""

    def __init__(self, url: StoreURL, file_root: str, file_mode: int = 0o640) -> None:
        self.url = url.url
        self._parsed = url
        if not file_root:
            raise self._error(
                StoreDeniedError, "open", "store", "no file root is set: set --broker.file-root"
            )
        if unknown := sorted(set(url.args) - {"find", "replace"}):
            raise self._error(
                StoreDeniedError, "open", "store", f"unknown argument {', '.join(unknown)}"
            )
        self._root = os.path.abspath(file_root)
        self._file_mode = file_mode
        self._threads = Threads("store-file", _THREADS_MAX)

    async def exists(self, path: str) -> bool:
        """Tell whether there is such a file."""
        target = self._locate("exists", path)

        def call() -> bool:
            with self._translated("exists", path):
                try:
                    return stat.S_ISREG(os.stat(target).st_mode)
                except _MISSING_ERRORS:
                    return False

        return await self._threads.run(call)

    async def get(self, path: str) -> ObjectStream:
        """Open the file."""
        target = self._locate("get", path)

        def call() -> BinaryIO:
            with self._translated("get", path):
                return open(target, "rb", buffering=0)

        def translate(exc: Exception) -> StoreError:
            return self._error(StoreUnavailableError, "get", path, str(exc))

        file = await self._threads.run(call, discard=lambda late: late.close())
        return ObjectStream("", FileChunks(self._threads, file, translate, (OSError,)))

    async def put(
        self,
        path: str,
        open_content: Callable[[], BinaryIO],
        length: int,
        content_encoding: str = "",
    ) -> None:
        """Write the file beside its place, sync it, and rename it into place."""
        target = self._locate("put", path)

        def call() -> None:
            with self._translated("put", path), open_content() as content:
                self._check_base(path)
                self._make_directories(os.path.dirname(target))
                if content_encoding == "gzip":
                    with gzip.GzipFile(fileobj=content, mode="rb") as decoded:
                        self._write(target, decoded)
                else:
                    copied = self._write(target, content)
                    assert copied == length, f"content has {copied} bytes, announced were {length}"

        await self._threads.run(call)

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Walk the tree of directories. A missing one is empty."""
        async for info in self._list(prefix, is_partial=False):
            yield info

    async def list_unfinished(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Walk the tree for files which were not renamed into place."""
        async for info in self._list(prefix, is_partial=True):
            yield info

    async def _list(self, prefix: str, *, is_partial: bool) -> AsyncIterator[ObjectInfo]:
        walk = _walk(self._locate("list", prefix), "", is_partial=is_partial)

        def call() -> list[ObjectInfo]:
            with self._translated("list", prefix):
                return list(islice(walk, _LIST_BATCH))

        while batch := await self._threads.run(call):
            for info in batch:
                yield info

    async def remove(self, path: str) -> None:
        """Unlink the file. Its directory remains, where another broker may be writing."""
        target = self._locate("remove", path)

        def call() -> None:
            with (
                self._translated("remove", path),
                contextlib.suppress(*_MISSING_ERRORS),
            ):
                os.unlink(target)

        await self._threads.run(call)

    async def sign_get(self, path: str, ttl_s: float) -> str:
        """Return a URL without the file root, which the reader must know."""
        return "file://" + self._key(path)

    async def close(self) -> None:
        """End the threads."""
        self._threads.close()

    def _key(self, path: str) -> str:
        return self._parsed.path + self._parsed.rewrite(path)

    def _locate(self, operation: str, path: str) -> str:
        """Return the path in the file system, kept within the root (F3)."""
        located = join_below(self._root, self._key(path))
        if located is None:
            raise self._error(StoreDeniedError, operation, path, "the path leaves the file root")
        return located

    def _check_base(self, path: str) -> None:
        base = join_below(self._root, self._parsed.path)
        if base is None or not os.path.isdir(base):
            way_out = "create it, or correct the store URL or --broker.file-root"
            reason = f"directory {base} does not exist: {way_out}"
            raise self._error(StoreDeniedError, "put", path, reason)

    def _make_directories(self, directory: str) -> None:
        """Create missing directories, and sync each entry in its parent (F1)."""
        if os.path.isdir(directory):
            return
        parent = os.path.dirname(directory)
        self._make_directories(parent)
        with contextlib.suppress(FileExistsError):  # Another put was faster.
            os.mkdir(directory, _DIRECTORY_MODE)
        _sync_directory(parent)

    def _write(self, target: str, content: BinaryIO | gzip.GzipFile) -> int:
        """Return the number of bytes written."""
        directory, name = os.path.split(target)
        handle, partial = tempfile.mkstemp(prefix=f"{_PARTIAL_PREFIX}{name}-", dir=directory)
        try:
            with open(handle, "wb", buffering=0) as file:
                shutil.copyfileobj(content, file, CHUNK_BYTES)
                copied = file.tell()
                os.fchmod(handle, self._file_mode)
                os.fsync(handle)
            os.rename(partial, target)
        except BaseException:
            os.unlink(partial)
            raise
        _sync_directory(directory)
        return copied

    @contextlib.contextmanager
    def _translated(self, operation: str, path: str) -> Iterator[None]:
        try:
            yield
        except PermissionError as exc:
            raise self._error(StoreDeniedError, operation, path, str(exc)) from exc
        except OSError as exc:
            is_missing = operation == "get" and isinstance(exc, _MISSING_ERRORS)
            kind = StoreMissingError if is_missing else StoreUnavailableError
            raise self._error(kind, operation, path, str(exc)) from exc

    def _error(self, kind: type[StoreError], operation: str, path: str, detail: str) -> StoreError:
        return kind(self.url, operation, path, detail)


def _walk(directory: str, relative: str, *, is_partial: bool) -> Iterator[ObjectInfo]:
    """Yield files below a directory, finished or not. What vanishes meanwhile is left out."""
    try:
        entries = os.scandir(directory)
    except _MISSING_ERRORS:
        return
    with entries:  # One by one: a directory may have millions.
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path, f"{relative}{entry.name}/", is_partial=is_partial)
            elif entry.name.startswith(_PARTIAL_PREFIX) == is_partial:
                with contextlib.suppress(FileNotFoundError):
                    found = entry.stat()
                    yield ObjectInfo(
                        name=relative + entry.name, mod_time=int(found.st_mtime), size=found.st_size
                    )


def _sync_directory(directory: str) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
