"""Prints a journal's content, as it comes or cut into records.

A window of time restricts it. Records whose messages have UUIDs are judged by their clocks; all
else by when the fragment was stored which holds it. Brokers leave out what was stored before the
window, so that only its end is looked for here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gazette_py.cli.errors import CommandError, ExitCode, Failure
from gazette_py.cli.record_formats import Record, RecordFormat
from gazette_py.clock import SYSTEM
from gazette_py.message.framing import DesyncError, FixedSplitter, FramingError, Splitter
from gazette_py.message.serdes import Serde
from gazette_py.message.uuids import clock_of, time_ns_at
from gazette_py.protocol.fragment import Fragment

if TYPE_CHECKING:
    from gazette_py.cli.reading import Reading
    from gazette_py.client.batches import Batch

_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A span of time, `[since, until)`, in Unix seconds; 0: without bound."""

    since: int = 0
    until: int = 0

    @property
    def is_bounded(self) -> bool:
        """Tell whether it leaves anything out."""
        return bool(self.since or self.until)

    def holds(self, unix_ns: int) -> bool:
        """Tell whether a time is within."""
        return unix_ns >= self.since * _NS and not (self.until and unix_ns >= self.until * _NS)

    def is_over(self, fragment: Fragment | None, now: float) -> bool:
        """Tell whether a fragment is stored after its end; one which is not stored yet will be."""
        stored_at = fragment.mod_time if fragment is not None and fragment.mod_time else now
        return self.until > 0 and stored_at >= self.until


class ChunkPrinter:
    """Prints content as it comes, and holds the output until a fragment is done (R1)."""

    pending_bytes = 0

    def __init__(self, reading: "Reading", journal: str) -> None:
        self._reading = reading
        self._journal = journal
        self._has_turn = False

    async def print(self, batch: "Batch") -> bool:
        """Print content; return whether more is wanted."""
        reading = self._reading
        if reading.window.is_over(batch.fragment, SYSTEM.now()):
            reading.offsets.setdefault(self._journal, batch.begin)
            return False
        if not self._has_turn:
            await reading.turn.acquire()
            self._has_turn = True
        content = bytes(batch)
        format_chunk = reading.format_chunk
        reading.sink.write(format_chunk(content, batch.begin) if format_chunk else content)
        reading.sink.flush()
        reading.offsets[self._journal] = batch.end
        if batch.fragment is None or batch.end >= batch.fragment.end:
            self.close()
        return True

    def reset(self) -> None:
        """Take note that content goes on elsewhere."""
        self.close()

    def close(self) -> None:
        """Let others write."""
        if self._has_turn:
            self._has_turn = False
            self._reading.sink.bound()
            self._reading.turn.release()


class RecordPrinter:
    """Prints whole records.

    Args:
        reading: What it is a part of.
        journal: Name of the journal.
        splitter: Cuts it into records.
        serde: Knows what they say.
        format_record: How they are printed.
        skips_first: The first bytes may belong to a record which began before.
    """

    def __init__(
        self,
        reading: "Reading",
        journal: str,
        splitter: Splitter,
        serde: Serde,
        format_record: RecordFormat,
        *,
        skips_first: bool,
    ) -> None:
        self._reading = reading
        self._journal = journal
        self._splitter = splitter
        self._serde = serde
        self._format = format_record
        self._skips = skips_first
        self._position: int | None = None  # Where the next record begins, once that is known.

    @property
    def pending_bytes(self) -> int:
        """Bytes of a record which is not complete."""
        return len(self._splitter.pending)

    async def print(self, batch: "Batch") -> bool:
        """Print the records which content completes; return whether more are wanted.

        Raises:
            CommandError: It is not framed so.
        """
        reading, window = self._reading, self._reading.window
        is_over = window.is_over(batch.fragment, SYSTEM.now())
        try:
            for record in self._records(batch):
                if window.is_bounded:
                    uuid = record.uuid
                    if uuid is None and is_over:
                        reading.offsets.setdefault(self._journal, record.begin)
                        return False
                    if uuid is not None and not window.holds(time_ns_at(clock_of(uuid))):
                        reading.offsets[self._journal] = record.end
                        continue
                reading.sink.write(self._format(record))
                reading.sink.bound()
                reading.offsets[self._journal] = record.end
                reading.counted()
        except FramingError as exc:
            raise CommandError(
                Failure(
                    code=ExitCode.ERROR,
                    status="DESYNC",
                    what=f"journal {self._journal} at offset {self._position}",
                    detail=str(exc),
                    hints=("Is --framing right? -o raw and -o hexdump print what is there.",),
                )
            ) from exc
        reading.sink.flush()
        return True

    def _records(self, batch: "Batch") -> Iterator[Record]:
        if self._position is None:
            self._position = batch.begin
        content = self._from_first_record(bytes(batch)) if self._skips else bytes(batch)
        while True:
            try:
                for raw in self._splitter.feed(content):
                    begin, self._position = self._position, self._position + len(raw)
                    self._skips = False
                    yield Record(
                        journal=self._journal,
                        begin=begin,
                        end=self._position,
                        raw=raw,
                        value=self._splitter.value_of(raw),
                        serde=self._serde,
                    )
                return
            except DesyncError as exc:
                if not self._skips:
                    raise
                self._position += len(exc.skipped)
                content = b""

    def _from_first_record(self, content: bytes) -> bytes:
        """Return content without what precedes the first newline."""
        if isinstance(self._splitter, FixedSplitter):
            return content  # It finds the first header by itself.
        assert self._position is not None, "it was set"
        newline = content.find(b"\n")
        self._skips = newline < 0
        skipped = len(content) if newline < 0 else newline + 1
        self._position += skipped
        return content[skipped:]

    def reset(self) -> None:
        """Take note that content goes on elsewhere, with a fragment, and so with a record."""
        self._splitter.reset()
        self._position = None
        self._skips = False

    def close(self) -> None:
        """Let others write: they always may."""
