"""`journalctl head`: where journals end."""

import click

from gazette_py.cli.connection import Broker, broker_options
from gazette_py.cli.fanout import Outcomes, for_each
from gazette_py.cli.options import output_options
from gazette_py.cli.render import Column, Output
from gazette_py.cli.selection import Selection, selection_options
from gazette_py.cli.verb import Verb, run
from gazette_py.protocol.enums import SuspendLevel

_COLUMNS = (
    Column("NAME", lambda item: item["name"]),
    Column("HEAD", lambda item: item["head"]),
)


@click.command(
    "head",
    cls=Verb,
    epilog="""
    journalctl head acme/orders
    journalctl head acme/                      # all below a directory
    journalctl head -l env=prod -o json
    journalctl head acme/orders --columns head # the number alone
    """,
)
@selection_options
@output_options()
@broker_options
def command(selection: Selection, output: Output, broker: Broker) -> None:
    """Print the write head of each journal: the offset at which it ends, and appends begin.

    Journals which are fully suspended have no broker to ask, and are told with the offset at which
    they go on.
    """
    selection.require()
    outcomes = run(_heads(selection, broker))
    items = [{"name": name, "head": head} for name, head in outcomes.results.items()]
    output.print_items("HeadList", items, _COLUMNS)
    outcomes.raise_errors()


async def _heads(selection: Selection, broker: Broker) -> Outcomes[int]:
    async with broker.connect() as client:
        specs = {j.spec.name: j.spec for j in (await selection.list(client)).journals}

        async def head(name: str) -> int:
            suspend = specs[name].suspend
            if suspend.level is SuspendLevel.FULL:
                return suspend.offset
            return await client.write_head(name)

        return await for_each(specs, head)
