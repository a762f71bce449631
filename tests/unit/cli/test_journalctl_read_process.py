"""`journalctl read` as a process: how it ends, what it leaves, and what it tells a person."""

import fcntl
import json
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from terminals import TIMEOUT_S, on_terminal, started

from gazette_py.testing import InProcessCluster

LINES = 50_000
CONTENT = b"".join(b"%049d\n" % n for n in range(LINES))


@pytest.fixture(scope="module")
def cluster() -> Iterator[InProcessCluster]:
    with InProcessCluster() as cluster:
        cluster.create("read/long", "read/few")
        with cluster_client(cluster) as client:
            client.append("read/long", CONTENT)
            client.append("read/few", b"1\n2\n")
        yield cluster


def cluster_client(cluster: InProcessCluster) -> Any:
    from gazette_py.client.sync import connect

    return connect(cluster.address)


def reading(
    cluster: InProcessCluster, *args: str, **options: Any
) -> "AbstractContextManager[subprocess.Popen[bytes]]":
    return started("read", *args, "--broker.address", cluster.address, **options)


def wait_until(check: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not check():
        assert time.monotonic() < deadline, f"not {what}"
        time.sleep(0.01)


def readable(fd: int) -> int:
    """Return how many bytes wait in a pipe."""
    count: int = struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, b"\0" * 4))[0]
    return count


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_offsets_of_what_was_printed(
    cluster: InProcessCluster, tmp_path: Path, number: int, code: int
) -> None:
    out, at = tmp_path / "out", tmp_path / "at.json"
    args = ("read/few", "-f", "--to", str(out), "--offsets-out", str(at))
    with reading(cluster, *args) as process:
        wait_until(lambda: out.exists() and out.read_bytes() == b"1\n2\n", "printed")
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=TIMEOUT_S)

    assert (process.returncode, stdout, stderr.strip()) == (code, b"", b"")
    assert json.loads(at.read_text()) == {"read/few": 4}


def test_offsets_are_saved_meanwhile_if_asked_for(
    cluster: InProcessCluster, tmp_path: Path
) -> None:
    at = tmp_path / "at.json"
    args = ("read/few", "-f", "--offsets-out", str(at), "--commit-every", "50ms")
    with reading(cluster, *args) as process:
        wait_until(lambda: at.exists() and json.loads(at.read_text()) == {"read/few": 4}, "saved")
        assert process.poll() is None


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_second_signal_ends_it_where_the_first_waits_for_a_reader(
    cluster: InProcessCluster, tmp_path: Path, number: int, code: int
) -> None:
    """Its output is a pipe from which nobody takes anything: it can never drain."""
    at = tmp_path / "at.json"
    with reading(cluster, "read/long", "--framing", "lines", "--offsets-out", str(at)) as process:
        assert process.stdout is not None
        fd = process.stdout.fileno()
        size = fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ)
        wait_until(lambda: readable(fd) > size // 2, "blocked")

        process.send_signal(number)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=1.0)
        process.send_signal(number)
        assert process.wait(timeout=TIMEOUT_S) == code
        assert process.communicate()[1].strip() == b""
    assert not at.exists()  # Nobody knows how much of it arrived.


def test_it_is_silent_when_its_reader_has_had_enough(cluster: InProcessCluster) -> None:
    with reading(cluster, "read/long", "--framing", "lines") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(50) == CONTENT[:50]
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=TIMEOUT_S) == 141


@pytest.mark.parametrize("args", [("--to", "/dev/full"), ()])
def test_a_full_disk_is_an_error_in_words(cluster: InProcessCluster, args: tuple[str, ...]) -> None:
    with (
        Path("/dev/full").open("wb", buffering=0) as full,
        reading(cluster, "read/few", *args, stdout=full) as process,
    ):
        stderr = process.communicate(timeout=TIMEOUT_S)[1].decode()

    assert process.returncode == 1
    assert stderr == "error: output (IO): it cannot be written: No space left on device\n"


@pytest.mark.parametrize("args", [(), ("-f",)])
def test_a_person_is_told_where_the_end_is(
    cluster: InProcessCluster, args: tuple[str, ...]
) -> None:
    command = ("read", "read/few", *args, "--broker.address", cluster.address)
    with on_terminal(*command, stdout=subprocess.DEVNULL) as (_, terminal):
        terminal.watch("% Reached end of read/few at offset 4\r\n")


def test_programs_are_told_nothing(cluster: InProcessCluster) -> None:
    with reading(cluster, "read/few") as process:
        assert process.communicate(timeout=TIMEOUT_S) == (b"1\n2\n", b"")
