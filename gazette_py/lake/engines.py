"""Thin adapters of tables to engines, each of which is imported when it is used.

DuckDB and whoever else takes a `pyarrow.dataset.Dataset` asks it for columns and a filter; Polars
asks a function of ours; pandas takes all rows.
"""

from collections.abc import Generator, Iterator, Sequence
from typing import Any, Self

from gazette_py.lake.extras import require
from gazette_py.lake.journal_table import JOURNAL, OFFSET, JournalTable

pa = require("pyarrow")
_dataset = require("pyarrow.dataset")
_Dataset: Any = _dataset.Dataset


class JournalDataset(_Dataset):  # type: ignore[misc]  # Arrow's classes have no types.
    """A table, to those who know datasets of Arrow. It follows the table's refreshes."""

    def __init__(self, table: JournalTable) -> None:
        self._table = table

    @property
    def schema(self) -> Any:
        """Return the schema of Arrow."""
        return self._table.schema

    def scanner(
        self, columns: Sequence[str] | None = None, filter: Any = None, **_: Any
    ) -> "JournalScan":
        """Return a scan of columns, of rows which meet a filter."""
        return JournalScan(self._table, columns, filter)


class JournalScan:
    """What DuckDB, and methods of datasets, ask of a `pyarrow.dataset.Scanner`."""

    def __init__(self, table: JournalTable, columns: Sequence[str] | None, filter: Any) -> None:
        self._table = table
        self._columns = columns
        self._filter = filter

    @property
    def projected_schema(self) -> Any:
        """Return the schema of what is returned."""
        names = self._table.schema.names if self._columns is None else self._columns
        return pa.schema([self._table.schema.field(name) for name in names])

    def to_reader(self) -> Any:
        """Return a reader of record batches, one at a time."""
        return self._table.reader(self._columns, self._filter)

    def to_batches(self) -> Generator[Any, None, None]:
        """Yield record batches."""
        return self._table.batches(self._columns, self._filter)

    def to_table(self) -> Any:
        """Return all rows."""
        return self.to_reader().read_all()

    def count_rows(self) -> int:
        """Return how many rows there are."""
        if self._filter is None:
            return sum(batch.num_rows for batch in self._table.batches([OFFSET]))
        return sum(batch.num_rows for batch in self.to_batches())

    def head(self, num_rows: int) -> Any:
        """Return the first rows."""
        found = []
        batches = self._table.batches(self._columns, self._filter)
        for batch in batches:
            found.append(batch.slice(0, num_rows))
            num_rows -= found[-1].num_rows
            if not num_rows:
                batches.close()
        return pa.Table.from_batches(found, self.projected_schema)


class DuckDBView:
    """A view of a connection of DuckDB over a table, which is closed with it.

    The connection is used by one thread at a time, as DuckDB demands.
    """

    def __init__(self, connection: Any, name: str, table: JournalTable) -> None:
        self.name = name
        self.table = table
        self._connection = connection
        self._connection.register(name, JournalDataset(table))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def refresh(self) -> Self:
        """Take a new snapshot: what was appended since is there. Errors are those of `table`."""
        self.table.refresh()
        # DuckDB keeps the columns which a view had when it was made.
        self._connection.register(self.name, JournalDataset(self.table))
        return self

    def close(self) -> None:
        """Drop the view, and close the table."""
        self._connection.unregister(self.name)
        self.table.close()


def polars_frame(table: JournalTable) -> Any:
    """Return a `polars.LazyFrame`, which reads in batches.

    Predicates which only name `_journal` and partitions leave out whole files; others are applied
    to rows.
    """
    polars = require("polars")
    plugins = require("polars.io.plugins")
    schema = polars.Schema(table.schema)

    def scan(
        with_columns: list[str] | None, predicate: Any, n_rows: int | None, _batch_size: int | None
    ) -> Iterator[Any]:
        names = None if with_columns is None else list(with_columns)
        if predicate is not None and names is not None:
            names += [name for name in predicate.meta.root_names() if name not in names]
        batches = table.batches(names, _prefilter(table, polars, predicate))
        left = n_rows
        for batch in batches:
            frame = polars.from_arrow(batch)
            if predicate is not None:
                frame = frame.filter(predicate)
            if left is not None:
                frame = frame.head(left)
                left -= frame.height
            yield frame if with_columns is None else frame.select(with_columns)
            if left == 0:
                return

    return plugins.register_io_source(scan, schema=schema)


def _prefilter(table: JournalTable, polars: Any, predicate: Any) -> Any:
    """Return a filter of Arrow which holds for all rows that meet a predicate, or None."""
    if predicate is None:
        return None
    partitions = [name for name in table.schema.names if name in table.partition_names]
    names = predicate.meta.root_names()
    if not names or not {JOURNAL, *partitions}.issuperset(names):
        return None
    rows: list[dict[str, str | None]] = [
        {JOURNAL: snapshot.journal, **{name: part.partitions.get(name) for name in partitions}}
        for snapshot in table.snapshots.values()
        for part in snapshot.parts
    ]
    known = polars.DataFrame(
        rows,
        schema=dict.fromkeys([JOURNAL, *partitions], polars.String),
    )
    field = _dataset.field
    holds: Any = field(OFFSET) < 0
    for row in known.unique().filter(predicate).to_dicts():
        every: Any = field(JOURNAL) == row[JOURNAL]
        for name in partitions:
            value = row[name]
            every &= field(name).is_null() if value is None else field(name) == value
        holds |= every
    return holds


def pandas_frame(table: JournalTable, columns: Sequence[str] | None, filter: Any) -> Any:
    """Return a `pandas.DataFrame` of all rows."""
    require("pandas")
    return table.reader(columns, filter).read_all().to_pandas()
