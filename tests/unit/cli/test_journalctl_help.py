"""Help of every command: its examples are calls which its parser accepts, and it comes fast."""

import re
import shlex
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from gazette_py.cli.journalctl import cli

_CONTEXT = click.Context(cli)
COMMANDS = cli.list_commands(_CONTEXT)


def _verbs(command: click.Command) -> list[click.Command]:
    if not isinstance(command, click.Group):
        return []
    verbs = [command.get_command(_CONTEXT, name) for name in command.list_commands(_CONTEXT)]
    return [verb for verb in verbs if verb is not None]


def _examples(name: str) -> list[list[str]]:
    """Return the arguments of each call of a command in its examples."""
    command = cli.get_command(_CONTEXT, name)
    assert command is not None
    assert command.epilog is not None
    verbs = _verbs(command)
    calls = []
    for line in "\n".join(str(each.epilog) for each in (command, *verbs)).strip().splitlines():
        for part in " ".join(shlex.split(line, comments=True)).split(" | "):
            words = re.split(" [<>] ", part)[0].split(" ")
            if words[0] == "journalctl":
                calls.append(words[1:])
    return calls


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_examples(name: str) -> None:
    result = CliRunner().invoke(cli, [name, "--help"], prog_name="journalctl")

    assert result.exit_code == 0
    assert "\nExamples:\n  " in result.stdout
    assert f"journalctl {name} " in result.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_are_accepted(name: str) -> None:
    examples = _examples(name)

    assert len(examples) >= 3
    for verb, *args in examples:
        command = cli.get_command(_CONTEXT, verb)
        assert command is not None
        if isinstance(command, click.Group):
            verb, *args = args
            command = command.get_command(_CONTEXT, verb)
            assert command is not None
        with command.make_context(verb, args) as context:  # Raises what a user would be told.
            assert context.params


def test_help_lists_every_command_without_importing_it() -> None:
    code = (
        "import sys; sys.argv = ['x', '--help']\n"
        "from gazette_py.cli.journalctl import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'grpc', 'google.protobuf', 'yaml', 'boto3', 'rich', 'asyncio'}\n"
        "sys.exit(str(heavy & sys.modules.keys() or ''))\n"
    )

    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )

    assert result.stderr == "\n"
    for name in COMMANDS:
        assert f"\n  {name}" in result.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_leave_libraries_until_they_need_them(name: str) -> None:
    code = (
        f"import sys, gazette_py.cli.commands.{name.replace('-', '_')}\n"
        "heavy = {'grpc', 'google.protobuf', 'yaml', 'boto3', 'rich'}\n"
        "sys.exit(str(heavy & sys.modules.keys() or ''))\n"
    )

    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )

    assert result.stderr == "\n"


def test_verbs_of_gazctl_leave_libraries_until_they_need_them() -> None:
    group = cli.get_command(_CONTEXT, "journals")
    assert isinstance(group, click.Group)
    verbs = [name.replace("-", "_") for name in group.list_commands(_CONTEXT)]
    code = (
        f"import sys, {', '.join(f'gazette_py.cli.gazctl.{name}' for name in verbs)}\n"
        "heavy = {'grpc', 'google.protobuf', 'yaml', 'boto3', 'rich'}\n"
        "sys.exit(str(heavy & sys.modules.keys() or ''))\n"
    )

    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )

    assert result.stderr == "\n"


def test_the_version_is_told() -> None:
    result = CliRunner().invoke(cli, ["--version"])

    assert result.exit_code == 0
    assert result.stdout.startswith("journalctl of gazette_py ")


@pytest.mark.parametrize(("alias", "name"), [("ls", "list"), ("put", "append"), ("cat", "read")])
def test_aliases_are_the_commands(alias: str, name: str) -> None:
    assert cli.get_command(_CONTEXT, alias) is cli.get_command(_CONTEXT, name)
