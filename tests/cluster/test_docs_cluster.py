"""The commands of tutorials and guides, run as a reader runs them, on real clusters.

Ports which the pages name (8080 and those after it) are replaced by free ones, and so is the port
of the S3 server. Everything else is run as it is written, by one shell for each page, with a
directory of its own.
"""

import contextlib
import os
import re
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from docs_pages import DOCS, Command, commands, matches

from gazette_py.local.ports import free_ports

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

COMMAND_TIMEOUT_S = 60.0
READY_TIMEOUT_S = 60.0
PORTS = 16  # 8080 up to 8095.

CLUSTER = DOCS / "how-to" / "run-a-local-cluster.md"
ALONE = [
    DOCS / "tutorials" / "first-journal.md",
    CLUSTER,
    DOCS / "how-to" / "run-against-google-cloud-or-azure.md",
    DOCS / "how-to" / "run-against-s3.md",
    DOCS / "how-to" / "test-your-code.md",
    DOCS / "how-to" / "name-clusters-and-give-tokens.md",
]
SHARED = [
    DOCS / "how-to" / "append-from-python.md",
    DOCS / "how-to" / "read-from-python.md",
    DOCS / "how-to" / "read-and-append-from-the-shell.md",
    DOCS / "how-to" / "follow-journals-from-python.md",
    DOCS / "how-to" / "use-journals-with-curl.md",
    DOCS / "how-to" / "read-fragments-with-duckdb.md",
    DOCS / "how-to" / "read-fragments-with-data-frames.md",
    DOCS / "how-to" / "know-when-a-day-is-whole.md",
    DOCS / "how-to" / "move-from-gazctl.md",
    DOCS / "how-to" / "use-gazettes-own-tools.md",
    DOCS / "how-to" / "run-a-mixed-cluster.md",
    DOCS / "how-to" / "back-up-and-restore.md",
    DOCS / "how-to" / "prune-old-fragments.md",
    DOCS / "how-to" / "take-a-broker-out.md",
    DOCS / "how-to" / "when-a-journal-refuses-appends.md",
]
PROGRAMS = {
    "azurite-blob": "GAZETTE_TEST_AZURITE",
    "fake-gcs-server": "GAZETTE_TEST_FAKE_GCS",
    "gazctl": "GAZETTE_TEST_GAZCTL",
    "gazette": "GAZETTE_TEST_GO_BROKER",
    "versitygw": "GAZETTE_TEST_VERSITYGW",
}


