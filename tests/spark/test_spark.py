"""Spark reads what brokers stored: by itself, from files and from S3, and by our source.

    pytest -m spark tests/spark

Needs Java 17, the extra `spark`, and for S3 versitygw and a repository of Java packages. A minute
or two, most of which Spark takes. GAZETTE_TEST_SPARK_S3=0 leaves S3 out.
"""

import hashlib
import importlib.util
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from docs_pages import DOCS
from flight_journals import JOURNALS, TYPES, Counted, append_flights, expected_count
from local_clusters import apply, config, spec
from versitygw_server import S3Server

from gazette_py import lake
from gazette_py.client import Client
from gazette_py.errors import CorruptFragmentError, OffsetJumpError, ValidationError
from gazette_py.local.cluster import LocalCluster
from gazette_py.protocol.enums import CompressionCodec
from gazette_py.protocol.fragment import Fragment, content_path
from gazette_py.protocol.watermark import Watermark

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [
    pytest.mark.spark,
    pytest.mark.timeout(600),
    # Of Spark's own threads and sockets.
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(
        importlib.util.find_spec("pyspark") is None or shutil.which("java") is None,
        reason="needs the extra `spark`, and Java",
    ),
]

HADOOP, SDK = "3.5.0", "2.35.4"
"""As Spark 4.3 has them. The SDK's parts are named, since the whole is half a gigabyte."""

S3_PACKAGES = ",".join(
    [
        f"org.apache.hadoop:hadoop-aws:{HADOOP}",
        *(
            f"software.amazon.awssdk:{part}:{SDK}"
            for part in ("s3", "s3-transfer-manager", "sts", "apache-client", "netty-nio-client")
        ),
    ]
)
WITH_S3 = os.environ.get("GAZETTE_TEST_SPARK_S3", "1") != "0"
ROWS = 600
SUM = ROWS * (ROWS - 1) // 2


@pytest.fixture(scope="module")
def spark() -> "Iterator[SparkSession]":
    from pyspark.sql import SparkSession

    from gazette_py.lake.spark import GazetteDataSource

    # Or its Python processes are of the first `python3` on PATH, which may be without our package.
    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.memory", "1g")
        .config("spark.sql.shuffle.partitions", "2")
        # Of the Python processes, which read stores by our source.
        .config("spark.executorEnv.AWS_ACCESS_KEY_ID", "test-access")
        .config("spark.executorEnv.AWS_SECRET_ACCESS_KEY", "test-secret")
    )
    if WITH_S3:
        builder = builder.config("spark.jars.packages", S3_PACKAGES)
        builder = builder.config("spark.jars.excludes", "software.amazon.awssdk:bundle")
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    session.dataSource.register(GazetteDataSource)
    yield session
    session.stop()


async def append_rows(client: Client, journal: str) -> list[int]:
    """Append rows, ten at a time, and return the offset of each."""
    offsets = []
    for first in range(0, ROWS, 10):
        lines = [
            json.dumps({"id": n, "pad": "x" * 40}).encode() + b"\n"
            for n in range(first, first + 10)
        ]
        begin = (await client.append(journal, b"".join(lines), timeout_s=30)).commit.begin
        for line in lines:
            offsets.append(begin)
            begin += len(line)
    return offsets


async def store_rows(directory: Path, store: str) -> dict[str, list[int]]:
    """Have brokers store rows in journals of both codecs; return the offsets of all rows."""
    journals = {"rows/gzip": CompressionCodec.GZIP, "rows/zstd": CompressionCodec.ZSTANDARD}
    offsets = {}
    brokers = config(directory, brokers=2, store=store)
    async with LocalCluster(brokers) as cluster, cluster.connect() as client:
        for journal, codec in journals.items():
            made = spec(journal, store=store, replication=1, length=1 << 12, codec=codec)
            await apply(client, made)
            offsets[journal] = await append_rows(client, journal)
    return offsets  # What was open is stored as brokers stop.


def totals(rows: Any) -> tuple[int, int]:
    """Return the count of rows, and the sum of their IDs."""
    (found,) = rows.selectExpr("count(*) AS n", "sum(id) AS total").collect()
    return found.n, found.total


def parsed(rows: Any) -> Any:
    return rows.selectExpr("from_json(value, 'id BIGINT').id AS id", "_journal", "_offset")


