"""Files of spools: content which is not in a store yet, and copies of what is.

Files stay linked while they are used, so that the disk which they take is seen by whoever measures
it, and can be salvaged after a crash. They go away with the last reference to them.

Invariants:
    SF1  One process owns a directory. What an earlier one left there is removed when it is opened.
    SF2  The directory holds at most `bytes_max`. Beyond, writes fail with ENOSPC before the disk is
         full, and the appends they belong to are rolled back.
    SF3  What is on its way to a store is always written: it is what makes room again. Copies of
         what is stored, and bodies of requests which are still coming in, take at most half of the
         room: neither readers of history nor slow clients stop appends.
"""

import errno
import fcntl
import io
import os
import shutil
import threading
from enum import Enum, auto
from pathlib import Path
from typing import BinaryIO, Final, Self

from gazette_py.errors import ConfigError

_LOCK_NAME: Final = ".lock"
_SUFFIX: Final = ".spool"
_FREE_SHARE: Final = 0.9
"""Share of the free disk which is ours, where no limit is set."""


class SpoolUse(Enum):
    """What a file is for, and thereby what it may take of the directory (SF3)."""

    CONTENT = auto()  # Of appends, which no store has.
    UPLOAD = auto()  # The same once more, as a store shall have it.
    COPY = auto()  # Of what a store has.
    BODY = auto()  # Of a request, from which an append may come.


class SpoolFile:
    """A file which is written by one owner, and read by any number at once."""

    def __init__(self, directory: "SpoolDirectory", path: str, use: SpoolUse) -> None:
        self._directory = directory
        self._path = path
        self._use = use
        self._size = 0  # Bytes counted against the directory.
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def write(self, position: int, content: bytes | memoryview) -> None:
        """Write all of `content` at a position.

        Raises:
            OSError: It does not fit, or the disk fails. Some of it may be written.
        """
        end = position + len(content)
        if end > self._size:
            self._directory.take(end - self._size, self._use)
            self._size = end
        view = memoryview(content)
        while view:
            written = os.pwrite(self._fd, view, position)
            position += written
            view = view[written:]

    def read(self, position: int, length: int) -> bytes:
        """Return up to `length` bytes from a position; fewer only at the end."""
        return os.pread(self._fd, length, position)

    def open_window(self, length: int) -> BinaryIO:
        """Return the first `length` bytes as a file of its own, which may be read in any thread."""
        return io.BufferedReader(_Window(self, length), 1 << 20)

    def __del__(self) -> None:
        fd = getattr(self, "_fd", -1)
        if fd < 0:
            return  # It could not be opened.
        os.close(fd)
        self._directory.give(self._size, self._use)
        # Another process may have swept it, if this one lost the directory's lock.
        Path(self._path).unlink(missing_ok=True)


class _Window(io.RawIOBase):
    """The beginning of a spool file. It keeps the file."""

    def __init__(self, file: SpoolFile, length: int) -> None:
        super().__init__()
        self._file = file
        self._length = length
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._length}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # As it is called.
        wanted = min(len(buffer), max(0, self._length - self._position))
        content = self._file.read(self._position, wanted)
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)


class SpoolDirectory:
    """A directory of spool files, and its budget.

    Args:
        path: It is made if it does not exist.
        bytes_max: Of all files together; 0: nine tenths of what is free now.

    Raises:
        ConfigError: The directory cannot be used, or another process uses it.
    """

    def __init__(self, path: str, bytes_max: int = 0) -> None:
        self.path = path
        self._used = dict.fromkeys(SpoolUse, 0)  # Bytes.
        self._serial = 0
        # Files are written and let go of in several threads; the latter may even happen within
        # `take`, when the garbage collector runs there.
        self._lock_used = threading.RLock()
        try:
            os.makedirs(path, mode=0o750, exist_ok=True)
            self._lock = os.open(os.path.join(path, _LOCK_NAME), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as exc:
            raise ConfigError("--broker.spool-dir", f"cannot use {path}: {exc}") from exc
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            os.close(self._lock)
            raise ConfigError(
                "--broker.spool-dir", f"{path} is in use by another process: give each its own"
            ) from exc
        self._sweep()
        self.bytes_max = bytes_max or int(shutil.disk_usage(path).free * _FREE_SHARE)

    @property
    def bytes_used(self) -> int:
        """Bytes of all files together."""
        return sum(self._used.values())

    def disk_free(self) -> int:
        """Return the bytes which the disk under it has left for us."""
        return shutil.disk_usage(self.path).free

    def open(self, journal: str, begin: int, use: SpoolUse = SpoolUse.CONTENT) -> SpoolFile:
        """Make an empty file for a fragment.

        Raises:
            OSError: It cannot be made.
        """
        self._serial += 1
        name = f"{journal.replace('/', '%2F')[-120:]}@{begin:016x}.{self._serial}{_SUFFIX}"
        return SpoolFile(self, os.path.join(self.path, name), use)

    def take(self, length: int, use: SpoolUse) -> None:
        """Count bytes about to be written.

        Raises:
            OSError: They do not fit into the budget.
        """
        with self._lock_used:
            if self._has_room(length, use):
                self._used[use] += length
                return
        raise OSError(
            errno.ENOSPC,
            f"spool directory {self.path} holds {self.bytes_used} of {self.bytes_max} bytes:"
            " the fragment stores do not take content fast enough",
        )

    def _has_room(self, length: int, use: SpoolUse) -> bool:
        if use is SpoolUse.UPLOAD:
            return True
        used = self._used
        passing = used[SpoolUse.COPY] + used[SpoolUse.BODY]
        if use is not SpoolUse.CONTENT and passing + length > self.bytes_max // 2:
            return False
        # Uploads end by themselves. To refuse appends for them would halve the budget.
        held = used[SpoolUse.CONTENT] + passing
        return held + length <= self.bytes_max

    def give(self, length: int, use: SpoolUse) -> None:
        """Count bytes which were removed."""
        with self._lock_used:
            self._used[use] -= length

    def close(self) -> None:
        """Give the directory up. Files go away as they are let go of."""
        os.close(self._lock)

    def _sweep(self) -> None:
        for entry in os.scandir(self.path):
            if entry.name.endswith(_SUFFIX):
                os.unlink(entry.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()
