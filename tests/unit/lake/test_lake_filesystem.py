"""Journals as files of fsspec."""

import asyncio
import csv
import tomllib
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import duckdb
import fsspec
import polars as pl
import pyarrow.fs as arrow_fs
import pyarrow.json as arrow_json
import pytest

from gazette_py.client.reader import Reader
from gazette_py.errors import ConfigError, OffsetJumpError
from gazette_py.lake.filesystem import GoneContentError, JournalFileSystem
from gazette_py.protocol.enums import CompressionCodec
from gazette_py.protocol.journal import FragmentSpec
from gazette_py.testing.in_process import InProcessCluster

ORDERS = b"".join(b'{"id":%d,"item":"tea"}\n' % number for number in range(5000))


@pytest.fixture(scope="module")
def cluster() -> Iterator[InProcessCluster]:
    with InProcessCluster() as running:
        fragment = FragmentSpec(
            length=1 << 14,
            compression_codec=CompressionCodec.ZSTANDARD,
            stores=("file:///",),
            refresh_interval_ns=1_000_000_000,
        )
        running.create("acme/orders", "acme/orders/eu", "acme/returns", "other", fragment=fragment)

        async def work() -> None:
            async with running.connect() as client:
                for begin in range(0, len(ORDERS), 10_000):
                    await client.append("acme/orders", ORDERS[begin : begin + 10_000])
                await client.append("acme/orders/eu", b"eu\n")
                await client.append("other", b"1,2\n3,4\n")

        asyncio.run(work())
        yield running


@pytest.fixture
def fs(cluster: InProcessCluster) -> Iterator[Any]:
    made = fsspec.filesystem("journal", address=cluster.address, file_root=str(cluster.store))
    yield made
    made.close()
    JournalFileSystem.clear_instance_cache()


@pytest.fixture(autouse=True)
def registered() -> None:
    """As the entry point does where the package is installed."""
    fsspec.register_implementation("journal", JournalFileSystem, clobber=True)


def test_the_package_registers_it() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    point = project["entry-points"]["fsspec.specs"]["journal"]
    assert EntryPoint("journal", point, "fsspec.specs").load() is JournalFileSystem


def test_names_are_a_tree(fs: Any) -> None:
    assert fs.ls("", detail=False) == ["acme", "other"]
    assert fs.ls("journal://acme/", detail=False) == ["acme/orders", "acme/returns"]
    assert [(e["name"], e["type"], e["size"]) for e in fs.ls("acme")] == [
        ("acme/orders", "directory", 0),
        ("acme/orders", "file", len(ORDERS)),
        ("acme/returns", "file", 0),
    ]
    assert fs.ls("other", detail=False) == ["other"]
    assert fs.find("acme") == ["acme/orders", "acme/orders/eu", "acme/returns"]
    assert fs.glob("acme/r*") == ["acme/returns"]
    assert fs.exists("acme/returns")
    assert not fs.exists("acme/typo")
    assert fs.isdir("acme")
    assert fs.isfile("acme/orders")
    with pytest.raises(FileNotFoundError):
        fs.ls("typo")
    with pytest.raises(FileNotFoundError):
        fs.info("acme/typo")


def test_ranges_are_read(fs: Any) -> None:
    assert fs.cat_file("acme/orders") == ORDERS
    assert fs.cat_file("acme/orders", 10, 30_000) == ORDERS[10:30_000]
    assert fs.cat_file("acme/orders", -100) == ORDERS[-100:]
    assert fs.cat_file("acme/orders", 10, -10) == ORDERS[10:-10]
    assert fs.cat_file("acme/returns") == b""
    spans = [(0, 5), (40_000, 40_010), (len(ORDERS) - 3, len(ORDERS))]
    assert fs.cat_ranges(["acme/orders"] * 3, *map(list, zip(*spans, strict=True))) == [
        ORDERS[begin:end] for begin, end in spans
    ]
    assert fs.cat(["other", "acme/orders/eu"]) == {
        "other": b"1,2\n3,4\n",
        "acme/orders/eu": b"eu\n",
    }
    with pytest.raises(FileNotFoundError):
        fs.cat_file("acme/typo")


def test_a_file_can_be_sought_in(fs: Any) -> None:
    with fs.open("acme/orders") as file:
        assert file.size == len(ORDERS)
        assert file.seek(-50, 2) == len(ORDERS) - 50
        assert file.read() == ORDERS[-50:]
        file.seek(0)
        assert file.readline() == ORDERS[: ORDERS.index(b"\n") + 1]
        assert file.read(100_000) == ORDERS[ORDERS.index(b"\n") + 1 :][:100_000]
    with pytest.raises(NotImplementedError, match="read here"):
        fs.open("acme/orders", "wb")


def test_urls_may_name_the_broker(
    cluster: InProcessCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = cluster.addresses[0].removeprefix("http://")
    with fsspec.open(f"journal://{host}/other", "rt") as file:
        assert list(csv.reader(file)) == [["1", "2"], ["3", "4"]]
    with fsspec.open("journal://other", address=cluster.address) as file:
        assert file.read() == b"1,2\n3,4\n"
    monkeypatch.setenv("BROKER_ADDRESS", cluster.address)
    with fsspec.open("journal:///acme/orders/eu") as file:
        assert file.read() == b"eu\n"
    JournalFileSystem.clear_instance_cache()
    monkeypatch.delenv("BROKER_ADDRESS")
    with pytest.raises(ConfigError, match="give the address"):
        fsspec.open("journal://other")


def test_a_journal_is_copied_to_a_file(fs: Any, tmp_path: Path) -> None:
    fs.get("acme/orders", str(tmp_path / "orders"))
    assert (tmp_path / "orders").read_bytes() == ORDERS


def test_a_cache_sees_that_a_journal_has_grown(fs: Any, cluster: InProcessCluster) -> None:
    cluster.create("growing")
    before = fs.ukey("growing")
    assert fs.ukey("growing") == before

    async def work() -> None:
        async with cluster.connect() as client:
            await client.append("growing", b"more\n")

    asyncio.run(work())
    assert fs.ukey("growing") != before


def test_content_which_is_gone_is_an_error(fs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def jump(reader: Reader) -> None:
        raise OffsetJumpError(reader.journal, 0, 1000)

    monkeypatch.setattr(Reader, "next_batch", jump)
    with pytest.raises(GoneContentError) as caught:
        fs.cat_file("acme/orders", 0, 10)
    assert isinstance(caught.value, FileNotFoundError)
    assert (caught.value.offset, caught.value.to) == (0, 1000)


def test_engines_read_through_it(fs: Any) -> None:
    with duckdb.connect() as con:
        con.register_filesystem(fs)
        query = (
            "SELECT count(*), sum(id) FROM"
            " read_json('journal://acme/orders', format='newline_delimited')"
        )
        assert con.sql(query).fetchall() == [(5000, sum(range(5000)))]
    with fs.open("acme/orders") as file:
        assert pl.read_ndjson(file).height == 5000
    files = arrow_fs.PyFileSystem(arrow_fs.FSSpecHandler(fs))
    with files.open_input_file("acme/orders") as file:
        assert arrow_json.read_json(file).num_rows == 5000


async def test_it_may_be_used_by_a_loop(cluster: InProcessCluster) -> None:
    fs = JournalFileSystem(cluster.address, asynchronous=True, skip_instance_cache=True)
    try:
        assert await fs._cat_file("other", 2, 3) == b"2"
        assert (await fs._info("other"))["size"] == 8
    finally:
        await fs._close()
