"""The demo's flights, counted alike by whoever reads them: engines, files, and our own reader."""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import duckdb
import polars as pl
import pyarrow.compute as pc
import pytest
from click.testing import CliRunner
from flight_journals import JOURNALS, TYPES, Counted, append_flights, expected_count

from gazette_py import lake
from gazette_py.cli.journalctl import cli
from gazette_py.lake.filesystem import JournalFileSystem
from gazette_py.testing.in_process import InProcessCluster


@pytest.fixture(scope="module")
def expected() -> Counted:
    return expected_count()


@pytest.fixture(scope="module")
def cluster() -> Iterator[InProcessCluster]:
    with InProcessCluster() as running:

        async def fill() -> None:
            async with running.connect() as client:
                await append_flights(client)

        asyncio.run(fill())
        yield running


@pytest.fixture
def table(cluster: InProcessCluster) -> Iterator[lake.JournalTable]:
    with lake.table(
        "demo/", address=cluster.address, file_root=str(cluster.store), columns=TYPES
    ) as opened:
        yield opened


def by_duckdb(table: Any) -> Counted:
    with duckdb.connect() as con:
        con.register("flights", table.dataset())
        return con.sql("SELECT count(*), sum(distance)::BIGINT FROM flights").fetchall()[0]


def by_polars(table: Any) -> Counted:
    return table.polars().select(pl.len(), pl.col("distance").sum()).collect().row(0)


def by_arrow(table: Any) -> Counted:
    rows = distance = 0
    for batch in table.reader(["distance"]):
        rows += batch.num_rows
        distance += pc.sum(batch.column(0)).as_py()
    return rows, distance


def by_pandas(table: Any) -> Counted:
    pytest.importorskip("pandas")
    frame = table.pandas(["distance"])
    return len(frame), int(frame["distance"].sum())


@pytest.mark.parametrize("count", [by_duckdb, by_polars, by_arrow, by_pandas])
def test_engines_count_what_was_appended(
    table: Any, expected: Counted, count: Callable[[Any], Counted]
) -> None:
    assert count(table) == expected


def test_files_of_fsspec_hold_what_was_appended(
    cluster: InProcessCluster, expected: Counted
) -> None:
    fs = JournalFileSystem(cluster.address, file_root=str(cluster.store), skip_instance_cache=True)
    try:
        rows = distance = 0
        for name in fs.find("demo"):
            with fs.open(name, "rt") as file:
                for line in file:
                    rows += 1
                    distance += json.loads(line)["distance"]
        assert (rows, distance) == expected
    finally:
        fs.close()


async def test_our_reader_hands_out_what_was_appended(
    cluster: InProcessCluster, expected: Counted
) -> None:
    rows = distance = 0
    async with cluster.connect() as client:
        for name in JOURNALS:
            async with client.reader(name) as reader:
                async for batch in reader.lines():
                    rows += len(batch.lines)
                    distance += sum(json.loads(line)["distance"] for line in batch.lines)
    assert (rows, distance) == expected


def test_sql_over_files_counts_what_is_stored(cluster: InProcessCluster, table: Any) -> None:
    """DuckDB alone, up to the offsets which the comments of the statement tell."""
    arguments = ["lake", "sql", "demo/", "--broker.address", cluster.addresses[0]]
    arguments += ["--file-root", str(cluster.store)]
    while (done := CliRunner().invoke(cli, arguments)).exit_code:
        assert "nothing of it is stored yet" in done.output  # Stores are listed every second.
    ends = re.findall(r"^-- (\S+): offsets 0 to (\d+), in \d+ files\.$", done.output, re.MULTILINE)
    assert [name for name, _ in ends] == JOURNALS
    statement = re.sub(r"^--.*\n", "", done.output, flags=re.MULTILINE)
    with duckdb.connect() as con:
        con.execute(f"CREATE TABLE stored AS {statement}")
        con.register("everything", table.dataset())
        columns = "count(*), sum(distance), sum(flight), count(DISTINCT tailnum)"
        below = " OR ".join(f"(_journal = '{name}' AND _offset < {end})" for name, end in ends)
        found = con.sql(f"SELECT {columns} FROM stored").fetchall()
        assert found == con.sql(f"SELECT {columns} FROM everything WHERE {below}").fetchall()
        assert found[0][0] > 0
