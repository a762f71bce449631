"""`journalctl journals reset-head`.

It asks nothing, as scripts need it. A journal which needs no reset is left where it is.
"""

import click

from gazette_py.cli.connection import Broker
from gazette_py.cli.fanout import Outcomes, for_each
from gazette_py.cli.gazctl.flags import GazctlVerb, Log, changing_options, selector_option
from gazette_py.cli.selection import Selection
from gazette_py.cli.verb import run
from gazette_py.errors import WrongAppendOffsetError
from gazette_py.protocol.enums import AppendSuspend, SuspendLevel


@click.command(
    "reset-head",
    cls=GazctlVerb,
    epilog="""
    journalctl journals reset-head -l name=acme/orders
    journalctl journals reset-head --selector name:prefix=acme/
    journalctl journals reset-head -l env=prod --log.level=info
    """,
)
@selector_option()
@changing_options
def command(selection: Selection, broker: Broker, log: Log) -> None:
    """Have the journals selected go on at the end of what is stored, if all brokers were lost.

    See `journalctl reset-head --help` for when that is right. Nothing is printed if it succeeds,
    but with --log.level=info; a journal which could not be reset is an error.
    """
    outcomes = run(_reset(selection, broker))
    for name, message in outcomes.results.items():
        log.info(message, journal=name)
    outcomes.raise_errors()


async def _reset(selection: Selection, broker: Broker) -> Outcomes[str]:
    async with broker.connect() as client:
        listed = (await selection.list(client)).journals

        async def reset(name: str) -> str:
            head = await client.write_head(name)
            try:
                await client.append(name, offset=head, suspend=AppendSuspend.KEEP)
            except WrongAppendOffsetError:
                return "did not reset (raced writes)"
            return "reset write head"

        served = [j.spec.name for j in listed if j.spec.suspend.level is not SuspendLevel.FULL]
        return await for_each(served, reset)