async def test_files_of_a_directory(tmp_path: Path, spark: "SparkSession") -> None:
    offsets = await store_rows(tmp_path, "file:///")
    root = tmp_path / "cluster" / "fragments"
    for journal in offsets:
        assert len(list((root / journal).iterdir())) > 3
        assert totals(spark.read.json(str(root / journal))) == (ROWS, SUM)
    source = spark.read.format("gazette").option("store", "file:///").option("fileRoot", str(root))
    rows = parsed(source.load(", ".join(offsets)))
    assert totals(rows) == (2 * ROWS, 2 * SUM)
    for journal, expected in offsets.items():
        found = rows.where(f"_journal = '{journal}'").orderBy("id").collect()
        assert [row._offset for row in found] == expected


async def test_the_flights_are_counted_as_by_others(tmp_path: Path, spark: "SparkSession") -> None:
    """By Spark's own reader, by our source, and by engines without Spark, over the same files."""
    async with LocalCluster(config(tmp_path, brokers=1)) as cluster, cluster.connect() as client:
        await append_flights(client)
    root = tmp_path / "cluster" / "fragments"
    expected = expected_count()

    # Directories of several journals, which have partitions, are no one table to Spark.
    own = spark.read.option("recursiveFileLookup", "true").json(str(root / "demo" / "flights"))
    assert counted(own) == expected
    source = spark.read.format("gazette").option("store", "file:///").option("fileRoot", str(root))
    rows = source.load(",".join(JOURNALS)).selectExpr(
        "from_json(value, 'distance BIGINT').distance AS distance"
    )
    assert counted(rows) == expected
    with lake.table(JOURNALS, store="file:///", file_root=str(root), columns=TYPES) as table:
        arrow = table.reader(["distance"]).read_all()
    assert (arrow.num_rows, sum(arrow.column(0).to_pylist())) == expected


def counted(rows: Any) -> Counted:
    (found,) = rows.selectExpr("count(*) AS n", "sum(distance) AS total").collect()
    return found.n, found.total


needs_s3 = pytest.mark.skipif(
    not WITH_S3, reason="GAZETTE_TEST_SPARK_S3=0: without Java packages for S3"
)


def use_s3(spark: "SparkSession", s3: S3Server) -> None:
    hadoop = spark.sparkContext._jsc.hadoopConfiguration()
    for name, value in {
        "fs.s3a.access.key": s3.access_key,
        "fs.s3a.secret.key": s3.secret_key,
        "fs.s3a.endpoint": s3.endpoint,
        "fs.s3a.endpoint.region": "us-east-1",
        "fs.s3a.path.style.access": "true",
    }.items():
        hadoop.set(name, value)


@needs_s3
async def test_the_page_of_spark(tmp_path: Path, spark: "SparkSession", s3: S3Server) -> None:
    """Its code as it stands, but for the name of the bucket."""
    use_s3(spark, s3)
    orders, returns = "acme/orders", "acme/returns"
    brokers = config(tmp_path, brokers=1, store=s3.url())
    async with LocalCluster(brokers) as cluster, cluster.connect() as client:
        for journal in (orders, returns):
            await apply(client, spec(journal, store=s3.url(), replication=1, length=1 << 12))
            await append_rows(client, journal)

    page = (DOCS / "how-to" / "read-fragments-with-spark.md").read_text()
    known: dict[str, Any] = {"spark": spark}
    counts = []
    for code in re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        code = code.replace('"s3://bucket/"', repr(s3.url()))
        exec(code.replace("//bucket/", f"//{s3.bucket}/"), known)
        counts.append(known["rows"].count())

    assert counts == [ROWS, 2 * ROWS, 2 * ROWS]
    assert known["orders"].filter(f"_journal = '{orders}' AND row.id >= 0").count() == ROWS


@needs_s3
async def test_files_of_s3(tmp_path: Path, spark: "SparkSession", s3: S3Server) -> None:
    offsets = await store_rows(tmp_path, s3.url())
    use_s3(spark, s3)
    for journal in offsets:
        assert totals(spark.read.json(f"s3a://{s3.bucket}/{journal}/")) == (ROWS, SUM)
    rows = parsed(spark.read.format("gazette").option("store", s3.url()).load(", ".join(offsets)))
    assert totals(rows) == (2 * ROWS, 2 * SUM)


# Our source by itself, without Spark's engine.


def source(root: Path, path: str = "rows/lines", **options: str) -> Any:
    """Return its reader."""
    from pyspark.sql.types import BinaryType, LongType, StringType, StructField, StructType

    from gazette_py.lake.spark import GazetteDataSource

    kind = BinaryType() if options.pop("kind", "") == "binary" else StringType()
    columns = {"value": kind, "_journal": StringType(), "_offset": LongType()}
    schema = StructType([StructField(name, each) for name, each in columns.items()])
    given = {"store": "file:///", "fileRoot": str(root), "path": path, **options}
    return GazetteDataSource(given).reader(schema)


