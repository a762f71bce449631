"""`journalctl attach-uuids`: each line once, in order, with a UUID of its own."""

import json
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest
from click.testing import CliRunner, Result

from gazette_py.cli.journalctl import cli
from gazette_py.message.uuids import Flags, clock_of, flags_of, producer_of


def attach(*args: str | Path, stdin: bytes = b"") -> Result:
    arguments = ["attach-uuids", *map(str, args)]
    return CliRunner().invoke(cli, arguments, input=stdin, prog_name="journalctl")


def test_each_line_is_preceded_by_the_next_uuid_of_one_producer() -> None:
    lines = [f"{n},é" for n in range(20_000)]

    result = attach(stdin="\n".join(lines).encode())

    assert result.exit_code == 0
    found = [row.split(",", 1) for row in result.stdout.splitlines()]
    assert [line for _, line in found] == lines
    uuids = [UUID(text) for text, _ in found]
    clocks = [clock_of(uuid) for uuid in uuids]
    assert clocks == sorted(set(clocks))
    assert {producer_of(uuid) for uuid in uuids} == {producer_of(uuids[0])}
    assert {flags_of(uuid) for uuid in uuids} == {Flags.OUTSIDE_TXN}


def test_runs_are_of_different_producers() -> None:
    first, second = (attach(stdin=b"x\n").stdout.split(",")[0] for _ in range(2))
    assert producer_of(UUID(first)) != producer_of(UUID(second))


def test_the_header_of_each_file_can_be_left_out(tmp_path: Path) -> None:
    monday, tuesday, empty = (tmp_path / name for name in ("monday", "tuesday", "empty"))
    monday.write_bytes(b"id,item\r\n1,bolt\r\n2,nut\r\n")
    tuesday.write_bytes(b"id,item\n3,screw")
    empty.write_bytes(b"")

    result = attach("--skip-header", monday, empty, tuesday)

    assert [row[37:] for row in result.stdout.splitlines()] == ["1,bolt", "2,nut", "3,screw"]


def test_a_template_places_both() -> None:
    template = r'{"uuid":"{{ .UUID -}} ","row":{{.Line}},"path":"a\\b"}\n'

    result = attach("--template", template, stdin=b'{"id": 1}\n{"id": 2}\n')

    rows = [json.loads(row.replace("\\b", "\\\\b")) for row in result.stdout.splitlines()]
    assert [row["row"] for row in rows] == [{"id": 1}, {"id": 2}]
    assert all(UUID(row["uuid"]).version == 1 for row in rows)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{.Offset}}", "there are {{.UUID}} and {{.Line}}"),
        ("{{.Line | printf}}", "printf"),
        ("{{if .Line}}x{{end}}", "there are {{.UUID}} and {{.Line}}"),
        ("{{.Line", "{{"),
    ],
)
def test_a_template_of_something_else_is_refused(template: str, expected: str) -> None:
    result = attach("--template", template, stdin=b"x\n")
    assert result.exit_code == 2
    assert expected in result.stderr
    assert "--template" in result.stderr


@pytest.mark.parametrize("end", ["\n", ""])
def test_a_line_which_is_too_long_is_named(tmp_path: Path, end: str) -> None:
    path = tmp_path / "long.csv"
    path.write_text("short\n" + 11 * "x" + end)

    result = attach("--max-length", "10", path)

    assert result.exit_code == 2
    assert f"{path}, line 2" in result.stderr
    assert "--max-length" in result.stderr


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    result = attach(tmp_path / "missing.csv")
    assert result.exit_code == 2
    assert "missing.csv" in result.stderr


def test_lines_are_written_as_they_come() -> None:
    """Within a pipeline, the next program has a line before its sender writes another."""
    program = [sys.executable, "-m", "gazette_py.cli.journalctl", "attach-uuids"]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for line in (b"one\n", b"two\n"):
            process.stdin.write(line)
            process.stdin.flush()
            assert process.stdout.readline()[37:] == line
        process.stdin.close()
        assert process.wait(timeout=30) == 0
