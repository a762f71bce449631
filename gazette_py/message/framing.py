"""Cuts a stream of bytes into records: lines, or frames with a fixed header. Pure.

A record keeps its framing: the newline, or the header of four bytes of magic and the little-endian
length of what follows. Rows of CSV are cut by `csv_rows`.

Invariants:
    F1  What is fed is in exactly one record, in what an error skipped, or not complete yet.
    F2  No byte is looked for beyond the end of a record before that record is given.

Source: gazette/core message/json_framing.go and fixed_framing.go.
"""

from collections.abc import Iterator
from typing import Final, Protocol

from gazette_py.errors import GazetteError

MAGIC: Final = b"\x66\x33\x93\x36"
RECORD_BYTES_MAX: Final = 64 << 20
_HEADER_BYTES: Final = 8


class FramingError(GazetteError):
    """The bytes are not framed as they should be. The splitter cannot go on."""


class DesyncError(FramingError):
    """A frame does not begin where it should. Feed on, if only nothing, to go on behind it.

    Attributes:
        skipped: The bytes which are no frame; the next one may begin right after them.
    """

    def __init__(self, skipped: bytes) -> None:
        super().__init__(
            f"expected the header of a frame ({MAGIC.hex()}), found {skipped[:8].hex()};"
            f" no frame begins in {len(skipped)} bytes"
        )
        self.skipped = skipped


class Splitter(Protocol):
    """Collects bytes, and gives back the records which are complete."""

    @property
    def pending(self) -> bytes:
        """Bytes which would be lost if nothing followed: of a record which is not complete."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take bytes and yield each record which they complete, as soon as it is asked for.

        Raises:
            FramingError: The bytes are not framed so.
            DesyncError: They are not here, but may be later.
        """
        ...

    def value_of(self, record: bytes) -> bytes:
        """Return the record without its framing."""
        ...

    def reset(self) -> None:
        """Drop what is pending: what follows does not continue it."""
        ...


class LineSplitter:
    """Records end with a newline."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._length = 0

    @property
    def pending(self) -> bytes:
        """Bytes of a line without its end."""
        return b"".join(self._parts)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take bytes and yield each line which they end."""
        *ended, rest = data.split(b"\n")
        if ended and self._parts:
            ended[0] = b"".join((*self._parts, ended[0]))
            self.reset()
        for line in ended:
            yield line + b"\n"
        if rest:
            self._parts.append(rest)
            self._length += len(rest)
            if self._length > RECORD_BYTES_MAX:
                raise FramingError(f"a line is longer than {RECORD_BYTES_MAX} bytes")

    def value_of(self, record: bytes) -> bytes:
        """Return the line without its end."""
        return record.rstrip(b"\r\n")

    def reset(self) -> None:
        """Drop an incomplete line."""
        self._parts, self._length = [], 0


class FixedSplitter:
    """Records begin with a header which tells their length.

    A newline behind the last frame is no part of a frame, but it is not missed either.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def pending(self) -> bytes:
        """Bytes of an incomplete frame."""
        return b"" if self._buffer == b"\n" else bytes(self._buffer)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take bytes and yield each frame which they complete."""
        self._buffer += data
        position = 0
        try:
            while (end := self._frame_end(position)) is not None:
                record = bytes(self._buffer[position:end])
                position = end
                yield record
        except DesyncError as exc:
            position += len(exc.skipped)
            raise
        finally:
            del self._buffer[:position]

    def _frame_end(self, begin: int) -> int | None:
        header = bytes(self._buffer[begin : begin + _HEADER_BYTES])
        if len(header) < len(MAGIC):
            return None
        if not header.startswith(MAGIC):
            raise DesyncError(self._up_to_magic(begin))
        if len(header) < _HEADER_BYTES:
            return None
        length = int.from_bytes(header[4:], "little")
        if length > RECORD_BYTES_MAX:
            raise FramingError(f"a frame of {length} bytes is too long")
        end = begin + _HEADER_BYTES + length
        return end if end <= len(self._buffer) else None

    def _up_to_magic(self, begin: int) -> bytes:
        """Return what is before the next magic, or before what may be its first bytes."""
        end = self._buffer.find(MAGIC, begin + 1)
        return bytes(self._buffer[begin : end if end > 0 else 1 - len(MAGIC)])

    def value_of(self, record: bytes) -> bytes:
        """Return what follows the header."""
        return record[_HEADER_BYTES:]

    def reset(self) -> None:
        """Drop an incomplete frame."""
        self._buffer.clear()
