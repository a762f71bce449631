"""Plain SQL over files: DuckDB alone reads what it names, and each row once."""

import os
import time
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner
from fragment_files import write_fragment

from gazette_py.cli.journalctl import cli
from gazette_py.protocol.enums import CompressionCodec

JOURNAL = "acme/orders"


def rows(begin: int, end: int) -> bytes:
    return b"".join(b'{"id":%d,"item":"it\'s"}\n' % number for number in range(begin, end))


def at(row: int) -> int:
    return len(rows(0, row))


def sql(root: Path, *options: str) -> tuple[int, str]:
    arguments = ["lake", "sql", JOURNAL, "--store", "file:///", "--file-root", str(root), *options]
    done = CliRunner().invoke(cli, arguments)
    return done.exit_code, done.output


def test_duckdb_alone_reads_each_row_once(tmp_path: Path) -> None:
    """Files of replicas overlap, and still some of them are whole."""
    write_fragment(tmp_path, JOURNAL, 0, rows(0, 10), postfix="day=1")
    write_fragment(
        tmp_path, JOURNAL, at(5), rows(5, 20), codec=CompressionCodec.GZIP, postfix="day=1"
    )
    write_fragment(
        tmp_path, JOURNAL, at(10), rows(10, 20), codec=CompressionCodec.GZIP, postfix="day=2"
    )
    write_fragment(
        tmp_path, JOURNAL, at(20), rows(20, 30), codec=CompressionCodec.ZSTANDARD, postfix="day=2"
    )
    code, statement = sql(tmp_path)
    assert code == 0
    assert f"-- {JOURNAL}: offsets 0 to {at(30)}, in 3 files." in statement
    with duckdb.connect() as con:
        found = con.sql(statement).fetchall()
        assert sorted(found) == [(n, "it's", 1 if n < 10 else 2) for n in range(30)]


def test_a_beginning_which_was_pruned_is_no_gap(tmp_path: Path) -> None:
    """Once nothing which belongs before it can be on its way."""
    first = write_fragment(tmp_path, JOURNAL, at(10), rows(10, 20))
    write_fragment(tmp_path, JOURNAL, at(20), rows(20, 30))
    assert sql(tmp_path)[0] != 0
    stored = time.time() - 3600
    os.utime(first, (stored, stored))
    code, statement = sql(tmp_path)
    assert code == 0
    assert f"offsets {at(10)} to {at(30)}, in 2 files." in statement


def test_csv_and_lines(tmp_path: Path) -> None:
    write_fragment(tmp_path, JOURNAL, 0, b'1,"a, b"\n2,\n')
    with duckdb.connect() as con:
        assert con.sql(sql(tmp_path, "--format", "csv")[1]).fetchall() == [(1, "a, b"), (2, None)]
        lines = con.sql(sql(tmp_path, "--format", "lines")[1])
        assert (lines.columns, lines.fetchall()) == (["line"], [('1,"a, b"',), ("2,",)])


def test_files_which_do_not_fit_are_an_error(tmp_path: Path) -> None:
    assert "nothing of it is stored yet" in sql(tmp_path)[1]
    write_fragment(tmp_path, JOURNAL, 0, rows(0, 10))
    write_fragment(tmp_path, JOURNAL, at(5), rows(5, 20))
    code, output = sql(tmp_path)
    assert code == 2
    assert "have a gap after offset 0, or overlap" in output


def test_a_codec_which_others_do_not_know_is_an_error(tmp_path: Path) -> None:
    write_fragment(tmp_path, JOURNAL, 0, rows(0, 10), codec=CompressionCodec.SNAPPY)
    assert "do not know the codec" in sql(tmp_path)[1]


@pytest.mark.parametrize("name", ["acme/", "-l"])
def test_a_store_does_not_know_which_journals_there_are(tmp_path: Path, name: str) -> None:
    arguments = ["lake", "sql", *([name, "env=prod"] if name == "-l" else [name])]
    done = CliRunner().invoke(cli, [*arguments, "--store", "file:///"])
    assert done.exit_code == 2
    assert "Name each journal in full." in done.output


def test_of_several_journals_one_may_have_nothing_yet(tmp_path: Path) -> None:
    write_fragment(tmp_path, JOURNAL, 0, rows(0, 10))
    code, statement = sql(tmp_path, "other/journal")
    assert code == 0
    assert "-- other/journal: nothing of it is stored yet.\n" in statement
    with duckdb.connect() as con:
        assert len(con.sql(statement).fetchall()) == 10
