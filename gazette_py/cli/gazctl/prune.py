"""`journalctl journals prune`.

It asks nothing, as scripts need it. What goes is decided as `journalctl prune` does: unlike gazctl,
it keeps all of a journal which has no retention, and what a journal ends with.
"""

import click

from gazette_py.cli.commands.prune import Wish, prune
from gazette_py.cli.connection import Broker
from gazette_py.cli.gazctl.flags import GazctlVerb, Log, changing_options, selector_option
from gazette_py.cli.selection import Selection
from gazette_py.cli.verb import run


@click.command(
    "prune",
    cls=GazctlVerb,
    epilog="""
    journalctl journals prune -l env=prod --dry-run
    journalctl journals prune --selector name=acme/orders
    journalctl journals prune -l name:prefix=acme/
    """,
)
@selector_option()
@click.option("--dry-run", is_flag=True, help="Tell how much would go.")
@changing_options
def command(selection: Selection, dry_run: bool, broker: Broker, log: Log) -> None:
    """Remove stored fragments of the journals selected which are older than their `retention`.

    The stores are reached from here, with credentials of our environment; file:// stores are not:
    `journalctl prune --file-root` does that. Nothing is printed on standard output.
    """
    del log  # A summary is always told.
    must_match = Selection(names=(), selector=selection.selector, allow_empty=False)
    run(prune(must_match, Wish(), broker, None, is_dry=dry_run))
