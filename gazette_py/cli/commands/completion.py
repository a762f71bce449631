"""`journalctl completion`: scripts by which shells complete its commands, options and journals."""

import click

from gazette_py.cli.handover import LONG_NAME, SHORT_NAME
from gazette_py.cli.verb import Verb


@click.command(
    "completion",
    cls=Verb,
    epilog="""
    eval "$(journalctl completion bash)"        # in ~/.bashrc
    journalctl completion zsh > _gazette-journalctl
    journalctl completion fish > gazette-journalctl.fish
    journalctl completion bash --name journalctl
    """,
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.option(
    "--name",
    type=click.Choice([LONG_NAME, SHORT_NAME]),
    default=LONG_NAME,
    show_default=True,
    help="Program to complete. The short one has systemd's completion on most hosts.",
)
def command(shell: str, name: str) -> None:
    """Print a script which completes commands, options, journals and contexts.

    Names of journals come from the brokers, those of $BROKER_ADDRESS or of the context in use.
    """
    from click.shell_completion import get_completion_class

    from gazette_py.cli.journalctl import cli, complete_variable

    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(cli, {}, name, complete_variable(name)).source())
