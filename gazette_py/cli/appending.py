"""Appends an input: as a whole, or record by record in batches.

Invariants:
    A1  A record is appended whole, and after those before it in its journal: there is one append
        under way for each journal.
    A2  No more of the input is held than one batch.
"""

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from gazette_py.cli.byte_input import ByteInput
from gazette_py.cli.errors import usage
from gazette_py.cli.fanout import Outcomes, failed, for_each
from gazette_py.cli.pace import Pace, Paced
from gazette_py.cli.progress import Progress
from gazette_py.cli.routing import Router
from gazette_py.cli.stamping import Stamper
from gazette_py.clock import SYSTEM
from gazette_py.message.framing import FixedSplitter, FramingError, Splitter

if TYPE_CHECKING:
    from gazette_py.client.append import AppendResult
    from gazette_py.client.client import Client

_SPOOL_MEMORY_MAX = 8 << 20
_CHUNK_BYTES = 1 << 20
RATE_MIN = 1 << 16
"""Bytes per second below which brokers abort an append."""


class Spooled:
    """An input as a whole, kept in memory or a temporary file, to be sent as often as needed.

    Brokers abort an append whose content comes slowly, as that of a pipe may.
    """

    def __init__(self, file: IO[bytes], progress: Progress) -> None:
        self._file = file
        self._progress = progress
        self.length = 0

    async def fill(self, source: ByteInput) -> None:
        """Take the whole input."""
        meter = self._progress.meter("reading the input", total=source.size)
        while data := await source.read():
            self._file.write(data)
            self.length += len(data)
            meter.move(self.length)
        meter.close()

    def __iter__(self) -> Iterator[bytes]:
        meter = self._progress.meter("appending", total=self.length)
        self._file.seek(0)
        while chunk := self._file.read(_CHUNK_BYTES):
            yield chunk
            meter.move(self._file.tell())
        meter.close()


@dataclass(kw_only=True)
class Appending:
    """A run of `append`: what all of its appends have in common, and what they did."""

    client: "Client"
    timeout_s: float
    tell: Callable[[dict[str, Any]], None]  # Called with each append that was made.
    options: dict[str, Any] = field(default_factory=dict)  # Arguments of Client.append.
    stamper: Stamper | None = None  # Gives records their UUIDs.
    pace: Pace | None = None  # None: as fast as brokers take it.
    progress: Progress = field(default_factory=Progress)
    _records: int = 0  # Appended so far.

    async def whole(self, journal: str, source: ByteInput) -> None:
        """Append the input as one."""
        with tempfile.SpooledTemporaryFile(_SPOOL_MEMORY_MAX) as file:
            spooled = Spooled(file, self.progress)
            await spooled.fill(source)
            content = spooled if self.pace is None else Paced(spooled, self.pace)
            result = await self._append(journal, content, spooled.length)
        self.tell(_item(result))

    async def records(
        self, source: ByteInput, splitter: Splitter, router: Router, batching: "Batching"
    ) -> None:
        """Append each record to its journal.

        Raises:
            CommandError: An append failed; those told of were made.
        """
        meter, done = self.progress.meter("appending", total=source.size), 0
        async with aclosing(batching.batches(source, splitter)) as batches:
            async for batch in batches:
                await self._send(batch, router)
                done += sum(map(len, batch))
                meter.move(done)
        meter.close()
        if router.has_key_only:
            raise usage("the last record", "it is a key without its record")

    async def _send(self, batch: list[bytes], router: Router) -> None:
        by_journal: dict[str, list[bytes]] = {}
        if self.stamper is not None:
            self.stamper.refresh()
        for record in batch:
            journal = router.route(record)
            if journal is None:
                continue
            made = record if self.stamper is None else self.stamper.stamp(journal, record)
            by_journal.setdefault(journal, []).append(made)

        async def append(journal: str) -> "AppendResult":
            content = b"".join(by_journal[journal])
            return await self._append(journal, content, len(content))

        if self.pace is not None:
            await self.pace.take(sum(len(r) for records in by_journal.values() for r in records))
        outcomes = await for_each(by_journal, append)
        for journal, result in outcomes.results.items():
            self._records += len(by_journal[journal])
            self.tell(_item(result) | {"records": len(by_journal[journal])})
        self._check(outcomes)

    async def _append(self, journal: str, content: Any, length: int) -> "AppendResult":
        # No broker takes longer over the content itself.
        timeout_s = self.timeout_s + length / RATE_MIN
        return await self.client.append(journal, content, timeout_s=timeout_s, **self.options)

    def _check(self, outcomes: "Outcomes[AppendResult]") -> None:
        if not outcomes.errors:
            return
        if self._records:
            self.progress.say(f"{self._records} records were appended before or beside:")
        raise failed(outcomes.errors, is_partial=bool(outcomes.results))


def _item(result: "AppendResult") -> dict[str, Any]:
    commit = result.commit
    return {
        "journal": commit.journal,
        "begin": commit.begin,
        "end": commit.end,
        "sha1": commit.sum.hex(),
        "registers": {label.name: label.value for label in result.registers},
    }


def _records(splitter: Splitter, data: bytes) -> list[bytes]:
    try:
        return list(splitter.feed(data))
    except FramingError as exc:
        raise usage("input", str(exc), "Is --framing right?") from exc


@dataclass(frozen=True, slots=True, kw_only=True)
class Batching:
    """How records are gathered."""

    bytes_max: int  # A batch is sent once it has so many bytes,
    linger_s: float  # or was gathered for so long,
    partial: str = "reject"  # What to do with the rest of the input: reject, append or drop.

    async def batches(
        self, source: ByteInput, splitter: Splitter
    ) -> AsyncGenerator[list[bytes], None]:
        """Yield the records of the input, some at a time, without waiting for more to come."""
        read: asyncio.Task[bytes] | None = None
        is_at_end = False
        try:
            while not is_at_end:
                batch: list[bytes] = []
                size, deadline = 0, 0.0
                while size < self.bytes_max:
                    # A task, since what it has read must not be lost when the wait is over.
                    read = read or asyncio.create_task(source.read(), name="read input")
                    wait_s = max(0.0, deadline - SYSTEM.monotonic()) if batch else None
                    done, _ = await asyncio.wait({read}, timeout=wait_s)
                    if not done:
                        break
                    data, read = read.result(), None
                    if not data:
                        is_at_end = True
                        break
                    deadline = deadline or SYSTEM.monotonic() + self.linger_s
                    records = _records(splitter, data)
                    batch += records
                    size += sum(map(len, records))
                if batch:
                    yield batch
            if rest := self._rest(splitter):
                yield [rest]
        finally:
            if read is not None:
                read.cancel()

    def _rest(self, splitter: Splitter) -> bytes:
        """Return the last record, which lacks its end, if it is to be appended."""
        rest = splitter.pending
        if not rest or self.partial == "drop":
            return b""
        may_complete = self.partial == "append" and not isinstance(splitter, FixedSplitter)
        # A newline does not end a row within a field's quotes.
        if may_complete and (completed := _records(splitter, b"\n")):
            return completed[0]
        raise usage(
            "the last record",
            f"its end is missing, after {len(rest)} bytes; what is before it was appended",
            "End the input with a newline, or choose by --partial-line.",
        )
