"""What readers hand out: batches of content and of lines, each with its place in the journal.

Nothing here is awaited per message: a batch is what was ready, up to a bound.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Self

from gazette_py.errors import OffsetJumpError, ReadError
from gazette_py.protocol.fragment import Fragment


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Content from `begin` on, never empty, in pieces which follow each other without a gap."""

    begin: int  # Offset of the first byte.
    pieces: tuple[memoryview, ...]
    fragment: Fragment | None  # Which holds it, as far as the broker told.

    @property
    def length(self) -> int:
        """Bytes of all pieces."""
        return sum(map(len, self.pieces))

    @property
    def end(self) -> int:
        """Offset after the last byte."""
        return self.begin + self.length

    def __bytes__(self) -> bytes:
        return b"".join(self.pieces)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineBatch:
    """Lines, at least one, which follow each other from `begin` on."""

    begin: int  # Offset of the first line.
    end: int  # Offset after the last line and its newline: where reading goes on after a restart.
    lines: list[bytes]  # Without their newlines.
    is_cut: bool  # The last line has no newline: content ended, or jumped, within it.

    def offsets(self) -> list[int]:
        """Return the offset of each line."""
        found, at = [], self.begin
        for line in self.lines:
            found.append(at)
            at += len(line) + 1
        return found


class Batches:
    """Asynchronous iterator over content. After an error it can be iterated on."""

    def __init__(self, next_batch: Callable[[], Awaitable[Batch | None]]) -> None:
        self._next_batch = next_batch

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Batch:
        """Return the next content."""
        batch = await self._next_batch()
        if batch is None:
            raise StopAsyncIteration
        return batch


class Lines:
    """Asynchronous iterator over lines. After an error it can be iterated on.

    A line which is not complete is kept until it is. If the read ends within it, or its rest is
    gone, it is handed out as it is, in a batch which says so.

    Args:
        journal: Its name.
        next_batch: Gives content.
        line_bytes_max: A longer line is an error: it is likely no line at all.
    """

    def __init__(
        self, journal: str, next_batch: Callable[[], Awaitable[Batch | None]], line_bytes_max: int
    ) -> None:
        self._journal = journal
        self._next_batch = next_batch
        self._line_bytes_max = line_bytes_max
        self._rest: list[memoryview] = []  # Of a line which is not complete, from `_begin` on.
        self._rest_bytes = 0
        self._begin = 0
        self._jump: OffsetJumpError | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> LineBatch:
        """Return the lines which are complete next.

        Raises:
            ReadError: A line is longer than allowed.
        """
        while self._jump is None:
            try:
                batch = await self._next_batch()
            except OffsetJumpError as jump:
                if not self._rest:
                    raise
                self._jump = jump
                return self._take_cut()
            if batch is None:
                if self._rest:
                    return self._take_cut()
                raise StopAsyncIteration
            if lines := self._split(batch):
                return lines
        error, self._jump = self._jump, None
        raise error

    def _split(self, batch: Batch) -> LineBatch | None:
        """Take content, and return the lines which it completes."""
        if not self._rest:
            self._begin = batch.begin
        content = bytes(batch)
        newline = content.rfind(b"\n")
        if newline < 0:
            self._keep(content, batch.begin)
            return None
        whole = b"".join((*self._rest, memoryview(content)[:newline]))
        self._rest, self._rest_bytes = [], 0
        begin, self._begin = self._begin, batch.begin + newline + 1
        if newline + 1 < len(content):
            self._keep(content[newline + 1 :], self._begin)
        return LineBatch(begin=begin, end=self._begin, lines=whole.split(b"\n"), is_cut=False)

    def _keep(self, content: bytes, begin: int) -> None:
        self._rest.append(memoryview(content))
        self._rest_bytes += len(content)
        if self._rest_bytes > self._line_bytes_max:
            self._rest, self._rest_bytes = [], 0
            raise ReadError(
                self._journal,
                self._begin,
                f"a line is longer than {self._line_bytes_max} bytes, up to offset"
                f" {begin + len(content)}",
            )

    def _take_cut(self) -> LineBatch:
        line = b"".join(self._rest)
        self._rest, self._rest_bytes = [], 0
        begin = self._begin
        return LineBatch(begin=begin, end=begin + len(line), lines=[line], is_cut=True)
