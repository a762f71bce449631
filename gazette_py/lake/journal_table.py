"""Journals as a table: one streaming core under every engine.

    bytes by journal order -> parts which a predicate leaves -> whole records -> batches of Arrow

Columns are those of the records, `_journal`, `_offset` (where the record begins), and the
partitions of path postfixes, as text. What is in no file yet has no partitions: they are null.

Invariants:
    TB1  Each record of the snapshot is in one batch, once, whole, whichever parts are left out.
    TB2  A part is left out only if the predicate holds for none of its records.
    TB3  Memory is bounded by the size of blocks and of records, not of journals.

A record is known to begin where a part begins only if the byte before it is a newline. So the part
before a run which is read is looked into, once; then it is remembered.
"""

from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import aclosing, closing
from typing import Any, Self

from gazette_py.errors import ValidationError
from gazette_py.lake.extras import require
from gazette_py.lake.formats import Columns, Format, format_of, parse, schema_of, without_blanks
from gazette_py.lake.loop import LoopThread
from gazette_py.lake.records import BLOCK_BYTES, Block, Cutter
from gazette_py.lake.snapshot import JournalSnapshot
from gazette_py.lake.sources import Source
from gazette_py.telemetry.log import get_logger

pa = require("pyarrow")

log = get_logger(__name__)

JOURNAL = "_journal"
OFFSET = "_offset"

_SAMPLED_JOURNALS_MAX = 8
_SAMPLE_BYTES = 1 << 20


