"""`journalctl fragments`: which are listed, and what is told of them."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fragment_files import write_fragment
from journalctl_in_process import call, items

from gazette_py.cli.errors import ExitCode
from gazette_py.cli.quantities import format_time
from gazette_py.client import Change
from gazette_py.client.sync import connect
from gazette_py.protocol.enums import CompressionCodec, SuspendLevel
from gazette_py.protocol.journal import JournalSpec, Suspend
from gazette_py.testing import InProcessCluster
from gazette_py.testing.in_process import FRAGMENT

JOURNAL, SUSPENDED = "acme/orders", "acme/suspended"
STORED = 1_700_000_000
"""When the first file was stored; each later one a thousand seconds after the one before it."""

EXTENTS = [(0, 10), (5, 20), (10, 30), (30, 40)]
LOCAL = (40, 45)  # In no store.


@pytest.fixture(scope="module")
def cluster() -> Iterator[InProcessCluster]:
    with InProcessCluster() as started:
        started.create(JOURNAL)
        for number, (begin, end) in enumerate(EXTENTS):
            content = b"0123456789" * 4
            file = write_fragment(
                *(started.store, JOURNAL, begin, content[begin:end]),
                codec=CompressionCodec.GZIP,
                postfix=f"day={number}",
            )
            os.utime(file, (STORED + 1000 * number,) * 2)
        suspended = JournalSpec(
            name=SUSPENDED,
            replication=1,
            fragment=FRAGMENT,
            suspend=Suspend(SuspendLevel.FULL, 5),
        )
        with connect(started.address) as client:
            client.apply([Change(expect_mod_revision=0, upsert=suspended)])
            deadline = time.monotonic() + 30
            while client.write_head(JOURNAL) != EXTENTS[-1][1]:  # Brokers list the store.
                assert time.monotonic() < deadline
                time.sleep(0.05)
            client.append(JOURNAL, b"local", offset=LOCAL[0])
        yield started


def extents(cluster: InProcessCluster, *options: str) -> list[tuple[int, int]]:
    listed = items(call(cluster, "fragments", JOURNAL, *options, "-o", "jsonl"))
    return [(item["begin"], item["end"]) for item in listed]


def test_all_that_brokers_know_is_listed(cluster: InProcessCluster) -> None:
    listed = items(call(cluster, "fragments", JOURNAL, "-o", "jsonl"))
    assert [(item["begin"], item["end"]) for item in listed] == [*EXTENTS, LOCAL]
    first, last = listed[0], listed[-1]
    file = next((cluster.store / JOURNAL / "day=0").iterdir())
    assert first == {
        "journal": JOURNAL,
        "begin": 0,
        "end": 10,
        "length": 10,
        "compression_codec": "GZIP",
        "persisted": format_time(STORED),
        "mod_time": STORED,
        "store": "file:///",
        "path": str(file.relative_to(cluster.store)),
        "sha1": file.name[34:74],
    }
    stored = ("persisted", "mod_time", "store", "path")
    assert [last[name] for name in stored] == [None, 0, None, None]


def test_columns_are_those_of_the_reference_and_more(cluster: InProcessCluster) -> None:
    def titles(*options: str) -> list[str]:
        return call(cluster, "fragments", JOURNAL, *options).stdout.splitlines()[0].split()

    usual = ["JOURNAL", "BEGIN", "END", "LENGTH", "CODEC", "PERSISTED", "STORE"]
    assert titles("-o", "table") == usual
    assert titles("-o", "wide") == [*usual[:4], "SKIP", *usual[4:], "PATH", "SHA1", "URL"]
    assert titles("-o", "table", "--covering") == [*usual[:4], "SKIP", *usual[4:]]
    chosen = call(cluster, "fragments", JOURNAL, "--columns", "sha1,path").stdout.splitlines()[0]
    sha1, path = chosen.split("\t")
    assert sha1 in path


def test_as_few_as_hold_each_byte_once(cluster: InProcessCluster) -> None:
    listed = items(call(cluster, "fragments", JOURNAL, "--covering", "-o", "jsonl"))
    covering = [(item["begin"], item["end"], item["skip"]) for item in listed]
    assert covering == [(0, 10, 0), (10, 30, 0), (30, 40, 0), (40, 45, 0)]
    options = ("--covering", "--to", str(STORED + 1001))
    listed = items(call(cluster, "fragments", JOURNAL, *options, "-o", "jsonl"))
    assert [(item["begin"], item["skip"]) for item in listed] == [(0, 0), (5, 5)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--unpersisted", "exclude"), EXTENTS),
        (("--unpersisted", "only"), [LOCAL]),
        (("--from", str(STORED + 2000)), [*EXTENTS[2:], LOCAL]),
        (("--from", format_time(STORED + 2000)), [*EXTENTS[2:], LOCAL]),
        (("--from", format_time(STORED + 2000), "--unpersisted", "exclude"), EXTENTS[2:]),
        (("--to", str(STORED + 2000)), EXTENTS[:2]),  # Those stored then are not before it.
        (("--from", str(STORED + 1000), "--to", str(STORED + 3000)), EXTENTS[1:3]),
        (("--from", "-1h"), [LOCAL]),
        (("--to", "-1h"), EXTENTS),
    ],
)
def test_some_of_them(
    cluster: InProcessCluster, options: tuple[str, ...], expected: list[tuple[int, int]]
) -> None:
    assert extents(cluster, *options) == expected


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--to", "-1h", "--unpersisted", "only"), "it contradicts --to"),
        (("--from", "200", "--to", "100"), "it is not after --from"),
        (("--from", "yesterday"), "is no time such as -1h"),
    ],
)
def test_what_can_have_no_answer_is_refused(
    cluster: InProcessCluster, options: tuple[str, ...], said: str
) -> None:
    refused = call(cluster, "fragments", JOURNAL, *options, code=ExitCode.USAGE)
    assert said in refused.stderr


def test_urls_are_added_if_they_are_asked_for(cluster: InProcessCluster) -> None:
    listed: list[dict[str, Any]] = items(
        call(cluster, "fragments", JOURNAL, "--url-ttl", "1m", "-o", "jsonl")
    )
    urls = [item.get("url", "") for item in listed]
    assert all(url.startswith("file:///") for url in urls[:-1])
    assert urls[-1] == ""
    assert Path(str(cluster.store) + urls[0].removeprefix("file://")).is_file()


def test_suspended_journals_are_named_as_left_out(cluster: InProcessCluster) -> None:
    found = call(cluster, "fragments", "acme/", "-o", "name")
    assert len(found.stdout.splitlines()) == len(EXTENTS)
    assert "Left out, since fully suspended: 1." in found.stderr
