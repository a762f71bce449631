"""`journalctl edit`: change journals in an editor."""

import click

from gazette_py.cli.connection import Broker, changing_broker_options
from gazette_py.cli.editing import Editing
from gazette_py.cli.options import output_options
from gazette_py.cli.render import Output
from gazette_py.cli.selection import Selection, selection_options
from gazette_py.cli.send_changes import COLUMNS, TXN_SIZE_DEFAULT
from gazette_py.cli.verb import Verb


@click.command(
    "edit",
    cls=Verb,
    epilog="""
    journalctl edit acme/orders
    journalctl edit acme/ --max-txn-size 50           # all below a directory
    journalctl edit -l env=prod -o jsonl
    EDITOR="sed -i s/GZIP/ZSTANDARD/" journalctl edit acme/orders
    """,
)
@selection_options
@click.option(
    "--max-txn-size",
    type=click.IntRange(min=1),
    default=TXN_SIZE_DEFAULT,
    show_default=True,
    help="Changes to make in one transaction of etcd.",
)
@output_options()
@changing_broker_options
def command(selection: Selection, max_txn_size: int, output: Output, broker: Broker) -> None:
    """Change journals in an editor: those named, those below a directory, or those selected.

    The editor is $GAZ_EDITOR, else $EDITOR, else vi. It is given the YAML which `journalctl list -o
    yaml` prints; what was changed in it is applied. Whatever is wrong with that, the editor opens
    again with the text and the reason. If somebody else changed a journal meanwhile, both changes
    are merged first. A text which could not be applied stays in a file, whose name is printed.
    """
    selection.require()
    editing = Editing(selection=selection, broker=broker, txn_size_max=max_txn_size)
    try:
        editing.run()
    finally:
        if editing.items:  # What was done is told also if not all could be.
            output.print_items("ChangeList", editing.items, COLUMNS)
