"""Prints a journal's content, as it comes or cut into records."""

from typing import TYPE_CHECKING

from gazette_py.cli.errors import CommandError, ExitCode, Failure
from gazette_py.cli.record_formats import Record, RecordFormat
from gazette_py.message.framing import FramingError, Splitter
from gazette_py.message.serdes import Serde

if TYPE_CHECKING:
    from gazette_py.cli.reading import Reading
    from gazette_py.client.batches import Batch


class ChunkPrinter:
    """Prints content as it comes, and holds the output until a fragment is done (R1)."""

    pending_bytes = 0

    def __init__(self, reading: "Reading", journal: str) -> None:
        self._reading = reading
        self._journal = journal
        self._has_turn = False

    async def print(self, batch: "Batch") -> None:
        """Print content."""
        if not self._has_turn:
            await self._reading.turn.acquire()
            self._has_turn = True
        content = bytes(batch)
        format_chunk = self._reading.format_chunk
        self._reading.sink.write(format_chunk(content, batch.begin) if format_chunk else content)
        self._reading.sink.flush()
        self._reading.offsets[self._journal] = batch.end
        if batch.fragment is None or batch.end >= batch.fragment.end:
            self.close()

    def reset(self) -> None:
        """Take note that content goes on elsewhere."""
        self.close()

    def close(self) -> None:
        """Let others write."""
        if self._has_turn:
            self._has_turn = False
            self._reading.turn.release()


class RecordPrinter:
    """Prints whole records."""

    def __init__(
        self,
        reading: "Reading",
        journal: str,
        splitter: Splitter,
        serde: Serde,
        format_record: RecordFormat,
    ) -> None:
        self._reading = reading
        self._journal = journal
        self._splitter = splitter
        self._serde = serde
        self._format = format_record
        self._position: int | None = None  # Where the next record begins, once that is known.

    @property
    def pending_bytes(self) -> int:
        """Bytes of a record which is not complete."""
        return len(self._splitter.pending)

    async def print(self, batch: "Batch") -> None:
        """Print the records which content completes.

        Raises:
            CommandError: It is not framed so.
        """
        position = batch.begin if self._position is None else self._position
        try:
            for raw in self._splitter.feed(bytes(batch)):
                end = position + len(raw)
                record = Record(
                    journal=self._journal,
                    begin=position,
                    end=end,
                    raw=raw,
                    value=self._splitter.value_of(raw),
                    serde=self._serde,
                )
                self._reading.sink.write(self._format(record))
                self._reading.offsets[self._journal] = position = end
                self._reading.counted()
        except FramingError as exc:
            raise CommandError(
                Failure(
                    code=ExitCode.ERROR,
                    status="DESYNC",
                    what=f"journal {self._journal} at offset {position}",
                    detail=str(exc),
                    hints=("Is --framing right? -o raw and -o hexdump print what is there.",),
                )
            ) from exc
        self._position = position
        self._reading.sink.flush()

    def reset(self) -> None:
        """Take note that content goes on elsewhere: what is incomplete remains so."""
        self._splitter.reset()
        self._position = None

    def close(self) -> None:
        """Let others write: they always may."""
