"""Shells complete commands, options, contexts, and journals level by level."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from gazette_py.cli.completing import one_level
from gazette_py.cli.journalctl import cli
from gazette_py.testing import InProcessCluster

PROGRAMS = Path(sys.executable).parent


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The address of a cluster with journals."""
    with InProcessCluster() as cluster:
        for name in ("acme/orders", "acme/tmp/one", "acme/tmp/two", "acme-others"):
            cluster.create(name)
        yield cluster.addresses[0]


def completed(
    line: str, address: str = "", program: str = "gazette-journalctl", timeout: str = "30s"
) -> list[str]:
    """Return what bash would be told for a line whose last word is incomplete."""
    env = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        f"_{program.replace('-', '_').upper()}_COMPLETE": "bash_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split(" ")) - 1),
    }
    if address:
        env["BROKER_ADDRESS"] = address
    if timeout:
        env["GAZETTE_REQUEST_TIMEOUT"] = timeout
    done = subprocess.run(
        [PROGRAMS / program], env=env, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stderr == ""
    return [reply.partition(",")[2] for reply in done.stdout.split()]


def test_names_are_completed_up_to_the_next_slash() -> None:
    names = ["acme-x", "acme/orders", "acme/tmp/one", "acme/tmp/two"]

    assert one_level(names, "") == ["acme-x", "acme/"]
    assert one_level(names[1:], "acme/") == ["acme/orders", "acme/tmp/"]
    assert one_level(names[2:], "acme/t") == ["acme/tmp/"]
    assert one_level(names[2:3], "acme/tmp/one") == ["acme/tmp/one"]


@pytest.mark.parametrize("program", ["gazette-journalctl", "journalctl"])
def test_commands_and_options_are_completed(program: str) -> None:
    """Also under the name of systemd's tool, which must not be handed the question."""
    assert completed(f"{program} lis", program=program) == ["list"]
    assert "--watch" in completed(f"{program} list --w", program=program)


@pytest.mark.parametrize("command", ["list", "read", "head", "append", "delete"])
def test_journals_are_completed_level_by_level(address: str, command: str) -> None:
    line = f"gazette-journalctl {command} "
    assert completed(line, address) == ["acme-others", "acme/"]
    assert completed(line + "acme/", address) == ["acme/orders", "acme/tmp/"]
    assert completed(line + "acme/tmp/t", address) == ["acme/tmp/two"]
    assert completed(line + "zzz", address) == []


def test_where_no_broker_answers_nothing_is_completed_soon() -> None:
    assert completed("gazette-journalctl read a", "http://127.0.0.1:9", timeout="") == []
    assert completed("gazette-journalctl read a", "nonsense") == []


def test_contexts_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c.toml"
    path.write_text("[context.prod]\n[context.dev]\n[context.prod-eu]\n")

    line = f"gazette-journalctl --config {path} context use pr"
    assert completed(line) == ["prod", "prod-eu"]
    assert completed(f"gazette-journalctl list --config {path} --context d") == ["dev"]
    path.write_text("[")
    assert completed(line) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_are_for_the_program_named(shell: str) -> None:
    for args, name in (([], "gazette-journalctl"), (["--name", "journalctl"], "journalctl")):
        script = CliRunner().invoke(cli, ["completion", shell, *args]).stdout
        assert f"_{name.replace('-', '_').upper()}_COMPLETE={shell}_complete" in script
        assert f" {name}" in script


def test_bash_asks_as_the_script_says(address: str) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    script = """
        eval "$(gazette-journalctl completion bash)"
        COMP_WORDS=(gazette-journalctl read acme/tmp/) COMP_CWORD=2
        _gazette_journalctl_completion gazette-journalctl
        echo "${COMPREPLY[@]}"
    """
    env = os.environ | {
        "BROKER_ADDRESS": address,
        "GAZETTE_REQUEST_TIMEOUT": "30s",
        "PATH": f"{PROGRAMS}:{os.environ['PATH']}",
    }
    done = subprocess.run(
        [bash, "-c", script], env=env, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "acme/tmp/one acme/tmp/two\n"
