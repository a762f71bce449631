"""`journalctl delete`: delete journals."""

from typing import Any

import click

from gazette_py.cli.changes import Current, Planned, deletions
from gazette_py.cli.confirm import confirm
from gazette_py.cli.connection import Broker, changing_broker_options
from gazette_py.cli.errors import usage
from gazette_py.cli.options import output_options
from gazette_py.cli.render import Output
from gazette_py.cli.selection import Selection, selection_options
from gazette_py.cli.send_changes import COLUMNS, TXN_SIZE_DEFAULT, item_of, send
from gazette_py.cli.verb import Verb, run


@click.command(
    "delete",
    cls=Verb,
    epilog="""
    journalctl delete acme/orders --yes
    journalctl delete acme/tmp/ --dry-run      # all below a directory
    journalctl delete -l 'env=test' --yes
    """,
)
@selection_options
@click.option("--all", "everything", is_flag=True, help="Allow a selection of all journals.")
@click.option("--dry-run", is_flag=True, help="Print what would be deleted.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--max-txn-size",
    type=click.IntRange(min=1),
    default=TXN_SIZE_DEFAULT,
    show_default=True,
    help="Journals to delete in one transaction of etcd.",
)
@output_options()
@changing_broker_options
def command(
    selection: Selection,
    everything: bool,
    dry_run: bool,
    yes: bool,
    max_txn_size: int,
    output: Output,
    broker: Broker,
) -> None:
    """Delete journals: those named, those below a directory, or those selected.

    A journal which somebody changes meanwhile is not deleted. Fragments stay in their stores, and
    a journal of the same name would begin with them.
    """
    if selection.is_everything and not everything:
        raise usage(
            "journals",
            "this would delete all journals",
            "Name some, select some by -l, or give --all if that is meant.",
        )
    items: list[dict[str, Any]] = []
    try:
        run(_delete(selection, broker, items, max_txn_size, is_dry=dry_run, is_sure=yes))
    except BaseException:
        if items:  # What was done is told also if not all could be.
            output.print_items("ChangeList", items, COLUMNS)
        raise
    output.print_items("ChangeList", items, COLUMNS)


async def _delete(
    selection: Selection,
    broker: Broker,
    items: list[dict[str, Any]],
    txn_size_max: int,
    *,
    is_dry: bool,
    is_sure: bool,
) -> None:
    async with broker.connect() as client:
        listed = (await selection.list(client)).journals
        planned: list[Planned] = deletions(
            [Current(spec=journal.spec, revision=journal.mod_revision) for journal in listed], ()
        )
        if is_dry:
            items += [item_of(change, change.current_revision) for change in planned]
            click.echo("Nothing was deleted: this is a dry run.", err=True)
            return
        if planned:
            confirm(_question([change.spec.name for change in planned]), is_sure=is_sure)
        async for change, revision in send(client, planned, txn_size_max):
            items.append(item_of(change, revision))


def _question(names: list[str]) -> str:
    if len(names) == 1:
        return f"Delete journal {names[0]}?"
    return f"Delete {len(names)} journals, {names[0]} to {names[-1]}?"