class Reader:
    """Follows a page: types its commands into a shell, and leaves some of them running."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        first = _free_range(PORTS)
        self._ports = {str(8080 + n): str(first + n) for n in range(PORTS)}
        self._ports["7070"] = str(free_ports(1)[0])
        self._running: list[subprocess.Popen[bytes]] = []
        bin_dir = directory / ".bin"
        bin_dir.mkdir()
        for program, variable in PROGRAMS.items():
            if path := os.environ.get(variable) or shutil.which(program):
                (bin_dir / program).symlink_to(path)
        search = (str(bin_dir), str(Path(sys.executable).parent), os.environ["PATH"])
        self._env = {**os.environ, "PATH": os.pathsep.join(search)}
        self._env.pop("PYTEST_ADDOPTS", None)  # A page may run a pytest, which is not ours.
        self._shell = self._start("bash", stdin=subprocess.PIPE)

    def follow(self, page: Path) -> None:
        """Run all commands of a page."""
        for command in commands(page):
            self.type(command)

    def type(self, command: Command) -> None:
        """Run a command, and compare what it prints."""
        text, expected = self._with_ports(command.text), self._with_ports(command.output)
        if command.is_background:
            if text.startswith("export "):
                text, setting = text.partition("; ")[2], text.partition("; ")[0]
                self._env.update(pair.split("=", 1) for pair in setting.split()[1:])
            self._leave_running(text, expected)
            return
        code, printed = self._run(text)
        assert matches(expected, printed), f"$ {text}\n{printed}\nbut the page has\n{expected}"
        # A page which shows an error also shows its exit code, by an echo behind it.
        assert code == 0, f"$ {text}\n{printed}\nexit code {code}"

    def close(self) -> None:
        """Press Ctrl-C in every terminal, and see that nothing complains."""
        # What a page which failed has left running goes with its shell.
        os.killpg(self._shell.pid, signal.SIGKILL)
        self._shell.communicate(timeout=10)
        complaints = []
        for process in reversed(self._running):
            # Servers of stores end with the signal; `dev` has to end with 0.
            code, rest = _interrupt(process)
            if code not in (0, 130, -signal.SIGINT):
                complaints.append(f"exit code {code}: {rest}")
        assert not complaints  # Not before all of them have ended.

    def _with_ports(self, text: str) -> str:
        replaced = re.sub(r"\b(80[89]\d|7070)\b", lambda m: self._ports[m[0]], text)
        if "--port" in text:
            return replaced
        return replaced.replace("gazette-py dev ", f"gazette-py dev --port {self._ports['8080']} ")

    def _start(self, *argv: str, stdin: int = subprocess.DEVNULL) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            argv,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self._directory,
            env=self._env,
            start_new_session=True,
            bufsize=0,
        )

    def _leave_running(self, text: str, expected: str) -> None:
        process = self._start("bash", "-c", text)
        self._running.append(process)
        deadline = time.monotonic() + READY_TIMEOUT_S
        printed = ""
        while not matches(expected, printed):
            more = _read(process, deadline)
            assert more, f"$ {text}\n{printed}\nbut the page has\n{expected}"
            printed += more.decode()

    def _run(self, text: str) -> tuple[int, str]:
        mark = "-- end of command --"
        assert self._shell.stdin is not None
        # The shell reads commands from its input, which they must not read in its place.
        script = f"{{ {text}\n}} < /dev/null\nprintf '%s %d\\n' '{mark}' $?\n"
        self._shell.stdin.write(script.encode())
        deadline, printed = time.monotonic() + COMMAND_TIMEOUT_S, ""
        end = re.compile(rf"{re.escape(mark)} (\d+)\n")
        while (found := end.search(printed)) is None:
            more = _read(self._shell, deadline)
            assert more, f"$ {text}\n{printed}\ndid not end"
            printed += more.decode()
        return int(found[1]), printed[: found.start()]


def _interrupt(process: "subprocess.Popen[bytes]") -> tuple[int, str]:
    """Press Ctrl-C, and return the exit code and what else was printed."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    try:
        rest = process.communicate(timeout=60)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        rest = process.communicate(timeout=10)[0]
    return process.returncode, rest.decode()


def _read(process: "subprocess.Popen[bytes]", deadline: float) -> bytes:
    """Return what is printed next; nothing at the end, or at the deadline."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        if not selector.select(max(0.0, deadline - time.monotonic())):
            return b""
    return os.read(process.stdout.fileno(), 1 << 16)


def _free_range(count: int) -> int:
    """Return the first of so many neighbouring ports, all free now: none which others look for."""
    for first in range(32_000, 32_760, count):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(first, first + count):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
            return first
    raise AssertionError("no ports are free")


@contextlib.contextmanager
def reader(directory: Path) -> Iterator[Reader]:
    """Provide a reader with an empty directory."""
    following = Reader(directory)
    try:
        yield following
    finally:
        following.close()


def need_programs(page: Path) -> None:
    """Skip if a program which the page needs is not here."""
    programs = "|".join(PROGRAMS)
    for command in commands(page):
        for program in re.findall(rf"(?:^|&& |; )({programs}) ", command.text):
            if not (os.environ.get(PROGRAMS[program]) or shutil.which(program)):
                pytest.skip(f"{program} is neither on PATH nor named by {PROGRAMS[program]}")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """A reader whose local cluster is up, as the guides ask for."""
    with reader(tmp_path_factory.mktemp("docs")) as following:
        following.type(commands(CLUSTER)[0])
        yield following


@pytest.mark.parametrize("page", ALONE, ids=lambda page: page.stem)
def test_what_a_page_shows_is_what_happens(tmp_path: Path, page: Path) -> None:
    need_programs(page)
    with reader(tmp_path) as following:
        following.follow(page)


@pytest.mark.parametrize("page", SHARED, ids=lambda page: page.stem)
def test_what_a_guide_shows_happens_on_a_local_cluster(shared: Reader, page: Path) -> None:
    need_programs(page)
    shared.follow(page)


def test_every_page_with_commands_is_run() -> None:
    assert set(ALONE + SHARED) == {page for page in DOCS.rglob("*.md") if commands(page)}
