"""Journals as tables: each record once, whole, whichever files hold it; and the live tail."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from fragment_files import write_fragment

from gazette_py import lake
from gazette_py.errors import (
    ConfigError,
    CorruptFragmentError,
    OffsetJumpError,
    RecordError,
    StoreMissingError,
    ValidationError,
)
from gazette_py.lake import extras
from gazette_py.lake.journal_table import JournalTable
from gazette_py.lake.sources import StoreSource
from gazette_py.protocol.enums import CompressionCodec

JOURNAL = "acme/orders"


def rows(begin: int, end: int) -> bytes:
    return b"".join(b'{"id":%d,"item":"tea"}\n' % number for number in range(begin, end))


def ids(table: JournalTable, **options: Any) -> list[int]:
    return [i for batch in table.batches(["id"], **options) for i in batch.column(0).to_pylist()]


class Files:
    """A store of three days, whose files overlap and cut lines in two."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.content = rows(0, 300)
        third = len(self.content) // 3
        self.borders = [third + 7, 2 * third + 3]  # Neither is the end of a line.
        a, b = self.borders
        self.write(0, a, "day=1")
        self.write(a - 100, b, "day=2", CompressionCodec.GZIP)
        self.write(b, len(self.content), "day=3", CompressionCodec.SNAPPY)

    def write(
        self,
        begin: int,
        end: int,
        postfix: str,
        codec: CompressionCodec = CompressionCodec.ZSTANDARD,
    ) -> None:
        content = self.content[begin:end]
        write_fragment(self.root, JOURNAL, begin, content, codec=codec, postfix=postfix)

    def day_of(self, row: int) -> str:
        """Return the partition of the file in which a row begins."""
        begin = len(rows(0, row))
        return str(1 + sum(begin >= border for border in self.borders))

    def rows_of(self, day: str) -> list[int]:
        return [row for row in range(300) if self.day_of(row) == day]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.fixture
def table(files: Files) -> Iterator[JournalTable]:
    with lake.table(JOURNAL, store="file:///", file_root=str(files.root)) as opened:
        yield opened


