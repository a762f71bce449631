"""Lists of files for other programs: each byte once, in whole files where that can be."""

import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import duckdb
import pytest
from click.testing import CliRunner, Result
from fragment_files import write_fragment
from journalctl_in_process import call

from gazette_py.cli.errors import ExitCode
from gazette_py.cli.journalctl import cli
from gazette_py.core.fragment_index import IndexEntry
from gazette_py.errors import ValidationError
from gazette_py.lake.cover import Gap
from gazette_py.lake.file_list import list_files, url_of
from gazette_py.protocol.enums import CompressionCodec
from gazette_py.protocol.fragment import Fragment, content_name
from gazette_py.testing import InProcessCluster

JOURNAL = "acme/orders"
ROWS = [b'{"id":%d}\n' % number for number in range(10, 50)]  # Of one length.
LENGTH = len(ROWS[0])


def rows(begin: int, end: int) -> bytes:
    return b"".join(ROWS[begin:end])


def entry(begin: int, end: int) -> IndexEntry:
    return IndexEntry(Fragment(journal=JOURNAL, begin=begin, end=end))


def lake(root: Path, verb: str, *options: str) -> Result:
    arguments = ["lake", verb, JOURNAL, "--store", "file:///", "--file-root", str(root), *options]
    return CliRunner().invoke(cli, arguments, prog_name="journalctl")


def test_whole_files_are_chosen_where_they_hold_all() -> None:
    """Though others hold more, and would be cut."""
    found = list_files([entry(0, 10), entry(5, 30), entry(10, 20), entry(20, 30)], 0)
    assert [(part.begin, part.end, part.skip) for part in found.slices] == [
        *((0, 10, 0), (10, 20, 0), (20, 30, 0))
    ]
    assert found.is_whole
    assert found.gaps == ()


def test_files_are_cut_where_they_overlap_and_gaps_are_told() -> None:
    found = list_files([entry(0, 10), entry(5, 20), entry(25, 30)], 0)
    assert [(part.begin, part.skip) for part in found.slices] == [(0, 0), (10, 5), (25, 0)]
    assert not found.is_whole
    assert found.gaps == (Gap(20, 25),)
    assert list_files([], 0).slices == ()


@pytest.mark.parametrize(
    ("store", "expected"),
    [
        ("file:///some/dir/", "file:///root/some/dir/acme/orders/day=1/"),
        ("file:///?find=acme/&replace=other/", "file:///root/other/orders/day=1/"),
        ("s3://bucket/prefix/?region=eu", "s3://bucket/prefix/acme/orders/day=1/"),
        ("gs://bucket/", "gs://bucket/acme/orders/day=1/"),
        ("azure://box/prefix/", "azure://box/prefix/acme/orders/day=1/"),
        (
            "azure-ad://tenant/account/box/prefix/",
            "abfss://box@account.dfs.core.windows.net/prefix/acme/orders/day=1/",
        ),
    ],
)
def test_urls_are_those_which_other_programs_spell(store: str, expected: str) -> None:
    fragment = Fragment(
        journal=JOURNAL,
        begin=0,
        end=5,
        compression_codec=CompressionCodec.GZIP,
        backing_store=store,
        path_postfix="day=1",
    )
    assert url_of(IndexEntry(fragment), "/root") == expected + content_name(fragment)
    if store.startswith("file"):
        with pytest.raises(ValidationError, match="file-root"):
            url_of(IndexEntry(fragment), "")


def test_files_are_read_by_a_program_which_knows_nothing_of_journals(tmp_path: Path) -> None:
    for begin, codec in ((0, "GZIP"), (10, "ZSTANDARD"), (20, "NONE")):
        write_fragment(
            *(tmp_path, JOURNAL, begin * LENGTH, rows(begin, begin + 10)),
            codec=CompressionCodec[codec],
            postfix=f"day={begin}",
        )
    found = lake(tmp_path, "files", "--whole-files-only")
    assert found.exit_code == 0, found.output
    urls = found.stdout.split()
    with duckdb.connect() as con:
        count = con.sql(f"SELECT count(*), min(id), max(id) FROM read_json({urls})").fetchall()
    assert count == [(30, 10, 39)]
    listed = lake(tmp_path, "manifest", "--format", "list")
    assert listed.stdout.split() == urls

    to = tmp_path / "manifest.json"
    assert lake(tmp_path, "manifest", "--to", str(to)).exit_code == 0
    written = json.loads(to.read_text())
    assert (written["apiVersion"], written["kind"]) == ("gazette-py/v1", "LakeManifest")
    (journal,) = written["journals"]
    assert (journal["name"], journal["begin"], journal["end"]) == (JOURNAL, 0, 30 * LENGTH)
    assert [file["url"] for file in journal["files"]] == urls
    last = journal["files"][2]
    assert (last["begin"], last["end"]) == (20 * LENGTH, 30 * LENGTH)
    assert last["compression_codec"] == "NONE"
    assert last["partition"] == {"day": "20"}
    stored = Path(urlsplit(last["url"]).path).read_bytes()
    assert last["sha1"] == hashlib.sha1(stored).hexdigest()


def test_hidden_files_are_no_part_of_the_output(tmp_path: Path) -> None:
    file = write_fragment(tmp_path, JOURNAL, 0, rows(0, 10))
    (file.parent / ".gazette-delete-probe").touch()
    found = lake(tmp_path, "files")
    assert found.output == f"file://{file}\n"


def test_files_which_overlap_are_cut_or_refused(tmp_path: Path) -> None:
    write_fragment(tmp_path, JOURNAL, 0, rows(0, 10))
    write_fragment(tmp_path, JOURNAL, 5 * LENGTH, rows(5, 20))
    write_fragment(tmp_path, JOURNAL, 25 * LENGTH, rows(25, 30))
    found = lake(tmp_path, "files", "-o", "jsonl")
    assert found.exit_code == 0, found.output
    items = [json.loads(line) for line in found.stdout.splitlines()]
    assert [item["skip"] for item in items] == [0, 5 * LENGTH, 0]
    assert f"{JOURNAL}: offsets {20 * LENGTH} to {25 * LENGTH} are in no file." in found.stderr
    assert lake(tmp_path, "files", "--whole-files-only").exit_code == ExitCode.UNHEALTHY
    to = tmp_path / "manifest.json"
    refused = lake(tmp_path, "manifest", "--to", str(to))
    assert refused.exit_code == ExitCode.UNHEALTHY
    assert "NO_WHOLE_FILES" in refused.stderr
    assert not to.exists()


@pytest.fixture
def cluster() -> Iterator[InProcessCluster]:
    with InProcessCluster() as started:
        started.create(JOURNAL, "acme/empty")
        yield started


def test_brokers_tell_the_files_of_all_selected_journals(cluster: InProcessCluster) -> None:
    write_fragment(cluster.store, JOURNAL, 0, rows(0, 10))
    arguments = ("lake", "files", "acme/", "--file-root", str(cluster.store), "-o", "name")
    deadline = time.monotonic() + 30
    while not (found := call(cluster, *arguments).stdout):  # Brokers list the store each second.
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (url,) = found.split()
    assert Path(urlsplit(url).path).read_bytes() == rows(0, 10)
    told = call(cluster, "lake", "files", "acme/", code=ExitCode.USAGE)
    assert "--file-root (INVALID)" in told.stderr
