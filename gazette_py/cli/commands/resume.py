"""`journalctl resume`: have brokers take up suspended journals."""

import click

from gazette_py.cli.connection import Broker, changing_broker_options
from gazette_py.cli.fanout import Outcomes, for_each
from gazette_py.cli.options import output_options
from gazette_py.cli.render import Output
from gazette_py.cli.selection import Selection, selection_options
from gazette_py.cli.suspension import COLUMNS, suspension_items
from gazette_py.cli.verb import Verb, run
from gazette_py.protocol.enums import SuspendLevel


@click.command(
    "resume",
    cls=Verb,
    epilog="""
    journalctl resume acme/orders
    journalctl resume acme/                    # all below a directory
    journalctl resume -l env=test -o jsonl
    """,
)
@selection_options
@output_options()
@changing_broker_options
def command(selection: Selection, output: Output, broker: Broker) -> None:
    """Resume suspended journals, ahead of the append which would do so.

    Each goes on at the offset at which it was suspended. Others are left as they are.
    """
    selection.require()
    outcomes = run(_resume(selection, broker))
    output.print_items("SuspensionList", list(outcomes.results.values()), COLUMNS)
    outcomes.raise_errors()


async def _resume(selection: Selection, broker: Broker) -> Outcomes[dict[str, object]]:
    async with broker.connect() as client:
        listed = (await selection.list(client)).journals
        levels = {journal.spec.name: journal.spec.suspend.level for journal in listed}

        async def resume(name: str) -> None:
            if levels[name] is not SuspendLevel.NONE:
                await client.append(name, timeout_s=broker.timeout_s)

        done = await for_each(levels, resume)
        items = await suspension_items(client, selection)
    return Outcomes({name: items[name] for name in done.results if name in items}, done.errors)
