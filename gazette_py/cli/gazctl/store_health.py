"""`journalctl journals store-health`."""

import click

from gazette_py.cli.connection import Broker
from gazette_py.cli.errors import CommandError, ExitCode, Failure
from gazette_py.cli.gazctl.flags import GazctlVerb, Log, common_options
from gazette_py.cli.verb import run
from gazette_py.errors import StoreUnhealthyError


@click.command(
    "store-health",
    cls=GazctlVerb,
    epilog="""
    journalctl journals store-health file:///
    journalctl journals store-health --check-delete-prefix=acme/ file:///
    journalctl journals store-health file:/// --check-delete-prefix=
    """,
)
@click.argument("url", metavar="STORE_URL")
@click.option(
    "--check-delete-prefix",
    metavar="PREFIX/",
    help="Check also that brokers may delete below it; '' is the root of the store.",
)
@common_options
def command(url: str, check_delete_prefix: str | None, broker: Broker, log: Log) -> None:
    """Have a broker check a store, and print a line if it is healthy; else it is an error."""
    del log  # There is nothing to tell.

    async def check() -> None:
        async with broker.connect() as client:
            await client.store_health(url, check_delete_prefix=check_delete_prefix)

    try:
        run(check())
    except StoreUnhealthyError as exc:
        raise CommandError(
            Failure(
                code=ExitCode.UNHEALTHY,
                status="FRAGMENT_STORE_UNHEALTHY",
                what=f"fragment store {url} is unhealthy",
                detail=exc.detail,
            )
        ) from exc
    click.echo(f"Fragment store {url} is healthy")
