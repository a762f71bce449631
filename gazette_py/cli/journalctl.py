"""The program `journalctl`, also `gazette-journalctl`: journals of a cluster from the shell.

Commands are imported when they are called, and libraries when they are used, so that `--help` and
completion answer at once.
"""

import errno
import os
import sys
from collections.abc import MutableMapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from importlib import import_module
from io import UnsupportedOperation
from typing import Any, NoReturn

import click

from gazette_py.cli import handover
from gazette_py.cli.errors import CommandError, ExitCode, Failure, TerminatedError
from gazette_py.cli.settings import context_options

# Name: module of gazette_py.cli.commands, and its line in the list of commands.
_COMMANDS = {
    "list": ("list", "Journals, their status and who serves them."),
    "describe": ("describe", "All that is known of journals, and what is wrong."),
    "tree": ("tree", "The hierarchy of journals' names, with counts and sizes."),
    "apply": ("apply", "Create, update and delete journals as YAML files say."),
    "diff": ("diff", "What applying YAML files would change."),
    "create": ("create", "Create a journal, without YAML."),
    "edit": ("edit", "Change journals in an editor."),
    "label": ("label", "Set and drop labels of journals."),
    "delete": ("delete", "Delete journals."),
    "append": ("append", "Append a file or standard input."),
    "read": ("read", "Print the content of journals, and follow them."),
    "head": ("head", "Write heads: the offsets at which journals end."),
    "fragments": ("fragments", "The files which hold the content of journals."),
    "verify": ("verify", "Compare stored fragments with their names, and find what is missing."),
    "prune": ("prune", "Remove stored fragments which are older than retention."),
    "suspend": ("suspend", "Have brokers let go of journals until the next append."),
    "resume": ("resume", "Have brokers take up suspended journals."),
    "reset-head": ("reset_head", "Let journals go on whose brokers were all lost."),
    "wait": ("wait", "Wait until journals are served, consistent, or stored."),
    "doctor": ("doctor", "Why journals cannot be appended to or read, and what mends it."),
    "brokers": ("brokers", "The brokers of the cluster, and draining one."),
    "explain": ("explain", "What a field of a journal's YAML means."),
    "backup": ("backup", "Write the specs of journals into a file."),
    "restore": ("restore", "Create the journals of a backup."),
    "store": ("store", "Stores of fragments: whether they work, and what is in them."),
    "attach-uuids": ("attach_uuids", "Give each line of files a UUID."),
    "journals": ("journals", "The verbs of gazctl, with its flags and its output."),
    "lake": ("lake", "Journals as files, for other programs."),
    "token": ("token", "Make tokens which let their bearers in, and look into them."),
    "context": ("context", "Clusters by name: addresses, certificates and tokens of each."),
    "config": ("config", "Settings in force, and where each is from."),
    "completion": ("completion", "Have shells complete commands and journals."),
}
_OUTPUT_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_ALIASES = {"ls": "list", "put": "append", "cat": "read"}


class Root(click.Group):
    """The group of all commands; it turns every way to end into an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return names in the order of help."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        name = _ALIASES.get(cmd_name, cmd_name)
        if name not in _COMMANDS:
            return None
        module = import_module(f"gazette_py.cli.commands.{_COMMANDS[name][0]}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command which the arguments begin with."""
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            near = get_close_matches(args[0], [*_COMMANDS, *_ALIASES], 1)
            rest = f"did you mean {near[0]}?" if near else f"there are {', '.join(_COMMANDS)}"
            raise click.UsageError(f"no command {args[0]}: {rest}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        names = {name: name for name in _COMMANDS}
        for alias, name in _ALIASES.items():
            names[name] += f", {alias}"
        with formatter.section("Commands"):
            formatter.write_dl([(names[name], text) for name, (_, text) in _COMMANDS.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Name systemd's tool, if we might stand before it."""
        system = handover.find_system_journalctl(sys.argv[0])
        if system is not None:
            formatter.write(f"\nThe log viewer of systemd is {system}.\n")

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, with all of its output written when it returns.

        Raises:
            CommandError: Output cannot be written.
        """
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            _silence_stdout()
            ctx.exit(ExitCode.BROKEN_PIPE)
        except OSError as exc:
            if exc.errno not in _OUTPUT_ERRORS:
                raise
            _silence_stdout()
            detail = f"it cannot be written: {exc.strerror}"
            failure = Failure(code=ExitCode.ERROR, status="IO", what="output", detail=detail)
            raise CommandError(failure) from exc
        return result

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the program, and exit."""
        assert standalone_mode, "commands end the process"
        sys.exit(self._run(args, prog_name, complete_var, extra))

    def _run(
        self,
        args: Sequence[str] | None,
        prog_name: str | None,
        complete_var: str | None,
        extra: MutableMapping[str, Any],
    ) -> int:
        try:
            result = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        except CommandError as exc:
            exc.show()
            return exc.failure.code
        except click.UsageError as exc:
            _show_usage_error(exc)
            return ExitCode.USAGE
        except click.ClickException as exc:
            exc.show()
            return exc.exit_code
        except click.Abort:
            _silence_stdout()  # Whoever interrupts does not wait for a pipe to drain.
            return ExitCode.INTERRUPTED
        except TerminatedError:
            _silence_stdout()
            return ExitCode.TERMINATED
        return result if isinstance(result, int) else ExitCode.OK


def _show_usage_error(exc: click.UsageError) -> None:
    path = exc.ctx.command_path if exc.ctx else handover.SHORT_NAME
    failure = Failure(
        code=ExitCode.USAGE,
        status="USAGE",
        what=path,
        detail=exc.format_message(),
        hints=(f"See `{path} --help`.",),
    )
    click.echo(failure.as_text(), err=True)


def _silence_stdout() -> None:
    """Have what is still buffered go nowhere, or the interpreter complains as it ends."""
    with suppress(UnsupportedOperation):  # It is no file, but in memory.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from gazette_py import __version__

        click.echo(f"journalctl of gazette_py {__version__}")
        ctx.exit()


@click.group(
    cls=Root,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=False,
    invoke_without_command=True,
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version and exit.",
)
@context_options
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Work with the journals of a Gazette cluster.

    Data goes to standard output, everything else to standard error. Exit codes: 0 done, 1 error, 2
    usage or bad input, 3 nothing matched, 4 conflict, 5 not allowed, 6 unavailable, 7 done in part,
    8 unhealthy or outcome unknown.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
        ctx.exit(ExitCode.USAGE)


def complete_variable(name: str) -> str:
    """Return the variable by which a shell asks the program of that name for completions."""
    return f"_{name.replace('-', '_').upper()}_COMPLETE"


def main() -> NoReturn:
    """Run the program, or systemd's if that one is meant."""
    program, *args = sys.argv
    name = os.path.basename(program)
    if complete_variable(name) not in os.environ and handover.is_meant_for_systemd(
        program, args, os.environ
    ):
        system = handover.find_system_journalctl(program)
        if system is not None:
            os.execv(system, [system, *args])  # noqa: S606 - that is the point.
        args = []  # Help, and exit code 2: we do not know their options.
    # Else gRPC may complain on our standard error about how it was ended.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    cli.main(args)
    raise AssertionError("main exits")


if __name__ == "__main__":
    main()
