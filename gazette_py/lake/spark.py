"""Journals as a source of Spark: what its own readers of files cannot give.

    spark.dataSource.register(GazetteDataSource)
    rows = (
        spark.read.format("gazette")
        .option("store", "s3://bucket/")
        .load("acme/orders, acme/returns")
    )

Files alone are enough where nothing overlaps: `spark.read.json("s3a://bucket/acme/orders/")`. This
reads a covering set instead, so that each row is there once also where several brokers stored the
same bytes; it tells each row's offset, verifies sums, and ends where a watermark says.

Rows are lines. Appends hold whole lines, or reading fails; a line is never torn or joined silently.

Executors read the store themselves: `gazette_py` must be installed there, and credentials in their
environment.

| Option | |
|---|---|
| path | journals, with commas between them |
| store | URL of the store, as journal specs spell it |
| fileRoot | directory which roots file:// stores |
| before | RFC 3339 time: read what was appended before, and little more; it must be whole by then |

The schema is `value STRING, _journal STRING, _offset BIGINT`; `value` may be asked for as BINARY.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import pyarrow as pa
from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition
from pyspark.sql.types import BinaryType, StructType

from gazette_py.clock import SYSTEM
from gazette_py.core.fragment_index import IndexEntry
from gazette_py.errors import OffsetJumpError, ValidationError
from gazette_py.lake.cover import Gap, Slice, beginning, cover
from gazette_py.lake.files import Lake

_T = TypeVar("_T")

SCHEMA = "value STRING, _journal STRING, _offset BIGINT"

BATCH_BYTES = 4 << 20
"""Content of a batch which is handed to Spark, at least, but for the last of a file."""


@dataclass(frozen=True, slots=True)
class _Source:
    store: str
    file_root: str

    def open(self) -> Lake:
        return Lake(self.store, file_root=self.file_root)


class SlicePartition(InputPartition):
    """A part of one file: what one task reads."""

    def __init__(self, journal: str, file: IndexEntry, begin: int, end: int) -> None:
        self.journal = journal
        self.file = file
        self.begin = begin  # Offsets of the journal.
        self.end = end


class GazetteDataSource(DataSource):
    """The format "gazette"."""

    @classmethod
    def name(cls) -> str:
        """Return what `format` takes."""
        return "gazette"

    def schema(self) -> str:
        """Return the columns."""
        return SCHEMA

    def reader(self, schema: StructType) -> "GazetteReader":
        """Return a reader of what the options name.

        Raises:
            ValidationError: An option is missing, or makes no sense.
        """
        store, path = self.options.get("store", ""), self.options.get("path", "")
        journals = [name for name in (part.strip() for part in path.split(",")) if name]
        if not store:
            raise ValidationError("option store", "is missing: it is like s3://bucket/prefix/")
        if not journals:
            raise ValidationError("path", "names no journals: give them to load()")
        before = self.options.get("before", "")
        return GazetteReader(
            _Source(store, self.options.get("fileRoot", "")),
            journals,
            _time(before) if before else None,
            is_binary=isinstance(schema["value"].dataType, BinaryType),
        )


class GazetteReader(DataSourceReader):
    """Plans on the driver, and reads on executors."""

    def __init__(
        self, source: _Source, journals: Sequence[str], before: datetime | None, *, is_binary: bool
    ) -> None:
        self._source = source
        self._journals = journals
        self._before = before
        self._is_binary = is_binary

    def partitions(self) -> list[InputPartition]:
        """Return a covering set, as of now.

        Raises:
            OffsetJumpError: Content is missing.
            ValidationError: A journal is not whole yet up to the time asked for.
            StoreError: The store does not answer.
        """
        return asyncio.run(self._plan())

    async def _plan(self) -> list[InputPartition]:
        planned: list[InputPartition] = []
        async with self._source.open() as lake:
            for journal in self._journals:
                limit = await self._limit(lake, journal)
                files = await lake.files(journal, self._journals)
                for part in cover(files, beginning(files, 0, SYSTEM.now())):
                    if limit is not None and part.begin >= limit:
                        break
                    if isinstance(part, Gap):
                        raise OffsetJumpError(journal, part.begin, part.end)
                    end = part.end if limit is None else min(part.end, limit)
                    planned.append(SlicePartition(journal, part.file, part.begin, end))
        return planned

    async def _limit(self, lake: Lake, journal: str) -> int | None:
        if self._before is None:
            return None
        mark = await lake.watermark(journal, self._before)
        if mark is None:
            raise ValidationError(
                f"journal {journal}",
                f"is not whole yet before {self._before.isoformat()}: the store has no watermark"
                " which says so (journals with a flush interval get them)",
            )
        return mark.offset

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """Yield the lines of a part.

        Raises:
            CorruptFragmentError: The file is not what its name says.
            ValidationError: It does not end with a line, or holds no text.
            StoreError: The store does not give it.
        """
        assert isinstance(partition, SlicePartition)
        loop = asyncio.new_event_loop()
        try:
            batches = self._batches(partition)
            while (batch := loop.run_until_complete(_next(batches))) is not None:
                yield batch
        finally:
            loop.run_until_complete(batches.aclose())  # It has fetches under way.
            loop.close()

    async def _batches(self, partition: SlicePartition) -> AsyncGenerator[pa.RecordBatch, None]:
        offset, held = partition.begin, bytearray()
        part = Slice(partition.file, partition.begin - partition.file.begin)
        left = partition.end - partition.begin
        async with self._source.open() as lake, aclosing(lake.read_slice(part)) as pieces:
            async for piece in pieces:
                held += piece[:left]
                left -= min(left, len(piece))
                cut = held.rfind(b"\n") + 1
                if cut and len(held) >= BATCH_BYTES:
                    yield self._batch(partition.journal, offset, bytes(held[:cut]))
                    offset += cut
                    del held[:cut]
        if held:
            if not held.endswith(b"\n"):
                raise ValidationError(
                    f"journal {partition.journal}",
                    f"has a line torn at offset {partition.end}: its appends do not hold whole"
                    " lines, so its files cannot be read apart from each other",
                )
            yield self._batch(partition.journal, offset, bytes(held))

    def _batch(self, journal: str, offset: int, content: bytes) -> pa.RecordBatch:
        lines = content[:-1].split(b"\n")
        offsets = []
        for line in lines:
            offsets.append(offset)
            offset += len(line) + 1
        values = pa.array(lines, pa.binary())
        if not self._is_binary:
            try:
                values = values.cast(pa.string())
            except pa.ArrowInvalid as exc:
                raise ValidationError(
                    f"journal {journal}",
                    f"holds no UTF-8 within [{offsets[0]}, {offset}): read `value` as BINARY",
                ) from exc
        return pa.RecordBatch.from_arrays(
            [values, pa.array([journal] * len(lines)), pa.array(offsets, pa.int64())],
            names=["value", "_journal", "_offset"],
        )


def _next(batches: AsyncIterator[_T]) -> Coroutine[Any, Any, _T | None]:
    async def take() -> _T | None:
        return await anext(batches, None)

    return take()


def _time(text: str) -> datetime:
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError as exc:
        raise ValidationError("option before", f"{text!r} is no RFC 3339 time") from exc
    if parsed.tzinfo is None:
        raise ValidationError("option before", f"{text!r} has no time zone")
    return parsed