def put(root: Path, begin: int, content: bytes, journal: str = "rows/lines") -> None:
    fragment = Fragment(
        journal=journal,
        begin=begin,
        end=begin + len(content),
        sum=hashlib.sha1(content).digest(),
        compression_codec=CompressionCodec.NONE,
    )
    file = root / content_path(fragment)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def rows_of(reader: Any) -> list[tuple[object, int]]:
    batches = [b for partition in reader.partitions() for b in reader.read(partition)]
    assert {row["_journal"] for b in batches for row in b.to_pylist()} <= {"rows/lines"}
    return [(row["value"], row["_offset"]) for b in batches for row in b.to_pylist()]


def test_what_two_brokers_stored_is_there_once(tmp_path: Path) -> None:
    put(tmp_path, 0, b"one\ntwo\n")
    put(tmp_path, 4, b"two\nthree\n")
    assert rows_of(source(tmp_path)) == [("one", 0), ("two", 4), ("three", 8)]


def test_large_files_come_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gazette_py.lake import spark as module

    monkeypatch.setattr(module, "BATCH_BYTES", 1000)
    lines = [f"{n:09}" for n in range(300_000)]
    put(tmp_path, 0, "".join(f"{line}\n" for line in lines).encode())
    reader = source(tmp_path)
    (partition,) = reader.partitions()
    assert len(list(reader.read(partition))) > 1
    assert rows_of(reader) == [(line, 10 * n) for n, line in enumerate(lines)]


def test_only_what_is_whole_before_a_time(tmp_path: Path) -> None:
    midnight = datetime(2026, 11, 26, tzinfo=UTC)
    put(tmp_path, 0, b"one\ntwo\n")
    put(tmp_path, 8, b"three\n")
    with pytest.raises(ValidationError, match="journal rows/lines: is not whole yet before 2026"):
        source(tmp_path, before=midnight.isoformat()).partitions()
    mark = Watermark(journal="rows/lines", time=int(midnight.timestamp()), offset=4)
    (tmp_path / mark.path).parent.mkdir(parents=True)
    (tmp_path / mark.path).write_bytes(mark.to_json())
    assert rows_of(source(tmp_path, before=midnight.isoformat())) == [("one", 0)]
    # A name below the directory of watermarks is no fragment.
    assert len(rows_of(source(tmp_path))) == 3


def test_lines_which_are_no_text_are_read_as_bytes(tmp_path: Path) -> None:
    put(tmp_path, 0, b"one\n\xff\n")
    with pytest.raises(ValidationError, match=r"no UTF-8 within \[0, 6\): read `value` as BINARY"):
        rows_of(source(tmp_path))
    assert rows_of(source(tmp_path, kind="binary")) == [(b"one", 0), (b"\xff", 4)]


def test_what_is_torn_missing_or_corrupt_is_an_error(tmp_path: Path) -> None:
    put(tmp_path / "torn", 0, b"one\ntw")
    put(tmp_path / "torn", 6, b"o\n")
    with pytest.raises(ValidationError, match="has a line torn at offset 6"):
        rows_of(source(tmp_path / "torn"))
    put(tmp_path / "gap", 0, b"one\n")
    put(tmp_path / "gap", 9, b"two\n")
    with pytest.raises(OffsetJumpError, match="rows/lines"):
        rows_of(source(tmp_path / "gap"))
    put(tmp_path / "pruned", 4, b"two\n")
    (file,) = (tmp_path / "pruned" / "rows" / "lines").iterdir()
    os.utime(file, (0, 1e9))  # Long ago: what was before is not on its way.
    assert rows_of(source(tmp_path / "pruned")) == [("two", 4)]
    put(tmp_path / "bad", 0, b"one\n")
    (file,) = (tmp_path / "bad" / "rows" / "lines").iterdir()
    file.write_bytes(b"two\n")
    with pytest.raises(CorruptFragmentError, match="rows/lines"):
        rows_of(source(tmp_path / "bad"))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"store": ""}, "option store: is missing"),
        ({"path": " , "}, "path: names no journals"),
        ({"before": "yesterday"}, "option before: 'yesterday' is no RFC 3339 time"),
        ({"before": "2026-11-26"}, "option before: '2026-11-26' has no time zone"),
    ],
)
def test_options_which_make_no_sense(tmp_path: Path, options: dict[str, str], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        source(tmp_path, **options)
