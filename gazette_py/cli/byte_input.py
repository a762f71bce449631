"""Bytes of a file, a pipe or a terminal, awaited without threads.

A thread which waits for standard input cannot be told to stop, so Ctrl-C would hang until input
comes. The loop waits for readiness instead.
"""

import asyncio
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from gazette_py.cli.errors import usage

_READ_BYTES = 1 << 16


class ByteInput:
    """Input which gives what is there, as soon as something is."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        try:
            self._fd: int | None = file.fileno()
        except OSError:
            self._fd = None  # No file of the system's: it is in memory.
        self._is_pollable = self._fd is not None

    @property
    def size(self) -> int | None:
        """Bytes which are left of a file on disk, as long as it does not grow; else None."""
        if self._fd is None:
            return None
        status = os.fstat(self._fd)
        if not stat.S_ISREG(status.st_mode):
            return None
        return max(0, status.st_size - os.lseek(self._fd, 0, os.SEEK_CUR))

    async def read(self) -> bytes:
        """Return the next bytes, or none at the end."""
        if self._fd is None:
            return self._file.read(_READ_BYTES)
        if self._is_pollable:
            await self._wait_readable(self._fd)
        return os.read(self._fd, _READ_BYTES)

    async def _wait_readable(self, fd: int) -> None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        try:
            loop.add_reader(fd, _set, ready)
        except PermissionError:
            self._is_pollable = False  # Files on disk are always ready, and cannot be polled.
            return
        try:
            await ready
        finally:
            loop.remove_reader(fd)


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():  # The loop tells it again until we have read.
        ready.set_result(None)


@contextmanager
def open_input(name: str) -> Iterator[ByteInput]:
    """Provide a file's bytes, or those of standard input ("-"), to be awaited."""
    with open_file(name) as file:
        yield ByteInput(file)


@contextmanager
def open_file(name: str) -> Iterator[IO[bytes]]:
    """Provide a file, or standard input ("-")."""
    if name == "-":
        yield sys.stdin.buffer
        return
    try:
        file = Path(name).open("rb")  # noqa: SIM115 - closed below; its errors are not the body's.
    except OSError as exc:
        raise usage(
            f"input {name}", f"it cannot be read: {exc.strerror}", "'-' is standard input."
        ) from exc
    with file:
        yield file
