"""`gazette-py demo` as a newcomer runs it, and what it does when something goes wrong.

Every run is a process of its own, with its temporary directory below the test's: what is left there
at the end was not cleaned up.
"""

import errno
import gzip
import json
import os
import pty
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dev_process import GAZETTE_PY, JOURNALCTL
from processes import wait_gone
from versitygw_server import versitygw

from gazette_py.local.flights import flights

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]


@contextmanager
def demo(
    tmp_path: Path, *arguments: str, env: dict[str, str] | None = None
) -> Iterator["subprocess.Popen[str]"]:
    """Run the demo; end it with the block, and check that nothing of it is left."""
    process = subprocess.Popen(
        [*GAZETTE_PY, "demo", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path), **(env or {})},
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    wait_gone(str(tmp_path), 5.0)
    assert list(tmp_path.iterdir()) == []


def wait_step(process: "subprocess.Popen[str]", begin: str) -> None:
    """Read standard error up to the line of a step."""
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith(f"- {begin}"):
            return
    raise AssertionError(f"the demo ended without the step: {begin}")


@pytest.mark.parametrize(
    ("rows", "more"),
    [(0, ()), (4000, ("--brokers", "3")), (120, ("--zones", "x"))],
    ids=["all", "three brokers", "less rows than batches, one zone"],
)
def test_the_demo_loses_nothing(tmp_path: Path, rows: int, more: tuple[str, ...]) -> None:
    with demo(tmp_path, "--json", "--rows", str(rows), *more) as process:
        output, steps = process.communicate(timeout=120)
    assert process.returncode == 0, steps
    result = json.loads(output)
    expected = list(flights(rows))
    total = sum(flight.distance for flight in expected)
    assert result["rows_appended"] == len(expected)
    assert result["rows_from_brokers"] == result["rows_from_files"] == len(expected)
    assert result["distance_from_brokers"] == result["distance_from_files"] == total
    assert result["bytes_appended"] == sum(len(flight.line) for flight in expected)
    assert result["killed"]
    assert result["bytes_at_risk"] > 0
    assert result["take_over_s"] > 0
    assert result["differences"] == []
    assert "\x1b" not in steps, "no colours or bars where nobody looks"
    assert "rows acknowledged" not in steps


def test_without_a_replica_to_spare_nothing_is_killed(tmp_path: Path) -> None:
    with demo(tmp_path, "--brokers", "1", "--rows", "500") as process:
        output, steps = process.communicate(timeout=120)
    assert process.returncode == 0, steps
    assert "no broker is killed" in steps
    assert output.rstrip().endswith("all of it is there, once, in order")


def test_a_real_s3_is_used_and_a_second_run_into_it_is_refused(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with versitygw(tmp_path_factory.mktemp("s3")) as server:
        arguments = ("--rows", "2000", "--store", server.url("demo/"))
        with demo(tmp_path, "--json", *arguments, env=server.environment()) as process:
            output, steps = process.communicate(timeout=120)
        assert process.returncode == 0, steps
        assert json.loads(output)["rows_from_files"] == 2000
        with demo(tmp_path, *arguments, env=server.environment()) as process:
            _, steps = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "bytes of an earlier run: take another prefix for --store" in steps


def drop_a_row(file: Path) -> None:
    lines = gzip.decompress(file.read_bytes()).splitlines(keepends=True)
    file.write_bytes(gzip.compress(b"".join(lines[1:])))


def repeat_a_row(file: Path) -> None:
    lines = gzip.decompress(file.read_bytes()).splitlines(keepends=True)
    file.write_bytes(gzip.compress(b"".join([lines[0], *lines])))


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (drop_a_row, "DIFFERENCE: files: 1 missing rows"),
        (repeat_a_row, "DIFFERENCE: files: 1 unexpected rows"),
        (cut, "DIFFERENCE: files: DuckDB cannot read them"),
    ],
)
def test_a_store_which_was_altered_is_told(
    tmp_path: Path, damage: Callable[[Path], object], told: str
) -> None:
    """It is altered while the brokers end, when all of it has been read through them."""
    with demo(tmp_path, "--rows", "500") as process:
        wait_step(process, "stopping the brokers")
        damage(sorted(tmp_path.glob("gazette-py-*/fragments/demo/**/*.gz"))[0])
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert told in errors
    assert "Traceback" not in errors
    assert output.rstrip().endswith("failed")


@pytest.mark.parametrize("step", ["starting etcd", "appending", "reading back"])
def test_ctrl_c_leaves_nothing(tmp_path: Path, step: str) -> None:
    with demo(tmp_path) as process:
        wait_step(process, step)
        process.send_signal(signal.SIGINT)
        assert process.wait(40) == 130
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


def test_keep_leaves_the_cluster_up_until_ctrl_c(tmp_path: Path) -> None:
    with demo(tmp_path, "--keep", "--rows", "500") as process:
        wait_step(process, "starting the brokers again")
        assert process.stderr is not None
        address = ""
        for line in process.stderr:
            if line.strip().startswith("export BROKER_ADDRESS="):
                address = line.strip().partition("=")[2]
            if line.startswith("Ctrl-C"):
                break
        read = subprocess.run(
            [*JOURNALCTL, "read", "demo/flights/", "--broker.address", address],
            capture_output=True,
            check=True,
            timeout=60,
        )
        assert sorted(read.stdout.splitlines(keepends=True)) == sorted(
            flight.line for flight in flights(500)
        )
        process.send_signal(signal.SIGINT)
        assert process.wait(40) == 0
        assert process.stdout is not None
        assert "all of it is there, once, in order" in process.stdout.read()


def read_terminal(terminal: int) -> bytes:
    """Return what was written, nothing once its other end is closed."""
    try:
        return os.read(terminal, 1 << 16)
    except OSError as exc:
        if exc.errno != errno.EIO:
            raise
        return b""


def test_a_terminal_is_shown_a_progress_bar(tmp_path: Path) -> None:
    terminal, end = pty.openpty()
    process = subprocess.Popen(
        [*GAZETTE_PY, "demo", "--rows", "500"],
        stdout=subprocess.DEVNULL,
        stderr=end,
        env={**os.environ, "TMPDIR": str(tmp_path), "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(end)
    shown = b"".join(iter(lambda: read_terminal(terminal), b""))
    os.close(terminal)
    assert process.wait(60) == 0
    assert b"rows acknowledged" in shown
    assert b"500/500" in shown
