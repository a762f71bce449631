"""`journalctl journals`: the verbs of `gazctl journals`, with its flags and formats."""

from collections.abc import Sequence
from importlib import import_module

import click

from gazette_py.cli.examples import GroupWithExamples

# Name: module of gazette_py.cli.gazctl, and its line in the list of verbs.
_VERBS = {
    "append": ("append", "Append a file or standard input."),
    "apply": ("apply", "Create, update and delete journals as a YAML file says."),
    "edit": ("edit", "Change journals in an editor."),
    "fragments": ("fragments", "List the fragments of journals."),
    "list": ("list", "List journals."),
    "prune": ("prune", "Remove fragments which are older than journals want to keep them."),
    "read": ("read", "Print the content of journals, and follow them."),
    "reset-head": ("reset_head", "Let journals go on whose brokers were all lost."),
    "store-health": ("store_health", "Check a store of fragments."),
    "suspend": ("suspend", "Have brokers let go of journals until the next append."),
}


class _Journals(GroupWithExamples):
    """Verbs which are imported when they are called. Their options may stand before them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return names in the order of help."""
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a verb."""
        if cmd_name not in _VERBS:
            return None
        module = import_module(f"gazette_py.cli.gazctl.{_VERBS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of verbs without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _VERBS.items()])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse them, with options which stand before the verb put behind it."""
        return super().parse_args(ctx, _verb_first(args))


def _verb_first(args: Sequence[str]) -> list[str]:
    rest, options = list(args), []
    # All options which may stand there have a value.
    while rest and rest[0].startswith("--") and rest[0] != "--help":
        option = rest.pop(0)
        options.append(option)
        if "=" not in option and rest:
            options.append(rest.pop(0))
    return [*rest[:1], *options, *rest[1:]]


@click.group(
    "journals",
    cls=_Journals,
    epilog="""
    journalctl journals list -l env=prod -o yaml
    journalctl journals read -l env=prod
    """,
)
def command() -> None:
    """Do what `gazctl journals` does: its verbs, its flags, its output.

    Scripts which call gazctl work with this in its place. Everything new is in the other commands,
    which have names for journals beside selectors, ask before they destroy, and tell what they did.
    Exit codes are those of `journalctl`.
    """
