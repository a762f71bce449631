"""What a program which uses the twin is told by mypy, in its strict mode."""

import os
import re
import subprocess
import sys
from pathlib import Path

import gazette_py

PROGRAM = """
from typing import assert_type
from gazette_py.client import Added, Appended
from gazette_py.client.sync import AppendService, Client, PendingAppend, connect
from gazette_py.protocol.labels import LabelSelector, LabelSet

def use(client: Client, service: AppendService) -> Appended:
    first = service.append("a/b", b"tea")
    second = service.append(
        "a/b", b"tea", after=[first], offset=3, check_registers=LabelSelector(),
        union_registers=LabelSet(), subtract_registers=None, timeout_s=1.5,
    )
    assert_type(second, PendingAppend)
    assert_type(service.try_append("a/b", b"tea"), PendingAppend | None)
    assert_type(client.append("a/b", b"tea").commit.begin, int)
    with client.reader("a/b", offset=3) as reader:
        for batch in reader.lines():
            assert_type(batch.lines, list[bytes])
        assert_type(reader.lag_bytes, int | None)
    with client.view() as view:
        for change in view.changes():
            if isinstance(change, Added):
                assert_type(change.journal.spec.name, str)
    return second.result()

with connect("http://localhost:8080", metrics=False) as client:
    with client.append_service(linger_s=0.1) as service:
        assert_type(service, AppendService)
        assert_type(use(client, service), Appended)
"""

MISTAKES = """
from gazette_py.client.sync import AppendService, connect

def misuse(service: AppendService) -> None:
    service.append("a/b", "tea")
    service.append("a/b", b"tea", ofset=3)
    service.append("a/b", b"tea", check_registers="a=b")
    service.flush(1)
    connect("http://localhost:8080", cache_size="many")
    with connect("http://localhost:8080").append_service() as made:
        made.append(b"tea")
"""


def errors_of(program: str, directory: Path) -> list[tuple[int, str]]:
    """Return line and code of each error."""
    path = directory / "program.py"
    path.write_text(program.lstrip())
    done = subprocess.run(
        # With a configuration of its own: ours is not that of whoever uses the package.
        [
            *(sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-error-summary"),
            *("--follow-imports=silent", f"--cache-dir={directory}", str(path)),
        ],
        cwd=directory,
        env={**os.environ, "MYPYPATH": str(Path(gazette_py.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = re.findall(r"^program\.py:(\d+): error: .*\[([\w-]+)\]$", done.stdout, re.M)
    assert bool(found) == bool(done.returncode), done.stdout + done.stderr
    return [(int(line), code) for line, code in found]


def test_true_types_and_each_mistake_are_told(tmp_path: Path) -> None:
    assert errors_of(PROGRAM, tmp_path) == []
    assert errors_of(MISTAKES, tmp_path) == [
        (4, "arg-type"),
        (5, "call-arg"),
        (6, "arg-type"),
        (7, "call-arg"),
        (8, "arg-type"),
        (10, "call-arg"),
        (10, "arg-type"),
    ]
