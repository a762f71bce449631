"""`journalctl` as a process whose standard error is a terminal."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

TIMEOUT_S = 30.0

# A shell which runs the tests in the background has programs ignore Ctrl-C.
MAIN = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from gazette_py.cli.journalctl import main
main()
"""


@contextmanager
def started(*args: str, **options: Any) -> "Iterator[subprocess.Popen[bytes]]":
    """Start it, with pipes for its output, and end it with the context."""
    usual = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", MAIN, *args], **{**usual, **options})
    with process:
        try:
            yield process
        finally:
            process.kill()


class Terminal:
    """What a person sees of a process."""

    def __init__(self) -> None:
        self._ours, self.its = pty.openpty()
        fcntl.ioctl(self.its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
        self.seen = ""

    def watch(self, until: str, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Watch until there is a text, or, if it is empty, until the process has left."""
        deadline = time.monotonic() + TIMEOUT_S
        while not (until and until in self.seen):
            meanwhile()
            assert time.monotonic() < deadline, f"there is only {self.seen!r}"
            if not select.select([self._ours], [], [], 0.05)[0]:
                continue
            try:
                self.seen += os.read(self._ours, 1 << 16).decode(errors="replace")
            except OSError:
                assert not until, f"there was only {self.seen!r}"
                return

    def close(self) -> None:
        os.close(self._ours)


@contextmanager
def on_terminal(
    *args: str, env: dict[str, str] | None = None, **options: Any
) -> "Iterator[tuple[subprocess.Popen[bytes], Terminal]]":
    """Start it with a terminal for its standard error."""
    terminal = Terminal()
    try:
        with started(*args, stderr=terminal.its, env=_with_terminal(env), **options) as process:
            os.close(terminal.its)
            yield process, terminal
    finally:
        terminal.close()


def shown(*args: str, env: dict[str, str] | None = None) -> str:
    """Return what a person sees of a command all of whose output is a terminal."""
    terminal = Terminal()
    its = terminal.its
    try:
        with started(*args, stdout=its, stderr=its, env=_with_terminal(env)) as process:
            os.close(its)
            terminal.watch("")
            process.wait(TIMEOUT_S)
    finally:
        terminal.close()
    return terminal.seen


def _with_terminal(env: dict[str, str] | None) -> dict[str, str]:
    ours = {
        name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS")
    }
    return ours | {"TERM": "xterm-256color", **(env or {})}
