"""Whose `journalctl` is meant, and that systemd's is run where it is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gazette_py.cli import handover
from gazette_py.cli.journalctl import cli

SYSTEMD_CALLS = [
    "",
    "-u x",
    "-u nginx.service -f",
    "-xe",
    "-xeu x",
    "-f",
    "-b",
    "-b -1",
    "-k",
    "-n 50",
    "-r",
    "-o json",
    "-p err",
    "-t sshd",
    "-M container",
    "-D /var/log/journal",
    "_PID=1",
    "_SYSTEMD_UNIT=a.service + _PID=2",
    "PRIORITY=3",
    "/usr/sbin/sshd",
    "/dev/sda",
    "--vacuum-time=2d",
    "--vacuum-size 1G",
    "--disk-usage",
    "--list-boots",
    "--since yesterday",
    "--since=2024-01-01 --until=2024-01-02",
    "--unit=a.service",
    "--user -f",
    "--system",
    "--no-pager -u x",
    "--flush",
    "--rotate",
    "--sync",
    "--verify",
    "--follow",
    "--merge",
    "--file a.journal",
    "--header",
    "--namespace=x",
    "-N",
    "-F _SYSTEMD_UNIT",
]

OUR_CALLS = [
    "list",
    "ls -o json",
    "apply -f journals.yaml",
    "delete a/b --yes",
    "append a/b",
    "put a/b",
    "read -f a/b",
    "cat a/b",
    "head a/b",
    "fragments a/b --from -1h",
    "-h",
    "--help",
    "--version",
    "--context prod list",
    "--context=prod list",
    "--config=f list",
]


@pytest.mark.parametrize("call", SYSTEMD_CALLS)
def test_calls_of_systemds_tool_are_recognised(call: str) -> None:
    assert handover.is_meant_for_systemd("/venv/bin/journalctl", call.split(), {})


@pytest.mark.parametrize("call", OUR_CALLS)
def test_our_calls_are_ours(call: str) -> None:
    assert not handover.is_meant_for_systemd("/venv/bin/journalctl", call.split(), {})


def test_every_command_begins_with_a_word_of_ours() -> None:
    for name in cli.list_commands(None):  # type: ignore[arg-type].
        assert not handover.is_meant_for_systemd("journalctl", [name], {})


def test_the_long_name_hands_nothing_over() -> None:
    assert not handover.is_meant_for_systemd("/bin/gazette-journalctl", ["-u", "x"], {})


def test_the_environment_can_forbid_it() -> None:
    env = {"GAZETTE_JOURNALCTL_PASSTHROUGH": "0"}

    assert not handover.is_meant_for_systemd("/venv/bin/journalctl", ["-u", "x"], env)


def _executable(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_our_own_file_is_not_the_systems(tmp_path: Path) -> None:
    ours = _executable(tmp_path / "venv" / "journalctl", "#!/bin/sh\n")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "journalctl").symlink_to(ours)
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "journalctl").write_text("not executable")
    theirs = _executable(tmp_path / "sys" / "journalctl", "#!/bin/sh\n")
    directories = [str(tmp_path / name) for name in ("none", "linked", "plain", "sys")]

    assert handover.find_system_journalctl(str(ours), directories) == str(theirs)
    assert handover.find_system_journalctl(str(ours), directories[:3]) is None


def _run(tmp_path: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run our program as `journalctl`, where the system's is in `tmp_path`/sys."""
    program = _executable(
        tmp_path / "venv" / "journalctl",
        f"#!{sys.executable}\n"
        "from gazette_py.cli import handover, journalctl\n"
        f"handover.SYSTEM_DIRECTORIES = [{str(tmp_path / 'sys')!r}]\n"
        "journalctl.main()\n",
    )
    return subprocess.run(
        [program, *args], capture_output=True, text=True, check=False, env=dict(os.environ)
    )


def test_systemds_tool_gets_its_arguments_unchanged(tmp_path: Path) -> None:
    _executable(tmp_path / "sys" / "journalctl", '#!/bin/sh\nprintf "<%s>" "$@"\nexit 42\n')

    result = _run(tmp_path, "-xeu", "a b", "--since", "")

    assert result.stdout == "<-xeu><a b><--since><>"
    assert result.returncode == 42


def test_without_systemds_tool_there_is_help_and_a_usage_error(tmp_path: Path) -> None:
    result = _run(tmp_path, "-u", "x")

    assert "Work with the journals" in result.stdout
    assert "systemd" not in result.stdout
    assert result.returncode == 2


def test_help_names_systemds_tool(tmp_path: Path) -> None:
    theirs = _executable(tmp_path / "sys" / "journalctl", "#!/bin/sh\n")

    result = _run(tmp_path, "--help")

    assert result.stdout.endswith(f"The log viewer of systemd is {theirs}.\n")
    assert result.returncode == 0
