"""Tables over brokers: what is stored and the live tail in one relation, each record once."""

import asyncio
import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from local_clusters import eventually

from gazette_py import lake
from gazette_py.errors import JournalNotFoundError, OffsetJumpError, ValidationError
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


def wait_stored(cluster: InProcessCluster, journal: str, count: int) -> list[Path]:
    """Wait until brokers have listed so many files, and let go of their own; return these."""

    async def work() -> None:
        async with cluster.connect() as client:

            async def check() -> bool:
                found = [f.fragment async for f in client.fragments(journal)]
                return sum(bool(fragment.mod_time) for fragment in found) >= count

            await eventually(check, "stored")

    asyncio.run(work())
    return sorted((cluster.store / journal).rglob("*.gz"), key=lambda path: path.name)


def lose(cluster: InProcessCluster, journal: str, files: Sequence[Path], age_s: float) -> None:
    """Remove files, and wait until brokers have heard of it; all others are of an age."""

    async def work() -> None:
        async with cluster.connect() as client:
            lost = {int(path.name[:16], 16) for path in files}

            async def check() -> bool:
                found = [f.fragment async for f in client.fragments(journal)]
                return not lost.intersection(fragment.begin for fragment in found) and all(
                    fragment.mod_time < time.time() - age_s + 60 for fragment in found
                )

            await eventually(check, "gone")

    for path in files:
        path.unlink()
    for path in (cluster.store / journal).rglob("*.gz"):
        os.utime(path, (time.time() - age_s,) * 2)
    asyncio.run(work())


def ids(table: lake.JournalTable) -> list[int]:
    return [i for batch in table.batches(["id"]) for i in batch.column(0).to_pylist()]


def test_a_beginning_which_retention_removed_is_not_missing(cluster: InProcessCluster) -> None:
    """Who asks for all has what there is; who asks for an offset, which is gone, is told."""
    journal = "lost/beginning"
    cluster.create(journal, fragment=replace(MANY_FILES, length=1 << 10))
    append(cluster, journal, *(row(n) * 60 for n in range(8)))
    files = wait_stored(cluster, journal, 6)
    end = int(files[1].name[17:33], 16)
    lose(cluster, journal, files[:2], age_s=3600)

    with lake.table(journal, address=cluster.address) as table:
        assert ids(table) == [n for n in range(2, 8) for _ in range(60)]
        append(cluster, journal, row(8))
        assert ids(table.refresh())[-1] == 8
    with lake.table(journal, store="file:///", file_root=str(cluster.store)) as table:
        assert next(table.batches(["_offset"])).column(0)[0].as_py() == end
    with pytest.raises(OffsetJumpError) as caught:
        lake.table(journal, address=cluster.address, offset=len(row(0)))
    assert (caught.value.offset, caught.value.to) == (len(row(0)), end)


def test_content_which_was_lost_long_ago_is_told_at_once(cluster: InProcessCluster) -> None:
    """Brokers would have readers wait for it, for hours."""
    lost = slice(2, 4)
    journal = "lost/middle"
    cluster.create(journal, fragment=replace(MANY_FILES, length=1 << 10))
    append(cluster, journal, *(row(n) * 60 for n in range(8)))
    files = wait_stored(cluster, journal, 6)
    begin, end = int(files[lost][0].name[:16], 16), int(files[lost][-1].name[17:33], 16)
    lose(cluster, journal, files[lost], age_s=3600)

    with pytest.raises(OffsetJumpError) as caught:
        lake.table(journal, address=cluster.address)
    assert (caught.value.offset, caught.value.to) == (begin, end)
    with lake.table(journal, address=cluster.address, skip_gaps=True) as table:
        kept = [n for n in range(8) if n not in range(lost.start, lost.stop)]
        assert ids(table) == [n for n in kept for _ in range(60)]


def test_content_which_may_still_come_is_waited_for(cluster: InProcessCluster) -> None:
    """As long as we bear without content; then it is missing, and no call hangs."""
    journal = "lost/lately"
    cluster.create(journal, fragment=replace(MANY_FILES, length=1 << 10))
    append(cluster, journal, *(row(n) * 60 for n in range(8)))
    files = wait_stored(cluster, journal, 6)
    content = files[2].read_bytes()
    lose(cluster, journal, files[2:3], age_s=0)

    with pytest.raises(OffsetJumpError):
        lake.table(journal, address=cluster.address, timeout_s=2)

    returning = threading.Timer(0.5, files[2].write_bytes, (content,))
    returning.start()
    with lake.table(journal, address=cluster.address) as table:
        assert ids(table) == [n for n in range(8) for _ in range(60)]
    returning.join()


def test_a_journal_all_of_whose_content_is_gone_is_told(cluster: InProcessCluster) -> None:
    journal = "lost/all"
    cluster.create(journal, fragment=replace(MANY_FILES, length=1 << 10))
    append(cluster, journal, *(row(n) * 60 for n in range(3)))
    files = wait_stored(cluster, journal, 2)
    lose(cluster, journal, files, age_s=3600)
    with pytest.raises(OffsetJumpError):
        lake.table(journal, address=cluster.address, timeout_s=2)
