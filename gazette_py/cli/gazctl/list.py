"""`journalctl journals list`."""

from typing import TYPE_CHECKING, Any

import click

from gazette_py.cli import wire
from gazette_py.cli.connection import Broker
from gazette_py.cli.gazctl import table
from gazette_py.cli.gazctl.flags import GazctlVerb, Log, common_options, selector_option
from gazette_py.cli.selection import Selection
from gazette_py.cli.tree import Entry, tree_of
from gazette_py.cli.verb import run
from gazette_py.protocol.enums import SuspendLevel

if TYPE_CHECKING:
    from gazette_py.client.listing import ListedJournal, ListResult


@click.command(
    "list",
    cls=GazctlVerb,
    epilog="""
    journalctl journals list --selector env=prod -p -r --rf --stores -L content-type
    journalctl journals list -l name:prefix=acme/ --format yaml
    journalctl journals list -o json
    """,
)
@selector_option(is_required=False)
@click.option(
    "-o",
    "--format",
    "form",
    type=click.Choice(["table", "yaml", "json", "proto"]),
    default="table",
    show_default=True,
    help="json: one object, without a newline at its end. proto: protobuf text.",
)
@click.option("-L", "--label-columns", "labels", multiple=True, help="Show a column of a label.")
@click.option("-p", "--primary", is_flag=True, help="Show the primary's ID, and <S> if suspended.")
@click.option("-r", "--replicas", is_flag=True, help="Show the IDs of the other brokers.")
@click.option("--rf", is_flag=True, help="Show the replication.")
@click.option("--stores", is_flag=True, help="Show the first store.")
@click.option("--watch", is_flag=True, help="Print all of it again with each change.")
@common_options
def command(
    selection: Selection,
    form: str,
    labels: tuple[str, ...],
    primary: bool,
    replicas: bool,
    rf: bool,
    stores: bool,
    watch: bool,
    broker: Broker,
    log: Log,
) -> None:
    """List journals: those selected, or all."""
    del log  # There is nothing to tell.
    columns: dict[str, Any] = {"Name": lambda journal: journal.spec.name}
    if rf:
        columns["RF"] = lambda journal: str(journal.spec.replication)
    if primary:
        columns["Primary"] = _primary
    if replicas:
        columns["Replicas"] = _replicas
    if stores:
        columns["Stores"] = lambda journal: (*journal.spec.fragment.stores, "<none>")[0]
    titles = [*columns, *labels]

    def rendered(result: "ListResult") -> str:
        match form:
            case "yaml":
                from gazette_py.cli.gazctl.tree_text import tree_text

                entries = [Entry(spec=j.spec, revision=j.mod_revision) for j in result.journals]
                return tree_text(tree_of(entries))
            case "json":
                return wire.list_json(result)
            case "proto":
                return wire.list_text(result)
            case _:
                rows = [
                    [value(j) for value in columns.values()] + [_label(j, name) for name in labels]
                    for j in result.journals
                ]
                return table.draw(titles, rows)

    async def show() -> None:
        async with broker.connect() as client:
            if not watch:
                click.echo(rendered(await client.list(selection.label_selector())), nl=False)
                return
            async for result in client.watch(selection.label_selector()):
                click.echo(rendered(result), nl=False)

    run(show())


def _primary(journal: "ListedJournal") -> str:
    primary = journal.route.primary_id
    is_suspended = journal.spec.suspend.level is not SuspendLevel.NONE
    return (primary.suffix if primary else "<none>") + (" <S>" if is_suspended else "")


def _replicas(journal: "ListedJournal") -> str:
    route = journal.route
    return ",".join(m.suffix for i, m in enumerate(route.members) if i != route.primary)


def _label(journal: "ListedJournal", name: str) -> str:
    values = journal.spec.labels.values_of(name)
    return ",".join(values) if values else "<none>"
