"""`journalctl store`: the stores of fragments."""

import click

from gazette_py.cli.errors import ExitCode
from gazette_py.cli.examples import GroupWithExamples
from gazette_py.cli.fanout import Outcomes, for_each
from gazette_py.cli.options import Broker, Verb, broker_options, output_options, run
from gazette_py.cli.render import Column, Output
from gazette_py.errors import StoreUnhealthyError

_COLUMNS = (
    Column("STORE", lambda item: item["store"]),
    Column("STATUS", lambda item: item["status"]),
    Column("ERROR", lambda item: item["error"] or ""),
)


@click.group(
    "store",
    cls=GroupWithExamples,
    epilog="journalctl store health file:///",
)
def command() -> None:
    """Check the stores of fragments."""


@command.command(
    "health",
    cls=Verb,
    epilog="""
    journalctl store health file:///
    journalctl store health file:/// --check-delete-prefix acme/ -o json
    """,
)
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
@click.option(
    "--check-delete-prefix",
    metavar="PREFIX/",
    help="Check also that brokers may delete below it; '' is the root of the store.",
)
@output_options()
@broker_options
def health(
    urls: tuple[str, ...], check_delete_prefix: str | None, output: Output, broker: Broker
) -> None:
    """Have a broker write, read, list and sign an object of each store.

    The broker does so with its own credentials: from here the store may be out of reach. Ends with
    8 if a store is unhealthy.
    """
    outcomes = run(_health(urls, check_delete_prefix, broker))
    errors = outcomes.results
    items = [
        {"store": url, "status": "unhealthy" if error else "healthy", "error": error or None}
        for url, error in errors.items()
    ]
    output.print_items("StoreHealthList", items, _COLUMNS, name="store")
    outcomes.raise_errors()
    if any(errors.values()):
        click.get_current_context().exit(ExitCode.UNHEALTHY)


async def _health(
    urls: tuple[str, ...], check_delete_prefix: str | None, broker: Broker
) -> Outcomes[str]:
    async with broker.connect() as client:

        async def check(url: str) -> str:
            try:
                await client.store_health(url, check_delete_prefix=check_delete_prefix)
            except StoreUnhealthyError as exc:
                return exc.detail
            return ""

        return await for_each(dict.fromkeys(urls), check)
