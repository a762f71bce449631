"""Cuts a stream of bytes into records: lines, or frames with a fixed header. Pure.

A record keeps its framing: the newline, or the header of four bytes of magic and the little-endian
length of what follows.

Source: gazette/core message/json_framing.go and fixed_framing.go.
"""

from collections.abc import Iterator
from typing import Final, Protocol

from gazette_py.errors import GazetteError
from gazette_py.protocol.labels import LabelSet

MAGIC: Final = b"\x66\x33\x93\x36"
_HEADER_BYTES: Final = 8
_FRAME_BYTES_MAX: Final = 64 << 20
_LINE_BYTES_MAX: Final = 64 << 20

FIXED_CONTENT_TYPES: Final = frozenset(
    {"application/x-protobuf-fixed", "application/x-gazette-recoverylog"}
)


class FramingError(GazetteError):
    """The bytes are not framed as they should be."""


class Splitter(Protocol):
    """Collects bytes, and gives back the records which are complete."""

    @property
    def pending(self) -> bytes:
        """Bytes of a record which is not complete."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take bytes and yield each record which they complete, as soon as it is asked for.

        Raises:
            FramingError: The bytes are not framed so.
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
        for line in ended:
            self._parts.append(line + b"\n")
            record = b"".join(self._parts)
            self.reset()
            yield record
        if rest:
            self._parts.append(rest)
            self._length += len(rest)
            if self._length > _LINE_BYTES_MAX:
                raise FramingError(f"a line is longer than {_LINE_BYTES_MAX} bytes")

    def value_of(self, record: bytes) -> bytes:
        """Return the line without its end."""
        return record.rstrip(b"\r\n")

    def reset(self) -> None:
        """Drop an incomplete line."""
        self._parts, self._length = [], 0


class FixedSplitter:
    """Records begin with a header which tells their length."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def pending(self) -> bytes:
        """Bytes of an incomplete frame."""
        return bytes(self._buffer)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take bytes and yield each frame which they complete."""
        self._buffer += data
        position = 0
        try:
            while (end := self._frame_end(position)) is not None:
                record = bytes(self._buffer[position:end])
                position = end
                yield record
        finally:
            del self._buffer[:position]

    def _frame_end(self, begin: int) -> int | None:
        header = self._buffer[begin : begin + _HEADER_BYTES]
        if not MAGIC.startswith(bytes(header[: len(MAGIC)])):
            raise FramingError(
                f"expected the header of a frame ({MAGIC.hex()}), found {header.hex()}"
            )
        if len(header) < _HEADER_BYTES:
            return None
        length = int.from_bytes(header[4:], "little")
        if length > _FRAME_BYTES_MAX:
            raise FramingError(f"a frame of {length} bytes is too long")
        end = begin + _HEADER_BYTES + length
        return end if end <= len(self._buffer) else None

    def value_of(self, record: bytes) -> bytes:
        """Return what follows the header."""
        return record[_HEADER_BYTES:]

    def reset(self) -> None:
        """Drop an incomplete frame."""
        self._buffer.clear()


def splitter_of(framing: str) -> Splitter:
    """Return a splitter for the framing, `lines` or `fixed`."""
    return FixedSplitter() if framing == "fixed" else LineSplitter()


def framing_of(labels: LabelSet) -> str:
    """Return the framing which the content type of a journal tells."""
    return "fixed" if labels.value_of("content-type") in FIXED_CONTENT_TYPES else "lines"
