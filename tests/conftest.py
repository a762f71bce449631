"""Options which all tests share, and the rule on skipped tests.

With `--allowed-skips FILE` a test may be skipped only if a line of FILE lists it: a pattern of its
ID, a colon, and the reason why it may be skipped there. CI runs so.
"""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import hypothesis
import pytest
from versitygw_server import S3Server, versitygw

# How long an example takes says how busy the machine is. `timeout` bounds every test.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite", action="store_true", help="write the answers of transcripts anew")
    parser.addoption("--allowed-skips", type=Path, help="fail on a skipped test not in this file")
    parser.addoption(
        "--bench-address",
        action="append",
        default=[],
        metavar="URL",
        help="also measure the brokers at this address (may be given several times)",
    )
    parser.addoption(
        "--bench-store",
        default="file:///",
        metavar="URL",
        help="fragment store of journals which are measured there",
    )


def pytest_configure(config: pytest.Config) -> None:
    listed: Path | None = config.getoption("--allowed-skips")
    if listed is not None:
        config.pluginmanager.register(_SkipRule(listed.read_text(encoding="utf-8")))


class _SkipRule:
    def __init__(self, listed: str) -> None:
        lines = (line for line in listed.splitlines() if line and not line.startswith("#"))
        self._patterns = [line.rpartition(": ")[0] for line in lines]
        self._unlisted: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._check(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._check(report)

    def _check(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.skipped and not any(fnmatchcase(report.nodeid, p) for p in self._patterns):
            self._unlisted.append(report.nodeid)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._unlisted and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for nodeid in self._unlisted:
            terminalreporter.write_line(f"SKIPPED AND NOT LISTED {nodeid}", red=True)


@pytest.fixture
def s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """A real S3 server, whose credentials all children find in their environment."""
    directory = tmp_path / "s3"
    directory.mkdir()
    with versitygw(directory) as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        yield server
