"""`journalctl journals edit`."""

import click

from gazette_py.cli.connection import Broker
from gazette_py.cli.editing import Editing
from gazette_py.cli.gazctl.flags import (
    GazctlVerb,
    Log,
    changing_options,
    selector_option,
    txn_size_option,
)
from gazette_py.cli.selection import Selection

_ALL = 1 << 31


@click.command(
    "edit",
    cls=GazctlVerb,
    epilog="""
    journalctl journals edit --selector name=acme/orders
    journalctl journals edit -l prefix=acme/ --max-txn-size 100
    journalctl journals edit -l env=prod --log.level=info
    """,
)
@selector_option()
@txn_size_option
@changing_options
def command(selection: Selection, max_txn_size: int, broker: Broker, log: Log) -> None:
    """Change the journals selected in an editor: $GAZ_EDITOR, else $EDITOR, else vi."""
    must_match = Selection(names=(), selector=selection.selector, allow_empty=False)
    editing = Editing(selection=must_match, broker=broker, txn_size_max=max_txn_size or _ALL)
    editing.run()
    if editing.items:
        log.info("successfully applied", revision=max(item["revision"] for item in editing.items))
