"""Verifying a journal's files: everything which is wrong is told, and nothing which is not."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from fragment_files import write_fragment

from gazette_py.cli.errors import ExitCode
from gazette_py.cli.journalctl import cli
from gazette_py.cli.progress import Progress
from gazette_py.lake import Lake
from gazette_py.lake.verify import Counts, Finding, Kind, verify
from gazette_py.protocol.enums import CompressionCodec

JOURNAL = "acme/orders"
CONTENT = b"".join(b"line %d\n" % number for number in range(100))


async def findings(root: Path, *, reads: bool = True) -> list[tuple[Kind, int, int]]:
    async with Lake("file:///", file_root=str(root)) as lake:
        found: list[Finding] = [f async for f in verify([lake], JOURNAL, reads=reads)]
    assert all(finding.journal == JOURNAL and finding.detail for finding in found)
    return [(finding.kind, finding.begin, finding.end) for finding in found]


async def test_whole_files_are_read_and_nothing_is_found(tmp_path: Path) -> None:
    """Many, of all codecs; their beginning may have been removed."""
    codecs = [codec for codec in CompressionCodec if codec.name in ("NONE", "GZIP", "ZSTANDARD")]
    for number, begin in enumerate(range(100, len(CONTENT), 20)):
        piece = CONTENT[begin : begin + 20]
        write_fragment(tmp_path, JOURNAL, begin, piece, codec=codecs[number % len(codecs)])
    told: list[tuple[int, int]] = []
    counts = Counts(tell=lambda: told.append((counts.content_bytes, counts.listed_bytes)))
    async with Lake("file:///", file_root=str(tmp_path)) as lake:
        assert [finding async for finding in verify([lake], JOURNAL, counts=counts)] == []
    assert counts.content_bytes == len(CONTENT) - 100
    assert counts.files == len(range(100, len(CONTENT), 20))
    # Whoever waits is told how far it is, from the first piece on.
    assert told[0][0] <= 20
    assert told[-1] == (len(CONTENT) - 100, len(CONTENT) - 100)


async def test_all_that_is_wrong_is_told(tmp_path: Path) -> None:
    write_fragment(tmp_path, JOURNAL, 0, CONTENT[:100])
    write_fragment(tmp_path, JOURNAL, 50, CONTENT[50:150])  # Overlaps.
    write_fragment(tmp_path, JOURNAL, 160, CONTENT[160:200].upper(), named_after=CONTENT[160:200])
    cut = write_fragment(tmp_path, JOURNAL, 200, CONTENT[200:300], codec=CompressionCodec.GZIP)
    cut.write_bytes(cut.read_bytes()[:-4])
    write_fragment(tmp_path, JOURNAL, 300, CONTENT[300:400])
    write_fragment(tmp_path, JOURNAL, 300, CONTENT[300:400].upper())  # Of another primary.

    of_names = [
        (Kind.CONFLICT, 300, 400),
        (Kind.GAP, 150, 160),
        (Kind.OVERLAP, 50, 100),
        (Kind.OVERLAP, 300, 400),
    ]
    assert await findings(tmp_path, reads=False) == of_names
    of_content = [(Kind.CORRUPT, 160, 200), (Kind.CORRUPT, 200, 300)]
    assert sorted(await findings(tmp_path)) == sorted(of_names + of_content)


async def test_a_file_which_the_store_does_not_give_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = write_fragment(tmp_path, JOURNAL, 0, CONTENT[:100])
    write_fragment(tmp_path, JOURNAL, 100, CONTENT[100:])
    async with Lake("file:///", file_root=str(tmp_path)) as lake:
        files = await lake.files(JOURNAL)
        lost.unlink()  # Between the listing and the read.

        async def listed(*_: object, **__: object) -> object:
            return files

        monkeypatch.setattr(lake, "files", listed)
        found = [(f.kind, f.begin, f.is_damage) async for f in verify([lake], JOURNAL)]
    assert found == [(Kind.UNREADABLE, 0, True)]


def journalctl_verify(root: Path, *args: str) -> tuple[int, list[dict[str, object]], str]:
    arguments = ["verify", JOURNAL, "--store", "file:///", "--file-root", str(root), "-o", "jsonl"]
    result = CliRunner().invoke(cli, [*arguments, *args], prog_name="journalctl")
    return result.exit_code, [json.loads(row) for row in result.stdout.splitlines()], result.stderr


def test_the_command_tells_damage_by_its_exit_code(tmp_path: Path) -> None:
    write_fragment(tmp_path, JOURNAL, 0, CONTENT[:100])
    write_fragment(tmp_path, JOURNAL, 50, CONTENT[50:])
    code, items, summary = journalctl_verify(tmp_path)
    assert (code, [item["kind"] for item in items]) == (ExitCode.OK, ["overlap"])
    assert "2 files" in summary
    assert "no damage" in summary

    bad = write_fragment(tmp_path, JOURNAL, 0, b"x" * 50, named_after=CONTENT[:50])
    code, items, summary = journalctl_verify(tmp_path)
    assert code == ExitCode.UNHEALTHY
    corrupt = [item for item in items if item["kind"] == "corrupt"]
    assert [(item["begin"], item["end"]) for item in corrupt] == [(0, 50)]
    assert bad.name[34:74] in str(corrupt[0]["detail"])
    assert "1 damage found" in summary
    assert journalctl_verify(tmp_path, "--no-content")[0] == ExitCode.OK


def test_a_person_sees_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_fragment(tmp_path, JOURNAL, 0, CONTENT)
    progress = Progress()
    monkeypatch.setattr(Progress, "on_terminal", lambda **_: progress)

    journalctl_verify(tmp_path)

    (meter,) = progress._meters.values()
    assert (meter.done, meter.total) == (len(CONTENT), len(CONTENT))


def test_objects_of_other_names_are_counted_and_not_in_the_output(tmp_path: Path) -> None:
    write_fragment(tmp_path, JOURNAL, 0, CONTENT)
    (tmp_path / JOURNAL / "README").write_text("hello")
    arguments = ["verify", JOURNAL, "--store", "file:///", "--file-root", str(tmp_path)]
    result = CliRunner().invoke(cli, [*arguments, "-o", "json"], prog_name="journalctl")
    assert json.loads(result.stdout)["items"] == []
    assert "1 objects are no fragments" in result.stderr


def test_a_store_names_no_journals(tmp_path: Path) -> None:
    arguments = ["verify", "acme/", "--store", "file:///", "--file-root", str(tmp_path)]
    result = CliRunner().invoke(cli, arguments, prog_name="journalctl")
    assert result.exit_code == ExitCode.USAGE
    assert "Name each journal in full" in result.stderr
