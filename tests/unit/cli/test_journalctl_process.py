"""How the process ends: by signals, and when nobody reads its output. No broker is needed."""

import fcntl
import os
import signal
import struct
import subprocess
import sys
import termios
import time

import pytest

PROGRAM = [sys.executable, "-m", "gazette_py.cli.journalctl"]


def _wait_drained(fd: int) -> None:
    """Wait until the pipe's reader has taken everything out of it."""
    deadline = time.monotonic() + 30
    while struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, b"\0" * 4))[0]:
        assert time.monotonic() < deadline, "nobody reads"
        time.sleep(0.01)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_it_at_once_while_it_waits_for_input(number: int, code: int) -> None:
    read_fd, write_fd = os.pipe()
    process = subprocess.Popen(
        [*PROGRAM, "append", "a/b"],
        stdin=read_fd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A shell which runs the tests in the background has them ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    os.write(write_fd, b"not all")
    _wait_drained(read_fd)

    process.send_signal(number)
    out, err = process.communicate(timeout=10)

    os.close(read_fd)
    os.close(write_fd)
    assert process.returncode == code
    assert (out, err.strip()) == (b"", b"")


def test_it_is_silent_when_nobody_reads_its_output() -> None:
    read_fd, write_fd = os.pipe()
    os.close(read_fd)

    result = subprocess.run(
        [*PROGRAM, "head", "--help"], stdout=write_fd, stderr=subprocess.PIPE, check=False
    )

    os.close(write_fd)
    assert result.returncode == 141
    assert result.stderr == b""
