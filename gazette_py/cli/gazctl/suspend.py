"""`journalctl journals suspend`."""

import click

from gazette_py.cli.connection import Broker
from gazette_py.cli.fanout import Outcomes, for_each
from gazette_py.cli.gazctl.flags import GazctlVerb, Log, changing_options, selector_option
from gazette_py.cli.selection import Selection
from gazette_py.cli.verb import run
from gazette_py.errors import SuspendedError
from gazette_py.protocol.enums import AppendSuspend, SuspendLevel


@click.command(
    "suspend",
    cls=GazctlVerb,
    epilog="""
    journalctl journals suspend -l env=test
    journalctl journals suspend -l name=acme/orders --force
    journalctl journals suspend -l name:prefix=acme/ -f --log.level=info
    """,
)
@selector_option()
@click.option("-f", "--force", is_flag=True, help="Also journals which were written to lately.")
@changing_options
def command(selection: Selection, force: bool, broker: Broker, log: Log) -> None:
    """Suspend the journals selected: brokers let go of them until the next append.

    Nothing is printed if it succeeds, but with --log.level=info.
    """
    outcomes = run(
        _suspend(selection, AppendSuspend.NOW if force else AppendSuspend.IF_FLUSHED, broker)
    )
    for name, status in outcomes.results.items():
        log.info("journal suspension status", journal=name, status=status)
    outcomes.raise_errors()


async def _suspend(selection: Selection, how: AppendSuspend, broker: Broker) -> Outcomes[str]:
    async with broker.connect() as client:
        listed = (await selection.list(client)).journals

        async def suspend(name: str) -> str:
            try:
                await client.append(name, suspend=how)
            except SuspendedError as exc:
                return exc.status
            return "OK"

        served = [j.spec.name for j in listed if j.spec.suspend.level is not SuspendLevel.FULL]
        return await for_each(served, suspend)
