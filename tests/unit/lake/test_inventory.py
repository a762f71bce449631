"""What is in a store, and whose it is."""

import json
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from fragment_files import write_fragment
from journalctl_in_process import call, items

from gazette_py.cli.errors import ExitCode
from gazette_py.cli.journalctl import cli
from gazette_py.clock import SYSTEM
from gazette_py.lake.inventory import Journals, Kind, StoredObject, Usages, objects
from gazette_py.protocol.enums import CompressionCodec
from gazette_py.protocol.store_url import StoreURL
from gazette_py.stores.base import ObjectInfo
from gazette_py.stores.file import FileStore
from gazette_py.stores.memory import MemoryStore
from gazette_py.testing import InProcessCluster

NAMES = ["acme/orders", "acme/orders/eu"]
SUM = "0" * 40
FILE = f"{0:016x}-{10:016x}-{SUM}.gz"


def classified(path: str, url: str = "file:///", names: list[str] | None = NAMES) -> StoredObject:
    return Journals(url, names).classify(path, ObjectInfo(name=path, mod_time=5, size=7))


@pytest.mark.parametrize(
    ("path", "kind", "journal", "is_orphan"),
    [
        (f"acme/orders/{FILE}", "fragment", "acme/orders", False),
        (f"acme/orders/day=1/hour=2/{FILE}", "fragment", "acme/orders", False),
        (f"acme/orders/eu/day=1/{FILE}", "fragment", "acme/orders/eu", False),
        (f"acme/orders/us/{FILE}", "fragment", "acme/orders", False),  # As to brokers.
        (f"acme/gone/{FILE}", "fragment", "", True),
        (f"acme/ordersmore/{FILE}", "fragment", "", True),
        (FILE, "foreign", "", True),
        ("acme/orders/README", "foreign", "acme/orders", True),
        ("acme/orders/0-5-abc.gz", "foreign", "acme/orders", True),
        ("README.md", "foreign", "", True),
        ("_watermarks/acme/orders/2026-11-26T000000Z.json", "watermark", "acme/orders", False),
        ("_watermarks/acme/gone/2026-11-26T000000Z.json", "watermark", "", True),
        ("_watermarks/acme/orders/notes.txt", "foreign", "", True),
        (".test/health-check", "check", "", False),
        ("acme/.gazette-delete-probe", "check", "", False),
    ],
)
def test_what_an_object_is(path: str, kind: str, journal: str, is_orphan: bool) -> None:
    found = classified(path)
    assert (found.kind.value, found.journal, found.is_orphan) == (kind, journal, is_orphan)
    if found.fragment is not None:
        assert (found.fragment.begin, found.fragment.end) == (0, 10)


def test_journals_are_told_by_their_directories_if_nothing_else_tells() -> None:
    found = classified(f"acme/gone/day=1/{FILE}", names=None)
    assert (found.journal, found.is_orphan) == ("acme/gone", False)
    assert found.fragment is not None
    assert found.fragment.path_postfix == "day=1"
    of_day = classified("_watermarks/acme/gone/2026-11-26T000000Z.json", names=None)
    assert of_day.journal == "acme/gone"


def test_rewritten_directories_are_those_of_their_journals() -> None:
    url = "file:///?find=acme/&replace=other/"
    assert classified(f"other/orders/{FILE}", url).journal == "acme/orders"
    assert classified(f"acme/orders/{FILE}", url).is_orphan
    path = "_watermarks/other/orders/2026-11-26T000000Z.json"
    assert classified(path, url).journal == "acme/orders"


async def test_unfinished_puts_of_a_file_store_are_told(tmp_path: Path) -> None:
    write_fragment(tmp_path, "acme/orders", 0, b"x")
    partial = tmp_path / "acme" / "orders" / ".partial-0-1-abc"
    partial.write_bytes(b"half")
    store = FileStore(StoreURL.parse("file:///"), str(tmp_path))
    found = [each async for each in objects(store, Journals(store.url, NAMES), "acme/")]
    assert [(each.kind, each.path.rpartition("/")[0]) for each in found] == [
        (Kind.FRAGMENT, "acme/orders"),
        (Kind.UNFINISHED, "acme/orders"),
    ]
    assert found[1].is_orphan
    assert [each async for each in objects(store, Journals(store.url, NAMES), "none/")] == []
    await store.close()


