"""Looks for processes of this machine which belong to a test."""

import os
import time
from pathlib import Path


def processes_of(text: str) -> dict[int, str]:
    """Return IDs and command lines of processes which have `text` among their arguments."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and entry.name != str(os.getpid()):
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if text in command:
                found[int(entry.name)] = command
    return found


def wait_gone(text: str, timeout_s: float) -> None:
    """Wait until there are none."""
    deadline = time.monotonic() + timeout_s
    while left := processes_of(text):
        assert time.monotonic() < deadline, f"still there: {left}"
        time.sleep(0.05)
