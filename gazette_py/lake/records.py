"""Cuts the bytes of a run of parts into blocks of whole records, which end with a newline. Pure.

Invariants:
    RC1  A record is in exactly one block, with all of its bytes, whichever borders of parts it
         crosses. The block is of the part where the record begins.
    RC2  Bytes after the last newline are in no block: their record is not complete.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from gazette_py.errors import RecordError

BLOCK_BYTES = 4 << 20
RECORD_BYTES_MAX = 64 << 20
_END = b"\n"


@dataclass(frozen=True, slots=True)
class Block:
    """Whole records, which begin in one part."""

    part: int  # Its index.
    begin: int  # Offset of the first byte.
    data: bytes


class Cutter:
    """Takes pieces in order, each within one part, and gives blocks.

    Args:
        journal: Its name, for errors.
        offset: Of the first piece.
        skip_first: The first bytes belong to a record which began before, and is not wanted.
        block_bytes: About as much is in a block.
    """

    def __init__(
        self, journal: str, offset: int, *, skip_first: bool, block_bytes: int = BLOCK_BYTES
    ) -> None:
        self._journal = journal
        self._offset = offset  # Of the next byte.
        self._skips = skip_first
        self._block_bytes = block_bytes
        self._ready: list[bytes] = []  # Whole records of `_part`.
        self._ready_begin = offset
        self._ready_bytes = 0
        self._rest: list[bytes] = []  # Of a record which is not complete.
        self._rest_bytes = 0
        self._rest_part = self._part = 0

    @property
    def unfinished(self) -> int:
        """Number of bytes of a record which is not complete."""
        return self._rest_bytes

    def feed(self, part: int, piece: bytes) -> Iterator[Block]:
        """Take a piece, and yield blocks which are ready.

        Raises:
            RecordError: A record is too long.
        """
        if part != self._part:
            yield from self.flush()
            self._part = part
        begin = 0
        if self._skips:
            begin = piece.find(_END) + 1
            if not begin:
                self._offset += len(piece)
                self._ready_begin = self._offset
                return
            self._skips = False
            self._ready_begin = self._offset + begin
        elif self._rest:
            begin = piece.find(_END) + 1
            if begin:
                yield from self._complete(piece[:begin])
        end = piece.rfind(_END) + 1
        if end > begin:
            self._ready.append(piece[begin:end])
            self._ready_bytes += end - begin
        self._offset += len(piece)
        if rest := piece[max(begin, end) :]:
            self._keep(rest)
        if self._ready_bytes >= self._block_bytes:
            yield from self.flush()

    def jump(self, offset: int) -> None:
        """Go on elsewhere, after a gap: what is not complete never will be. Flush before."""
        assert not self._ready, "it was flushed"
        self._rest, self._rest_bytes = [], 0
        self._offset = self._ready_begin = offset
        self._skips = False

    def flush(self) -> Iterator[Block]:
        """Yield the records which are complete."""
        if self._ready:
            yield Block(self._part, self._ready_begin, b"".join(self._ready))
        self._ready_begin += self._ready_bytes
        self._ready, self._ready_bytes = [], 0

    def _complete(self, end: bytes) -> Iterator[Block]:
        """Complete the record which is not; one of an earlier part is a block of its own (RC1)."""
        record = b"".join([*self._rest, end])
        self._rest, self._rest_bytes = [], 0
        if self._rest_part == self._part:
            self._ready.append(record)
            self._ready_bytes += len(record)
        else:
            assert not self._ready, "records before it were flushed"
            yield Block(self._rest_part, self._ready_begin, record)
            self._ready_begin += len(record)

    def _keep(self, rest: bytes) -> None:
        if not self._rest:
            self._rest_part = self._part
        self._rest.append(rest)
        self._rest_bytes += len(rest)
        if self._rest_bytes > RECORD_BYTES_MAX:
            raise RecordError(
                self._journal,
                self._offset - self._rest_bytes,
                f"a record is longer than {RECORD_BYTES_MAX} bytes",
            )