class Endless(MemoryStore):
    """A store with more objects than anybody wants to hold."""

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        for number in range(10_000):
            name = f"acme/orders/{number:016x}-{number + 2:016x}-{SUM}.raw"
            yield ObjectInfo(name=name, mod_time=1000 + number, size=3)


async def test_a_store_of_any_size_takes_little_memory() -> None:
    store = Endless(StoreURL.parse("memory://endless/", allow_memory=True), SYSTEM)
    usages = Usages()
    tracemalloc.start()
    async for found in objects(store, Journals(store.url, NAMES)):
        usages.add(found)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 19
    (row,) = usages.rows()
    assert (row.name, row.fragments, row.stored_bytes) == ("acme/orders", 10_000, 30_000)
    assert (row.begin, row.end, row.content_bytes) == (0, 10_001, 20_000)
    assert (row.oldest, row.newest) == (1000, 10_999)


@pytest.fixture
def cluster() -> Iterator[InProcessCluster]:
    with InProcessCluster() as started:
        started.create(*NAMES)
        write_fragment(started.store, NAMES[0], 0, b"abc" * 100, codec=CompressionCodec.GZIP)
        write_fragment(started.store, NAMES[0], 300, b"abc")
        write_fragment(started.store, "acme/gone", 0, b"lost", postfix="day=1")
        write_fragment(started.store, "acme/gone", 4, b"lost", postfix="day=2")
        (started.store / "acme" / "README").write_text("hello")
        yield started


def test_the_commands(cluster: InProcessCluster) -> None:
    root = ("--file-root", str(cluster.store))
    found = items(call(cluster, "store", "ls", "file:///", *root, "-o", "jsonl"))
    by_path = {item["path"].rpartition("/")[0] or item["path"]: item for item in found}
    assert by_path["acme/orders"]["journal"] == "acme/orders"
    assert not by_path["acme/orders"]["is_orphan"]
    orphans = call(cluster, "store", "ls", "file:///", *root, "--orphans", "--columns", "kind,path")
    lines = sorted(line.split("\t") for line in orphans.stdout.splitlines())
    assert [kind for kind, _ in lines] == ["foreign", "fragment", "fragment"]
    assert lines[0][1] == "acme/README"
    below = call(cluster, "store", "ls", "file:///", *root, "--prefix", "acme/gone/", "-o", "name")
    assert len(below.stdout.splitlines()) == 2
    call(cluster, "store", "ls", "file:///", *root, "--prefix", "acme", code=ExitCode.USAGE)

    used = call(cluster, "store", "du", "file:///", *root, "-o", "jsonl", "--prefix", "acme/")
    rows = [(row["status"], row["name"], row["fragments"]) for row in items(used)]
    assert rows == [("journal", NAMES[0], 2), ("orphan", "acme/gone", 2), ("other", None, 0)]
    first, orphan, other = items(used)
    assert (first["content_bytes"], first["begin"], first["end"]) == (303, 0, 303)
    assert first["stored_bytes"] < 303
    assert (orphan["stored_bytes"], other["others"], other["other_bytes"]) == (8, 1, 5)
    assert "4 fragments" in used.stderr
    assert "8 B in orphans" in used.stderr


def test_no_broker_is_asked_offline(cluster: InProcessCluster) -> None:
    arguments = ["store", "du", "file:///", "--file-root", str(cluster.store), "--offline"]
    result = CliRunner().invoke(
        cli,
        [*arguments, "-o", "json", "--broker.address", "http://127.0.0.1:1"],
        prog_name="journalctl",
    )
    assert result.exit_code == ExitCode.OK, result.output
    rows = json.loads(result.stdout)["items"]
    names = [(row["status"], row["name"]) for row in rows if row["fragments"]]
    assert names == [("journal", "acme/gone"), ("journal", NAMES[0])]


def test_a_store_which_cannot_be_listed_is_an_error(tmp_path: Path) -> None:
    arguments = ["store", "ls", "s3://b/?profile=there-is-none", "--offline"]
    result = CliRunner().invoke(cli, arguments, prog_name="journalctl")
    assert result.exit_code == ExitCode.ERROR
    assert "there-is-none" in result.stderr
