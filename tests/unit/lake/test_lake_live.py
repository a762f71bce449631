"""Tables over brokers: what is stored and the live tail in one relation, each record once."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

from gazette_py import lake
from gazette_py.errors import JournalNotFoundError, ValidationError
from gazette_py.protocol.enums import CompressionCodec
from gazette_py.protocol.journal import FragmentSpec
from gazette_py.protocol.labels import LabelSet
from gazette_py.testing.in_process import InProcessCluster

JOURNAL = "acme/orders"
MANY_FILES = FragmentSpec(
    length=1 << 12,
    compression_codec=CompressionCodec.GZIP,
    stores=("file:///",),
    refresh_interval_ns=1_000_000_000,
    path_postfix_template='first={{ printf "%08d" .Spool.Begin }}',
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[InProcessCluster]:
    with InProcessCluster(brokers=2) as running:
        yield running


def row(number: int) -> bytes:
    return b'{"id":%d,"item":"tea"}\n' % number


def append(cluster: InProcessCluster, journal: str, *contents: bytes) -> None:
    async def work() -> None:
        async with cluster.connect() as client:
            for content in contents:
                await client.append(journal, content)

    asyncio.run(work())


def stored_end(cluster: InProcessCluster, journal: str) -> int:
    ends = [int(path.name[17:33], 16) for path in (cluster.store / journal).rglob("*.gz")]
    return max(ends, default=0)


def test_what_is_stored_and_what_is_not_are_one_relation(cluster: InProcessCluster) -> None:
    """While somebody appends, in pieces which are no lines: every snapshot is a whole prefix."""
    journal = "live/appended-meanwhile"
    cluster.create(journal, fragment=MANY_FILES)
    content = b"".join(map(row, range(4000)))
    pieces = [content[at : at + 700] for at in range(0, len(content), 700)]
    append(cluster, journal, *pieces[:20])
    appending = threading.Thread(target=append, args=(cluster, journal, *pieces[20:]))
    with (
        duckdb.connect() as con,
        lake.duckdb(
            con, journal, "live", address=cluster.address, file_root=str(cluster.store)
        ) as view,
    ):
        appending.start()
        sizes = []
        query = "SELECT count(*), min(id), max(id), count(DISTINCT id), max(_offset) FROM live"
        while True:
            is_last = not appending.is_alive()
            view.refresh()
            snapshot = view.table.snapshots[journal]
            ((count, least, most, distinct, last),) = con.sql(query).fetchall()
            assert (least, most, distinct) == (0, count - 1, count)
            assert last == len(b"".join(map(row, range(count - 1))))
            # Whatever was acknowledged before is there, but for a line which is not complete.
            assert len(b"".join(map(row, range(count + 1)))) > snapshot.end
            assert con.sql(query).fetchall() == [(count, least, most, distinct, last)]
            sizes.append(count)
            if is_last:
                break
        appending.join()
        assert sizes[-1] == 4000
        assert sizes == sorted(sizes)
        assert con.sql("SELECT id, _offset FROM live").fetchall() == [
            (number, len(b"".join(map(row, range(number))))) for number in range(4000)
        ]
        assert 0 < stored_end(cluster, journal) < len(content)
        while not any(part.postfix for part in view.refresh().table.snapshots[journal].parts):
            pass  # Brokers list their stores every second.
        assert con.sql("SELECT count(*) FROM live WHERE first IS NULL").fetchall()[0][0] > 0
        first = con.sql("SELECT count(*) FROM live WHERE first = '00000000'").fetchall()[0][0]
        assert first == 31  # The last line of the first file ends in the second one.


def test_several_journals_are_one_table(cluster: InProcessCluster) -> None:
    for number in range(3):
        cluster.create(f"several/{number}")
        append(cluster, f"several/{number}", row(number))
    with duckdb.connect() as con, lake.duckdb(con, "several/", address=cluster.address):
        assert con.sql('SELECT _journal, id FROM "several" ORDER BY ALL').fetchall() == [
            ("several/0", 0),
            ("several/1", 1),
            ("several/2", 2),
        ]
        assert con.sql("SELECT id FROM several WHERE _journal > 'several/1'").fetchall() == [(2,)]
        cluster.create("several/3")
        append(cluster, "several/3", row(3))
        assert con.sql("SELECT count(*) FROM several").fetchall() == [(3,)]
    with lake.table(["several/3", "several/0"], address=cluster.address) as table:
        assert table.reader(["id"]).read_all().column(0).to_pylist() == [0, 3]


def test_partitions_are_columns_before_anything_is_stored(cluster: InProcessCluster) -> None:
    """So that a query of a new journal does not fail."""
    cluster.create("partitioned", fragment=MANY_FILES)
    append(cluster, "partitioned", row(0))
    with duckdb.connect() as con, lake.duckdb(con, "partitioned", address=cluster.address):
        assert con.sql("SELECT id, first FROM partitioned").fetchall() == [(0, None)]


def test_columns_of_an_empty_journal_are_found_once_there_is_a_record(
    cluster: InProcessCluster,
) -> None:
    cluster.create("empty")
    with duckdb.connect() as con, lake.duckdb(con, "empty", address=cluster.address) as view:
        assert con.sql("SELECT * FROM empty").columns == ["_journal", "_offset"]
        append(cluster, "empty", row(7))
        view.refresh()
        assert con.sql("SELECT id FROM empty").fetchall() == [(7,)]


def test_the_label_content_type_chooses_the_format(cluster: InProcessCluster) -> None:
    for name, content_type in (("csv", "text/csv"), ("image", "image/png"), ("json", "")):
        labels = LabelSet.of(("content-type", content_type)) if content_type else LabelSet()
        cluster.create(f"types/{name}", labels=labels)
    append(cluster, "types/csv", b"1,a\n")
    with lake.table(
        "types/csv", address=cluster.address, columns={"n": "int64", "s": "string"}
    ) as t:
        assert t.reader(["n", "s"]).read_all().to_pylist() == [{"n": 1, "s": "a"}]
    with pytest.raises(ValidationError, match="image/png"):
        lake.table("types/image", address=cluster.address)
    with pytest.raises(ValidationError, match="types/csv and types/json have different"):
        lake.table(["types/csv", "types/json"], address=cluster.address)


def test_a_journal_which_does_not_exist_is_named(cluster: InProcessCluster) -> None:
    with pytest.raises(JournalNotFoundError, match="acme/typo"):
        lake.table("acme/typo", address=cluster.address)


def test_the_name_of_a_view_may_be_needed(cluster: InProcessCluster) -> None:
    options: dict[str, Any] = {"address": cluster.address}
    with duckdb.connect() as con, pytest.raises(ValidationError, match="give the view a name"):
        lake.duckdb(con, ["a", "b"], **options)
