"""`journalctl label`: set and drop labels of journals."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import click

from gazette_py.cli.changes import Action, Planned
from gazette_py.cli.connection import Broker, changing_broker_options
from gazette_py.cli.labelling import LabelChange, changed_labels
from gazette_py.cli.options import output_options
from gazette_py.cli.render import Output
from gazette_py.cli.selection import Selection
from gazette_py.cli.send_changes import COLUMNS, TXN_SIZE_DEFAULT, item_of, send, show_changes
from gazette_py.cli.verb import Verb, run
from gazette_py.errors import ValidationError
from gazette_py.protocol.journal_rules import validate_journal_spec


@click.command(
    "label",
    cls=Verb,
    epilog="""
    journalctl label -l name=acme/orders env=prod owner=team-a
    journalctl label -l name:prefix=acme/ tag+=audited     # keeps its other values
    journalctl label -l env=prod owner- --dry-run          # drops it
    """,
)
@click.argument("changes", nargs=-1, required=True, metavar="NAME=VALUE|NAME+=VALUE|NAME-...")
@click.option(
    "-l",
    "--selector",
    required=True,
    metavar="SELECTOR",
    help="Journals by their labels, such as 'env=prod, name:prefix=acme/'; '' is all.",
)
@click.option("--allow-empty", is_flag=True, help="It is no error if nothing is selected.")
@click.option("--dry-run", is_flag=True, help="Print what would change.")
@click.option(
    "--max-txn-size",
    type=click.IntRange(min=1),
    default=TXN_SIZE_DEFAULT,
    show_default=True,
    help="Changes to make in one transaction of etcd.",
)
@output_options()
@changing_broker_options
def command(
    changes: Sequence[str],
    selector: str,
    allow_empty: bool,
    dry_run: bool,
    max_txn_size: int,
    output: Output,
    broker: Broker,
) -> None:
    """Set, add and drop labels of journals; everything else about them stays as it is.

    Changes are made one after another. A journal which somebody else changes meanwhile is a
    conflict, and is not changed.
    """
    wanted = [LabelChange.parse(text) for text in changes]
    selection = Selection(names=(), selector=selector, allow_empty=allow_empty)
    items: list[dict[str, Any]] = []
    try:
        run(_label(selection, wanted, broker, items, max_txn_size, is_dry=dry_run))
    finally:
        if items:  # What was done is told also if not all could be.
            output.print_items("ChangeList", items, COLUMNS)


async def _label(
    selection: Selection,
    wanted: Sequence[LabelChange],
    broker: Broker,
    items: list[dict[str, Any]],
    txn_size_max: int,
    *,
    is_dry: bool,
) -> None:
    async with broker.connect() as client:
        planned = []
        for journal in (await selection.list(client)).journals:
            spec = replace(journal.spec, labels=changed_labels(journal.spec.labels, wanted))
            try:
                validate_journal_spec(spec, is_new=True)
            except ValidationError as exc:
                raise exc.within(spec.name) from exc
            planned.append(
                Planned(
                    action=Action.UNCHANGED if spec == journal.spec else Action.UPDATED,
                    spec=spec,
                    expect_revision=journal.mod_revision,
                    current_revision=journal.mod_revision,
                    current=journal.spec,
                )
            )
        if is_dry:
            items += [item_of(change, change.current_revision) for change in planned]
            click.echo("Nothing was changed: this is a dry run.", err=True)
            return
        for change in planned:
            if change.action is Action.UNCHANGED:
                items.append(item_of(change, change.current_revision))
        show_changes(planned)
        async for change, revision in send(client, planned, txn_size_max):
            items.append(item_of(change, revision))
