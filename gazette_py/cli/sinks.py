"""Where printed content goes: standard output, a file, or one file after another.

Invariants:
    S1  Files are cut at bounds only, which whoever writes announces: between records, or fragments.
    S2  A file which is there already is never written to, but for a sole one, which is made anew.
    S3  A file which is left for the next one is whole, and on disk.
"""

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from gazette_py.cli.errors import usage
from gazette_py.cli.quantities import parse_duration_ns, parse_size
from gazette_py.clock import SYSTEM, Clock

_NS = 1_000_000_000
_DIGITS = 6


class Sink(Protocol):
    """Takes content."""

    def write(self, data: bytes) -> None:
        """Write, without regard to when it arrives."""

    def bound(self) -> None:
        """Take note that output may be cut here."""

    def flush(self) -> None:
        """Have what was written arrive."""

    def sync(self) -> None:
        """Have what was written stay, if it is a file's."""

    def close(self) -> None:
        """Close a file."""


class FileSink:
    """One file, or standard output ("")."""

    def __init__(self, path: str = "") -> None:
        # Closed by `close`.
        self._file: IO[bytes] = Path(path).open("wb") if path else sys.stdout.buffer  # noqa: SIM115
        self._is_ours = bool(path)

    def write(self, data: bytes) -> None:
        """Write, without regard to when it arrives."""
        self._file.write(data)

    def bound(self) -> None:
        """Go on: there is no other file."""

    def flush(self) -> None:
        """Have what was written arrive."""
        self._file.flush()

    def sync(self) -> None:
        """Have what was written stay, if it is a file's."""
        self._file.flush()
        if self._is_ours:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close a file."""
        if self._is_ours:
            self._file.close()


@dataclass(frozen=True, slots=True)
class Rotation:
    """When to begin another file: once one has so many bytes, or is so old. 0: not by this."""

    bytes_max: int = 0
    age_s_max: float = 0.0


def parse_rotation(text: str) -> Rotation:
    """Return the rotation which a size or a duration tells; `10m` are minutes.

    Raises:
        ValueError: It is neither, or nothing.
    """
    try:
        rotation = Rotation(age_s_max=parse_duration_ns(text) / _NS)
    except ValueError:
        try:
            rotation = Rotation(bytes_max=parse_size(text))
        except ValueError:
            raise ValueError(f"{text!r} is no size such as 64MiB, nor duration as 1h") from None
    if rotation.bytes_max <= 0 and rotation.age_s_max <= 0:
        raise ValueError(f"{text!r} is nothing")
    return rotation


class RotatingSink:
    """Numbered files, each begun with its first content: of `out.csv`, `out-000001.csv` and on."""

    def __init__(self, path: Path, rotation: Rotation, clock: Clock) -> None:
        """Build it.

        Args:
            path: What files are named by.
            rotation: When to begin another.
            clock: Tells how old a file is.
        """
        self._path = path
        self._rotation = rotation
        self._clock = clock
        self._number = _last_number(path)
        self._file: IO[bytes] | None = None
        self._length = 0
        self._begun_at = 0.0

    def write(self, data: bytes) -> None:
        """Write, without regard to when it arrives."""
        if self._file is None:
            self._number += 1
            name = f"{self._path.stem}-{self._number:0{_DIGITS}}{self._path.suffix}"
            self._file = self._path.with_name(name).open("xb")
            self._length, self._begun_at = 0, self._clock.monotonic()
        self._file.write(data)
        self._length += len(data)

    def bound(self) -> None:
        """Be done with the file if it is long or old enough."""
        if self._file is None:
            return
        rotation = self._rotation
        age_s = self._clock.monotonic() - self._begun_at
        if (rotation.bytes_max and self._length >= rotation.bytes_max) or (
            rotation.age_s_max and age_s >= rotation.age_s_max
        ):
            self.close()

    def flush(self) -> None:
        """Have what was written arrive."""
        if self._file is not None:
            self._file.flush()

    def sync(self) -> None:
        """Have what was written stay."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file, which is on disk then."""
        self.sync()
        if self._file is not None:
            self._file.close()
            self._file = None


def _last_number(path: Path) -> int:
    """Return the greatest number of files which are there; 0 if there are none."""
    numbered = re.compile(rf"{re.escape(path.stem)}-(\d{{{_DIGITS},}}){re.escape(path.suffix)}")
    found = (numbered.fullmatch(each.name) for each in path.parent.iterdir())
    return max((int(match[1]) for match in found if match), default=0)


def open_sink(path: str, rotation: Rotation | None = None) -> Sink:
    """Return where to write: a file, files which follow one another, or standard output ("").

    Raises:
        CommandError: The file cannot be written.
    """
    try:
        if rotation is not None:
            return RotatingSink(Path(path), rotation, SYSTEM)
        return FileSink(path)
    except (OSError, ValueError) as exc:
        reason = (isinstance(exc, OSError) and exc.strerror) or exc
        raise usage(f"file {path}", f"it cannot be written: {reason}") from exc
