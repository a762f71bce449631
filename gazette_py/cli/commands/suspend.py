"""`journalctl suspend`: have brokers let go of journals which nobody writes to."""

import click

from gazette_py.cli.connection import Broker, changing_broker_options
from gazette_py.cli.fanout import Outcomes, for_each
from gazette_py.cli.options import output_options
from gazette_py.cli.render import Output
from gazette_py.cli.selection import Selection, selection_options
from gazette_py.cli.suspension import COLUMNS, not_suspended, suspension_items
from gazette_py.cli.verb import Verb, run
from gazette_py.errors import SuspendedError
from gazette_py.protocol.enums import AppendSuspend, SuspendLevel


@click.command(
    "suspend",
    cls=Verb,
    epilog="""
    journalctl suspend acme/orders
    journalctl suspend acme/ --force           # also those written lately
    journalctl suspend -l env=test -o jsonl
    """,
)
@selection_options
@click.option("-f", "--force", is_flag=True, help="Also journals which were written to lately.")
@output_options()
@changing_broker_options
def command(selection: Selection, force: bool, output: Output, broker: Broker) -> None:
    """Suspend journals: brokers let go of them until the next append, which resumes them.

    A journal with fragments in its stores keeps one replica, to be read from (partial); one without
    any keeps none (full). A journal is left as it is (not-flushed) if something was appended within
    its flush interval, unless --force is given.
    """
    selection.require()
    outcomes = run(_suspend(selection, force, broker))
    output.print_items("SuspensionList", list(outcomes.results.values()), COLUMNS)
    outcomes.raise_errors()


async def _suspend(
    selection: Selection, is_forced: bool, broker: Broker
) -> Outcomes[dict[str, object]]:
    how = AppendSuspend.NOW if is_forced else AppendSuspend.IF_FLUSHED
    async with broker.connect() as client:
        listed = (await selection.list(client)).journals
        levels = {journal.spec.name: journal.spec.suspend.level for journal in listed}

        async def suspend(name: str) -> bool:
            if levels[name] is SuspendLevel.FULL:
                return True  # No broker has it: there is nobody to ask.
            try:
                await client.append(name, suspend=how)
            except SuspendedError:
                return True
            return False

        done = await for_each(levels, suspend)
        items = await suspension_items(client, selection)
    for name, is_suspended in done.results.items():
        if not is_suspended and name in items:
            items[name] = not_suspended(items[name])
    return Outcomes({name: items[name] for name in done.results if name in items}, done.errors)
