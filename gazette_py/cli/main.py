"""The program `gazette-py`: brokers, and clusters on this machine.

Commands are imported when they are called, so that `--help` answers at once.
"""

import sys
from importlib import import_module

import click

from gazette_py import __version__, errors
from gazette_py.cli.errors import CommandError, ExitCode, failure_of
from gazette_py.cli.examples import WithExamples

# Name: module, and its line in the list of commands.
_COMMANDS = {
    "demo": ("gazette_py.cli.demo", "The main job on real data, start to finish, in a minute."),
    "dev": ("gazette_py.cli.dev", "A cluster on this machine: etcd, brokers and a store."),
    "serve": ("gazette_py.cli.serve", "One broker."),
}


class Root(WithExamples, click.Group):
    """The group of all commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return names in the order of help."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = import_module(_COMMANDS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


_EXAMPLES = """
gazette-py demo
gazette-py dev --data-dir ./data
gazette-py serve --help
"""


@click.group(cls=Root, epilog=_EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gazette-py")
def root() -> None:
    """A Gazette-compatible journal broker over object storage."""


def main() -> None:
    """Run the program. Errors of ours become one line and an exit code."""
    sys.exit(_run())


def _run() -> int:
    try:
        result = root.main(prog_name="gazette-py", standalone_mode=False)
    except errors.GazetteError as exc:
        failed = CommandError(failure_of(exc))
        failed.show()
        return failed.failure.code
    except CommandError as exc:
        exc.show()
        return exc.failure.code
    except click.ClickException as exc:
        exc.show()
        return exc.exit_code
    except (click.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    return result if isinstance(result, int) else ExitCode.OK