class ReadParts:
    """Tells which parts of files were read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.postfixes: list[str] = []
        read = StoreSource.read

        def watched(source: Any, snapshot: Any, parts: Any) -> Any:
            self.postfixes += [part.postfix for part in parts]
            return read(source, snapshot, parts)

        monkeypatch.setattr(StoreSource, "read", watched)


@pytest.fixture
def read_parts(monkeypatch: pytest.MonkeyPatch) -> ReadParts:
    return ReadParts(monkeypatch)


def test_each_record_is_there_once_with_its_offset_and_partition(
    files: Files, table: JournalTable
) -> None:
    found = table.reader().read_all().to_pylist()
    assert found == [
        {
            "id": row,
            "item": "tea",
            "_journal": JOURNAL,
            "_offset": len(rows(0, row)),
            "day": files.day_of(row),
        }
        for row in range(300)
    ]


@pytest.mark.parametrize("day", ["1", "2", "3"])
def test_records_which_cross_borders_are_whole_where_files_are_left_out(
    files: Files, table: JournalTable, read_parts: ReadParts, day: str
) -> None:
    field = ds.field("day")
    assert ids(table, filter=field == day) == files.rows_of(day)
    assert ids(table, filter=field != day) == [r for r in range(300) if files.day_of(r) != day]


def test_a_predicate_on_partitions_leaves_out_files(
    files: Files, table: JournalTable, read_parts: ReadParts
) -> None:
    read_parts.postfixes.clear()
    assert ids(table, filter=ds.field("day") == "3") == files.rows_of("3")
    assert read_parts.postfixes == ["day=2", "day=3"]  # Whether a record begins with the third.
    assert ids(table, filter=ds.field("day") == "3") == files.rows_of("3")
    assert read_parts.postfixes == ["day=2", "day=3", "day=3"]  # That is remembered.
    assert ids(table, filter=ds.field("day") == "4") == []
    assert ids(table, filter=ds.field("_offset") >= files.borders[1]) == files.rows_of("3")
    assert read_parts.postfixes == ["day=2", "day=3", "day=3", "day=3"]


def test_duckdb_leaves_out_files_and_checks_the_rest(files: Files, read_parts: ReadParts) -> None:
    with (
        duckdb.connect() as con,
        lake.duckdb(con, JOURNAL, store="file:///", file_root=str(files.root)),
    ):
        query = 'SELECT count(*), min(id), max(id), min("_offset") FROM "acme/orders"'
        assert con.sql(query).fetchall() == [(300, 0, 299, 0)]
        read_parts.postfixes.clear()
        wanted = files.rows_of("3")
        found = con.sql(f"{query} WHERE day = '3' AND id >= 0").fetchall()
        assert found == [(len(wanted), wanted[0], 299, len(rows(0, wanted[0])))]
        assert read_parts.postfixes == ["day=2", "day=3"]
        assert con.sql(f"{query} WHERE day IN ('1', '3')").fetchall()[0][0] == 300 - len(
            files.rows_of("2")
        )
        assert con.sql(f"{query} WHERE _journal = 'other'").fetchall()[0][0] == 0
        assert con.sql('SELECT id FROM "acme/orders" LIMIT 2').fetchall() == [(0,), (1,)]


def test_polars_leaves_out_files(files: Files, table: JournalTable, read_parts: ReadParts) -> None:
    read_parts.postfixes.clear()
    frame = table.polars()
    found = frame.filter(pl.col("day") == "3").select("id").collect()
    assert found["id"].to_list() == files.rows_of("3")
    assert read_parts.postfixes == ["day=2", "day=3"]
    both = frame.filter((pl.col("day") == "1") & (pl.col("id") > 5)).collect()
    assert both["id"].to_list() == files.rows_of("1")[6:]
    assert frame.head(3).collect()["id"].to_list() == [0, 1, 2]
    assert frame.select(pl.len()).collect().item() == 300


def test_a_dataset_of_arrow_counts_and_previews(table: JournalTable) -> None:
    dataset = table.dataset()
    assert dataset.count_rows() == 300
    assert dataset.head(2, columns=["id"]).to_pylist() == [{"id": 0}, {"id": 1}]
    assert dataset.to_table(columns=["id"], filter=ds.field("id") > 297).num_rows == 2
    assert sum(batch.num_rows for batch in table.batches([])) == 300


def test_pandas_has_all_rows(table: JournalTable) -> None:
    pytest.importorskip("pandas")
    assert table.pandas(["id"])["id"].tolist() == list(range(300))


def test_a_library_which_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(extras, "import_module", missing)
    with pytest.raises(ConfigError, match=r"polars: it is not installed.*'gazette-py\[lake\]'"):
        extras.require("polars.io")


# Records.


def written(root: Path, content: bytes, **options: Any) -> Any:
    write_fragment(root, JOURNAL, 0, content)
    return lake.table(JOURNAL, store="file:///", file_root=str(root), **options)


def test_blank_lines_are_no_records(tmp_path: Path) -> None:
    with written(tmp_path, b'\n{"id":1}\r\n \r\n\n{"id":2}\n') as table:
        found = [(row["id"], row["_offset"]) for row in table.reader().read_all().to_pylist()]
    assert found == [(1, 1), (2, 15)]


def test_a_last_line_without_its_end_is_no_record_yet(tmp_path: Path) -> None:
    with written(tmp_path, rows(0, 3) + b'{"id":3') as table:
        assert ids(table) == [0, 1, 2]


@pytest.mark.parametrize("bad", [b"nonsense\n", b'{"id":"x"}\n', b'{"id":1}{"id":2}\n', b"[1]\n"])
def test_a_bad_record_is_named_by_its_offset(tmp_path: Path, bad: bytes) -> None:
    content = rows(0, 50) + bad + rows(50, 60)
    with (
        written(tmp_path, content, columns={"id": "int64"}) as table,
        pytest.raises(RecordError) as caught,
    ):
        ids(table)
    assert caught.value.offset == len(rows(0, 50))


def test_columns_may_be_named(tmp_path: Path) -> None:
    content = b'{"id":1,"at":"2026-11-26T01:02:03Z","more":[1]}\n{"id":2}\n'
    columns = {"id": "string", "at": "timestamp[us]", "none": pa.list_(pa.int64())}
    with written(
        tmp_path, content.replace(b":1,", b':"1",').replace(b":2}", b':"2"}'), columns=columns
    ) as table:
        found = table.reader(["id", "at", "none"]).read_all()
    assert [str(kind) for kind in found.schema.types] == [
        "string",
        "timestamp[us]",
        "list<item: int64>",
    ]
    assert found.column("id").to_pylist() == ["1", "2"]


def test_csv_has_no_header(tmp_path: Path) -> None:
    with written(
        tmp_path, b'1,"a, b"\n2,\n', format="csv", columns={"n": "int64", "s": "string"}
    ) as t:
        assert t.reader(["s", "n"]).read_all().to_pylist() == [
            {"s": "a, b", "n": 1},
            {"s": None, "n": 2},
        ]


def test_a_line_within_quotes_of_csv_is_no_record(tmp_path: Path) -> None:
    with (
        written(
            tmp_path, b'1,"a\nb"\n2,c\n', format="csv", columns={"n": "int64", "s": "string"}
        ) as t,
        pytest.raises(RecordError),
    ):
        t.reader().read_all()


def test_lines_are_there_as_they_are(tmp_path: Path) -> None:
    with written(tmp_path, b"a b\r\n{\n", format="lines") as table:
        assert table.reader(["line", "_offset"]).read_all().to_pylist() == [
            {"line": "a b", "_offset": 0},
            {"line": "{", "_offset": 5},
        ]


def test_a_function_may_parse(tmp_path: Path) -> None:
    """Records of any kind, as long as each ends with a newline."""
    schema = pa.schema([("key", pa.string()), ("value", pa.int64())])

    def parse(lines: list[bytes]) -> pa.Table:
        pairs = [line.decode().split("=") for line in lines]
        return pa.table([[key for key, _ in pairs], [int(v) for _, v in pairs]], schema=schema)

    with written(tmp_path, b"a=1\nb=2\n", format=lake.Parsed(schema, parse)) as table:
        found = table.reader(["value", "_offset"]).read_all().to_pylist()
    assert found == [{"value": 1, "_offset": 0}, {"value": 2, "_offset": 4}]


def test_values_are_of_the_first_rows_unless_columns_are_named(tmp_path: Path) -> None:
    with written(tmp_path, b'{"id":1,"unknown":null}\n') as table:
        assert table.schema.field("id").type == pa.int64()
        assert table.schema.field("unknown").type == pa.string()


# What is wrong.


def test_a_damaged_file_ends_every_engine(files: Files) -> None:
    path = next(files.root.glob("acme/orders/day=2/*"))
    path.write_bytes(path.read_bytes()[:-40])
    options = {"store": "file:///", "file_root": str(files.root), "columns": {"id": "int64"}}
    with lake.table(JOURNAL, **options) as table:
        with pytest.raises(CorruptFragmentError):
            table.reader().read_all()
        with pytest.raises(CorruptFragmentError):
            table.polars().collect()
    with (
        duckdb.connect() as con,
        lake.duckdb(con, JOURNAL, **options),
        pytest.raises(duckdb.Error, match="CorruptFragmentError"),
    ):
        con.sql('SELECT max(id) FROM "acme/orders"').fetchall()


def test_a_missing_file_is_told_before_anything_is_read(files: Files) -> None:
    next(files.root.glob("acme/orders/day=2/*")).unlink()
    options = {"store": "file:///", "file_root": str(files.root)}
    with pytest.raises(OffsetJumpError):
        lake.table(JOURNAL, **options)
    # What follows the gap is the end of a line: no record, and no reason to be silent.
    with (
        lake.table(JOURNAL, skip_gaps=True, **options) as table,
        pytest.raises(RecordError) as caught,
    ):
        table.reader().read_all()
    assert caught.value.offset == files.borders[1]


def test_a_gap_may_be_passed_over(tmp_path: Path) -> None:
    content = rows(0, 30)
    write_fragment(tmp_path, JOURNAL, 0, rows(0, 10) + b'{"id":1')
    write_fragment(tmp_path, JOURNAL, len(rows(0, 20)), content[len(rows(0, 20)) :])
    options = {"store": "file:///", "file_root": str(tmp_path)}
    with pytest.raises(OffsetJumpError):
        lake.table(JOURNAL, **options)
    with lake.table(JOURNAL, skip_gaps=True, **options) as table:
        assert ids(table) == [*range(10), *range(20, 30)]


def test_a_beginning_is_gone_once_what_follows_is_stored_for_a_while(tmp_path: Path) -> None:
    """Before, it may be on its way, and rows would be missing without a word."""
    begin = len(rows(0, 10))
    path = write_fragment(tmp_path, JOURNAL, begin, rows(10, 20))
    options: dict[str, Any] = {"store": "file:///", "file_root": str(tmp_path)}
    with pytest.raises(OffsetJumpError):
        lake.table(JOURNAL, **options)
    os.utime(path, (time.time() - 3600,) * 2)
    with lake.table(JOURNAL, **options) as table:
        assert ids(table) == list(range(10, 20))
    with pytest.raises(OffsetJumpError):
        lake.table(JOURNAL, offset=1, **options)


def test_a_journal_without_files_is_no_empty_table(tmp_path: Path) -> None:
    with pytest.raises(StoreMissingError, match="there are no fragments"):
        lake.table("acme/typo", store="file:///", file_root=str(tmp_path))


@pytest.mark.parametrize(
    ("journals", "options", "reason"),
    [
        ("acme/", {}, "name each journal"),
        (JOURNAL, {"format": "xml"}, "'xml' is none of json, csv, lines"),
        (JOURNAL, {"columns": {"id": "BIGINT"}}, "no type of Arrow"),
        (JOURNAL, {"columns": {"day": "string"}}, "partitions=False"),
        (JOURNAL, {"columns": {"_offset": "int64"}}, "leave it out"),
    ],
)
def test_what_makes_no_sense_is_refused(
    files: Files, journals: str, options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValidationError, match=reason):
        lake.table(journals, store="file:///", file_root=str(files.root), **options)


def test_brokers_or_a_store_are_asked_for() -> None:
    with pytest.raises(ConfigError, match="address of brokers, or the URL of a store"):
        lake.table(JOURNAL)


def test_partitions_may_be_left_out(files: Files) -> None:
    with lake.table(
        JOURNAL, store="file:///", file_root=str(files.root), partitions=False
    ) as table:
        assert table.schema.names == ["id", "item", "_journal", "_offset"]
        assert ids(table) == list(range(300))


def test_an_unknown_column_is_refused(table: JournalTable) -> None:
    with pytest.raises(ValidationError, match="there is no column other"):
        list(table.batches(["other"]))


def test_postfixes_are_decoded_as_hive_does(tmp_path: Path) -> None:
    content = rows(0, 2)
    write_fragment(tmp_path, JOURNAL, 0, content, postfix="a%20b=c%2Fd")
    write_fragment(
        tmp_path, JOURNAL, len(content), rows(2, 3), postfix="x/a%20b=__HIVE_DEFAULT_PARTITION__"
    )
    with lake.table(JOURNAL, store="file:///", file_root=str(tmp_path)) as table:
        found = table.reader(["a b"]).read_all().column(0).to_pylist()
    assert found == ["c/d", "c/d", None]