class JournalTable:
    """Records of journals, as of a moment. Made by `table`; close it, or use it as `with`.

    Attributes:
        schema: Of Arrow.
        snapshots: What is read, by the names of journals.
    """

    def __init__(
        self,
        loop: LoopThread,
        source: Source,
        names: Sequence[str],
        *,
        offset: int,
        format: "str | Format",
        columns: Columns | None,
        partitions: bool,
        block_bytes: int = BLOCK_BYTES,
    ) -> None:
        self._loop = loop
        self._source = source
        self._names = names
        self._offset = offset
        self._chosen_format = format
        self._columns = columns
        self._has_partitions = partitions
        self._block_bytes = block_bytes
        self._ends_with_record: dict[tuple[str, int], bool] = {}
        self._format: Format | None = None
        self._fields: Any = None
        self.schema: Any = None
        self.snapshots: dict[str, JournalSnapshot] = {}
        self._pruner: _Pruner | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Release connections and threads. Nothing may be reading."""
        self._loop.run(self._source.close())
        self._loop.close()

    def refresh(self) -> Self:
        """Take a new snapshot: fragments as they are listed now, then the tail to the write head.

        Columns stay, but for those of new partitions, and where there was no record before.

        Raises:
            OffsetJumpError: Content is missing, and gaps shall not be skipped.
            ValidationError: Records cannot be read as asked for.
            GazetteError: Brokers, or the store, do not answer as they should.
        """
        content_types = self._loop.run(self._source.find(self._names))
        self._format = format_of(self._chosen_format, content_types)
        self.snapshots = self._loop.run(self._take_snapshots(sorted(content_types)))
        if self._fields is None or not len(self._fields):
            self._fields = self._infer() if self._columns is None else schema_of(self._columns)
        self._pruner = None
        self.schema = self._complete_schema()
        return self

    async def _take_snapshots(self, journals: Sequence[str]) -> dict[str, JournalSnapshot]:
        return {name: await self._source.snapshot(name, self._offset) for name in journals}

    @property
    def partition_names(self) -> list[str]:
        """Names of the columns which come of path postfixes."""
        if not self._has_partitions:
            return []
        return sorted({name for s in self.snapshots.values() for name in s.partition_names})

    def _complete_schema(self) -> Any:
        partitions = self.partition_names
        for name in (JOURNAL, OFFSET, *partitions):
            if name in self._fields.names:
                raise ValidationError(
                    f"column {name}",
                    "is in the records, and of the table: leave it out of `columns`"
                    + ("" if name in (JOURNAL, OFFSET) else ", or give partitions=False"),
                )
        added = [(JOURNAL, pa.string()), (OFFSET, pa.int64())]
        added += [(name, pa.string()) for name in partitions]
        return pa.schema([*self._fields, *(pa.field(*each) for each in added)])

    def _infer(self) -> Any:
        """Return the schema of the first records of some journals."""
        assert self._format is not None, "it was chosen"
        if self._format.schema is not None:
            return self._format.schema
        found: list[Any] = []
        for snapshot in self.snapshots.values():
            if len(found) < _SAMPLED_JOURNALS_MAX and (sample := self._sample(snapshot)):
                try:
                    found.append(self._format.infer(sample))
                except pa.ArrowInvalid as exc:
                    raise ValidationError(
                        f"journal {snapshot.journal}", f"is not of the format: {exc}"
                    ) from exc
        if not found:
            return pa.schema([])  # The next snapshot may tell.
        try:
            merged = pa.unify_schemas(found, promote_options="permissive")
        except pa.ArrowTypeError as exc:
            raise ValidationError(
                "columns", f"differ between journals: name them and their types ({exc})"
            ) from exc
        # What was null in all of the sample may be anything; text takes the most.
        return pa.schema(
            [pa.field(f.name, pa.string()) if pa.types.is_null(f.type) else f for f in merged]
        )

    def _sample(self, snapshot: JournalSnapshot) -> bytes:
        """Return the first records of a journal, or nothing if it has none."""
        if not snapshot.parts:
            return b""
        with closing(
            self._loop.iterate(self._blocks(snapshot, 0, len(snapshot.parts) - 1))
        ) as blocks:
            for block in blocks:
                data, _ = without_blanks(block)
                if data:
                    cut = data.rfind(b"\n", 0, _SAMPLE_BYTES) + 1
                    return data[:cut] or data
        return b""

    # Reading.

    def batches(
        self, columns: Sequence[str] | None = None, filter: Any = None
    ) -> Generator[Any, None, None]:
        """Yield record batches.

        Args:
            columns: Their names; None: all.
            filter: An expression of `pyarrow.dataset`, which the rows meet.

        Raises:
            RecordError: A record is not of the format, or of other types than the columns.
            GazetteError: Content cannot be read.
        """
        names = self.schema.names if columns is None else list(columns)
        for name in names:
            if name not in self.schema.names:
                raise ValidationError("columns", f"there is no column {name}")
        # The text of an expression has the names of its columns, and perhaps others.
        needed = [
            n for n in self.schema.names if n in names or (filter is not None and n in str(filter))
        ]
        snapshots = list(self.snapshots.values())
        for index, kept in enumerate(self._kept(filter)):
            for first, last in snapshots[index].runs(kept):
                with closing(
                    self._loop.iterate(self._blocks(snapshots[index], first, last))
                ) as blocks:
                    for block in blocks:
                        batch = self._batch(snapshots[index], block, needed)
                        if filter is not None:
                            batch = pa.Table.from_batches([batch]).filter(filter)
                            batch = batch.combine_chunks()
                        yield from _to_batches(batch.select(names))

    def reader(self, columns: Sequence[str] | None = None, filter: Any = None) -> Any:
        """Return a `pyarrow.RecordBatchReader` of `batches`, which can be read once."""
        names = self.schema.names if columns is None else list(columns)
        schema = pa.schema([self.schema.field(name) for name in names])
        return pa.RecordBatchReader.from_batches(schema, self.batches(columns, filter))

    def dataset(self) -> Any:
        """Return it as a `pyarrow.dataset.Dataset`, which takes columns and filters."""
        from gazette_py.lake.engines import JournalDataset

        return JournalDataset(self)

    def polars(self) -> Any:
        """Return it as a `polars.LazyFrame`, which reads in batches."""
        from gazette_py.lake.engines import polars_frame

        return polars_frame(self)

    def pandas(self, columns: Sequence[str] | None = None, filter: Any = None) -> Any:
        """Return all rows as a `pandas.DataFrame`, in memory."""
        from gazette_py.lake.engines import pandas_frame

        return pandas_frame(self, columns, filter)

    def _kept(self, filter: Any) -> list[list[int]]:
        if filter is None:
            return [list(range(len(each.parts))) for each in self.snapshots.values()]
        if self._pruner is None:
            self._pruner = _Pruner(list(self.snapshots.values()), self.schema, self.partition_names)
        return self._pruner.kept(filter)

    def _batch(self, snapshot: JournalSnapshot, block: Block, names: Sequence[str]) -> Any:
        assert self._format is not None, "it was chosen"
        data, offsets = without_blanks(block)
        own = [name for name in names if name in self._fields.names]
        columns: dict[str, Any] = {}
        if own and offsets:
            parsed = parse(self._format, snapshot.journal, data, offsets, self._fields, own)
            columns = {name: parsed.column(name).combine_chunks() for name in own}
        elif own:
            columns = {name: pa.array([], self._fields.field(name).type) for name in own}
        partitions = snapshot.parts[block.part].partitions
        for name in names:
            if name == OFFSET:
                columns[name] = pa.array(offsets, pa.int64())
            elif name not in columns:
                value = snapshot.journal if name == JOURNAL else partitions.get(name)
                columns[name] = pa.repeat(pa.scalar(value, pa.string()), len(offsets))
        schema = pa.schema([self.schema.field(name) for name in names])
        if not names:  # Only counted.
            return pa.RecordBatch.from_arrays([pa.nulls(len(offsets))], [OFFSET]).select([])
        return pa.RecordBatch.from_arrays([columns[name] for name in names], schema=schema)

    async def _blocks(
        self, snapshot: JournalSnapshot, first: int, last: int
    ) -> AsyncGenerator[Block, None]:
        """Yield the records which begin in a run of parts."""
        parts, journal = snapshot.parts, snapshot.journal
        skip_first = snapshot.is_joined(first) and not await self._is_end(snapshot, first - 1)
        begin = parts[first].begin
        cutter = Cutter(journal, begin, skip_first=skip_first, block_bytes=self._block_bytes)
        current, offset = first, begin
        async with aclosing(self._source.read(snapshot, parts[first : last + 1])) as pieces:
            async for at, piece in pieces:
                if at != offset:
                    for block in cutter.flush():
                        yield _of_part(block, first)
                    self._tell_unfinished(journal, at, cutter)
                    cutter.jump(at)
                while at >= parts[current].end:
                    current += 1
                offset = at + len(piece)
                for block in cutter.feed(current - first, piece):
                    yield _of_part(block, first)
        for block in cutter.flush():
            yield _of_part(block, first)
        following = last
        while cutter.unfinished and snapshot.is_joined(following + 1):
            # Parts which follow are not wanted, but the end of the last record is in them.
            following += 1
            async with aclosing(self._source.read(snapshot, [parts[following]])) as pieces:
                async for _, piece in pieces:
                    end = piece.find(b"\n") + 1 or len(piece)
                    for block in cutter.feed(following - first, piece[:end]):
                        yield _of_part(block, first)
                    if not cutter.unfinished:
                        break
        self._tell_unfinished(journal, parts[following].end, cutter)

    def _tell_unfinished(self, journal: str, end: int, cutter: Cutter) -> None:
        if cutter.unfinished:
            begin = end - cutter.unfinished
            log.warning("record_without_end", journal=journal, begin=begin, end=end)

    async def _is_end(self, snapshot: JournalSnapshot, index: int) -> bool:
        """Tell whether a record ends where the part does."""
        key = (snapshot.journal, snapshot.parts[index].end)
        if key not in self._ends_with_record:
            part = snapshot.parts[index]
            pieces = self._source.read(snapshot, [part.starting_at(part.end - 1)])
            async with aclosing(pieces):
                content = b"".join([piece async for _, piece in pieces])
            self._ends_with_record[key] = content == b"\n"
        return self._ends_with_record[key]


def _of_part(block: Block, first: int) -> Block:
    return Block(block.part + first, block.begin, block.data)


def _to_batches(table_or_batch: Any) -> list[Any]:
    if isinstance(table_or_batch, pa.RecordBatch):
        return [table_or_batch] if table_or_batch.num_rows else []
    batches: list[Any] = table_or_batch.to_batches()
    return [batch for batch in batches if batch.num_rows]


class _Pruner:
    """Finds the parts for which a predicate may hold. Arrow knows how, of files' partitions."""

    def __init__(
        self, snapshots: Sequence[JournalSnapshot], schema: Any, names: Sequence[str]
    ) -> None:
        dataset = require("pyarrow.dataset")
        field = dataset.field
        self._counts = [len(snapshot.parts) for snapshot in snapshots]
        paths, known = [], []
        for index, snapshot in enumerate(snapshots):
            for number, part in enumerate(snapshot.parts):
                holds = (
                    (field(JOURNAL) == snapshot.journal)
                    & (field(OFFSET) >= part.begin)
                    & (field(OFFSET) < part.end)
                )
                for name in names:
                    value = part.partitions.get(name)
                    holds &= field(name).is_null() if value is None else field(name) == value
                paths.append(f"{index}/{number}")  # Nothing is opened at it.
                known.append(holds)
        self._parts = dataset.FileSystemDataset.from_paths(
            paths,
            schema=schema,
            format=dataset.CsvFileFormat(),
            filesystem=require("pyarrow.fs").LocalFileSystem(),
            partitions=known,
        )

    def kept(self, filter: Any) -> list[list[int]]:
        """Return the indices of parts, of each snapshot."""
        found: list[list[int]] = [[] for _ in self._counts]
        for part in self._parts.get_fragments(filter=filter):
            index, _, number = part.path.rpartition("/")
            found[int(index.rpartition("/")[2])].append(int(number))
        return found
