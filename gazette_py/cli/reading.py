"""Reads journals side by side into one stream, once or for as long as they grow.

Invariants:
    R1  Content of several journals is never mixed within an append. Raw content changes journals
        between fragments only, which hold whole appends; records are written whole.
    R2  The offset of a journal is that of the next byte, or record, to print: all before it was
        written to the output, and is on disk if the output is a file, before the offset is saved.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gazette_py.cli.errors import usage
from gazette_py.cli.offsets_file import save_offsets
from gazette_py.cli.printing import ChunkPrinter, RecordPrinter, Window
from gazette_py.cli.progress import Progress
from gazette_py.cli.record_formats import RecordFormat
from gazette_py.cli.sinks import Sink
from gazette_py.clock import SYSTEM
from gazette_py.errors import JournalNotFoundError, OffsetJumpError
from gazette_py.message.framings import framing_of, splitter_of
from gazette_py.message.serdes import UUID_POINTER_LABEL, serde_of
from gazette_py.protocol.enums import SuspendLevel
from gazette_py.protocol.journal import JournalSpec
from gazette_py.protocol.labels import LabelSelector

if TYPE_CHECKING:
    from gazette_py.client.batches import Batch
    from gazette_py.client.client import Client
    from gazette_py.client.listing import ListedJournal
    from gazette_py.client.reader import Reader

_READS_MAX = 32
"""Journals read at once, if they are read to their ends."""


class EnoughError(Exception):
    """As much as asked for was printed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Where to begin a journal for which no offset is stored."""

    offset: int = 0  # -1: at the write head.
    bytes_back: int = 0  # So much before the write head instead.
    must_be_stored: bool = False


def parse_start(text: str) -> Start:
    """Return the start which a text tells: beginning, end, stored, N or -N.

    Raises:
        ValueError: It is none of them.
    """
    match text:
        case "beginning":
            return Start()
        case "end":
            return Start(offset=-1)
        case "stored":
            return Start(must_be_stored=True)
        case _:
            digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"{text!r} is none of beginning, end, stored, an offset, or -BYTES")
    return Start(bytes_back=int(digits)) if text.startswith("-") else Start(offset=int(text))


@dataclass(kw_only=True)
class Reading:
    """A run of `read`: its options, and how far it has come."""

    client: "Client"
    sink: Sink
    start: Start
    window: Window = field(default_factory=Window)
    framing: str = ""  # "": as the journal's content type says.
    format_chunk: Callable[[bytes, int], bytes] | None = None  # Of content as it comes.
    format_record: RecordFormat | None = None  # Of content cut into records.
    count_max: int = 0  # Records to print; 0: all.
    offsets: dict[str, int] = field(default_factory=dict)  # (R2)
    offsets_path: Path | None = None
    save_interval_s: float = 0.0
    is_following: bool = False
    progress: Progress = field(default_factory=Progress)
    _count: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)  # To write raw content (R1).

    async def run(self, selector: LabelSelector, journals: "list[ListedJournal]") -> None:
        """Read `journals` to their ends, or whatever the selector selects if following.

        Raises:
            CancelledError: The first Ctrl-C ends it once what was begun is written, and offsets are
                saved. The second one ends a write for which nobody is there.
        """
        try:
            await self._run(selector, journals)
        except KeyboardInterrupt:
            # The event loop has raised the same, and would complain of a task which does as well.
            raise asyncio.CancelledError from None

    async def _run(self, selector: LabelSelector, journals: "list[ListedJournal]") -> None:
        is_torn = False  # A write did not end: how much of it arrived is not known.
        try:
            async with asyncio.TaskGroup() as group:
                if self.offsets_path and self.save_interval_s:
                    saver = group.create_task(self._save_periodically(), name="save offsets")
                else:
                    saver = None
                if self.is_following:
                    if self.window.until:
                        group.create_task(self._end_in_time(), name="end in time")
                    await self._follow(group, selector)
                else:
                    await self._read_all(journals)
                if saver is not None:
                    saver.cancel()
        except KeyboardInterrupt:
            is_torn = True
            raise
        except BaseExceptionGroup as exc:
            first = _first_of(exc)
            is_torn = isinstance(first, OSError)
            if not isinstance(first, EnoughError):
                raise first from None
        finally:
            if not is_torn:
                self._save()

    async def _read_all(self, journals: "list[ListedJournal]") -> None:
        slots = asyncio.Semaphore(_READS_MAX)

        async def read(spec: JournalSpec) -> None:
            async with slots:
                await self._read(spec)

        async with asyncio.TaskGroup() as group:
            for journal in journals:
                if journal.spec.suspend.level is not SuspendLevel.FULL:
                    group.create_task(read(journal.spec), name=f"read {journal.spec.name}")

    async def _follow(self, group: asyncio.TaskGroup, selector: LabelSelector) -> None:
        reads: dict[str, asyncio.Task[None]] = {}
        async for snapshot in self.client.watch(selector):
            specs = {
                journal.spec.name: journal.spec
                for journal in snapshot.journals
                if journal.spec.suspend.level is not SuspendLevel.FULL
            }
            if not snapshot.journals and not reads:
                self.progress.say("No journal matches yet; waiting for one.")
            for name in reads.keys() - specs.keys():
                reads.pop(name).cancel()
            for name in specs.keys() - reads.keys():
                task = group.create_task(self._read_if_there(specs[name]), name=f"read {name}")
                reads[name] = task

    async def _read_if_there(self, spec: JournalSpec) -> None:
        try:
            await self._read(spec)
        except JournalNotFoundError:
            self._notice(f"{spec.name} was deleted")

    async def _read(self, spec: JournalSpec) -> None:
        name = spec.name
        offset = await self._offset_of(name)
        is_in_record = self._is_back(name) and offset > 0 and self.format_record is not None
        printer = self._printer(spec, skips_first=is_in_record)
        reader = self.client.reader(
            name,
            # From the byte before, which tells whether a record begins there.
            offset=offset - 1 if is_in_record else offset,
            block=self.is_following,
            begin_mod_time=self.window.since,
        )
        is_told = False
        meter = self.progress.meter(name, is_following=self.is_following)
        async with reader:
            try:
                async for batch in self._batches(reader, printer):
                    if not await printer.print(batch):
                        return
                    head = reader.write_head if reader.write_head >= 0 else None
                    meter.move(batch.end, head, begin=batch.begin)
                    is_told = is_told or self._tell_caught_up(reader)
            finally:
                meter.close()
                printer.close()
                if name not in self.offsets and reader.offset >= 0:
                    self.offsets[name] = reader.offset - printer.pending_bytes
        if printer.pending_bytes:
            self.progress.say(
                f"warning: journal {name} ends with {printer.pending_bytes} bytes of an"
                f" incomplete record, at offset {self.offsets[name]}"
            )
        self._notice(f"Reached end of {name} at offset {reader.offset}")

    async def _batches(
        self, reader: "Reader", printer: ChunkPrinter | RecordPrinter
    ) -> "AsyncIterator[Batch]":
        """Yield content, also after a part of the journal which is gone."""
        while True:
            try:
                async for batch in reader.batches():
                    yield batch
                return
            except OffsetJumpError as exc:
                printer.reset()
                if exc.offset:  # The beginning is often gone, by retention.
                    self._notice(
                        f"{exc.journal} has nothing at offset {exc.offset}, goes on at {exc.to}"
                    )

    def _tell_caught_up(self, reader: "Reader") -> bool:
        """Tell it, and return whether it is so. Once: what comes from now on is seen to come."""
        if not self.is_following or reader.lag_bytes != 0:
            return False
        self._notice(f"Reached end of {reader.journal} at offset {reader.offset}")
        return True

    def _printer(self, spec: JournalSpec, *, skips_first: bool) -> ChunkPrinter | RecordPrinter:
        if self.format_record is None:
            return ChunkPrinter(self, spec.name)
        framing = self.framing or framing_of(spec.labels)
        try:
            serde = serde_of(framing, spec.labels.value_of(UUID_POINTER_LABEL))
        except ValueError as exc:
            raise usage(f"journal {spec.name}", f"its label {UUID_POINTER_LABEL}: {exc}") from exc
        return RecordPrinter(
            self,
            spec.name,
            splitter_of(framing),
            serde,
            self.format_record,
            skips_first=skips_first,
        )

    def _is_back(self, name: str) -> bool:
        """Tell whether the journal's start is so many bytes before its end: anywhere."""
        return name not in self.offsets and self.start.bytes_back > 0

    async def _offset_of(self, name: str) -> int:
        if name in self.offsets:
            return self.offsets[name]
        if self.start.must_be_stored:
            raise usage(
                f"journal {name}",
                "no offset of it is stored",
                "Add it to the file of --offsets, or give another --offset.",
            )
        if self._is_back(name):
            return max(0, await self.client.write_head(name) - self.start.bytes_back)
        return self.start.offset

    def counted(self) -> None:
        """Count a record which was written.

        Raises:
            EnoughError: It was the last.
        """
        self._count += 1
        if self._count == self.count_max:
            self.sink.flush()
            raise EnoughError

    def _notice(self, text: str) -> None:
        """Tell a person how it goes; programs read the output."""
        if sys.stderr.isatty():
            self.progress.say(f"% {text}")

    async def _end_in_time(self) -> None:
        """End all of it when the window ends.

        Raises:
            EnoughError: It has.
        """
        while (left_s := self.window.until - SYSTEM.now()) > 0:
            await SYSTEM.sleep(left_s)
        raise EnoughError

    async def _save_periodically(self) -> None:
        while True:
            await SYSTEM.sleep(self.save_interval_s)
            self._save()

    def _save(self) -> None:
        self.sink.sync()
        if self.offsets_path is not None:
            save_offsets(self.offsets_path, self.offsets)


def _first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first failure of tasks which ended together."""
    first = group.exceptions[0]
    return _first_of(first) if isinstance(first, BaseExceptionGroup) else first
