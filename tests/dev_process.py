"""`gazette-py dev` as a process of its own, for tests which need a cluster but not its insides."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

GAZETTE_PY = [sys.executable, "-m", "gazette_py"]
JOURNALCTL = [sys.executable, "-m", "gazette_py.cli.journalctl"]


@contextmanager
def dev(
    *arguments: str, env: dict[str, str] | None = None
) -> Iterator[tuple["subprocess.Popen[str]", dict[str, Any]]]:
    """Run `gazette-py dev` until the context ends; yield it and its ready line."""
    process = subprocess.Popen(
        [*GAZETTE_PY, "dev", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise AssertionError(f"dev did not start: {process.communicate()[1]}")
        yield process, json.loads(line)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
