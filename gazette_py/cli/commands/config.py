"""`journalctl config`: settings of the connection in force, and where each is from."""

from typing import Any

import click

from gazette_py.cli.connection import Broker, broker_options
from gazette_py.cli.etcd_options import EtcdAccess, etcd_options
from gazette_py.cli.examples import GroupWithExamples
from gazette_py.cli.options import output_options
from gazette_py.cli.render import Column, Output
from gazette_py.cli.settings import contexts_of, settings_of, source_of
from gazette_py.cli.verb import Verb

_SECRET = frozenset({"auth_keys", "auth_token", "etcd_password"})


@click.group(
    "config",
    cls=GroupWithExamples,
    epilog="""
    journalctl config print
    journalctl config validate
    """,
)
def command() -> None:
    """Settings of the connection.

    A value is sought by flag, environment, context, gazctl.ini and default, in this order.
    """


@command.command(
    "print",
    cls=Verb,
    epilog="""
    journalctl config print
    journalctl config print --zone eu-west-1a -o json
    """,
)
@output_options()
@etcd_options
@broker_options
@click.pass_context
def print_config(ctx: click.Context, output: Output, etcd: EtcdAccess, broker: Broker) -> None:
    """Print each setting of the connection, and where its value is from."""
    del etcd, broker  # Made, so that what is wrong with it is told.
    output.print_items("SettingList", _items(ctx), _COLUMNS)


@command.command(
    "validate",
    cls=Verb,
    epilog="""
    journalctl config validate
    """,
)
@broker_options
@click.pass_context
def validate(ctx: click.Context, broker: Broker) -> None:
    """Check the files of contexts and of gazctl, and what they and variables say."""
    del broker
    file = contexts_of(ctx)
    in_use = settings_of(ctx).context or "none"
    click.echo(f"{file.path}: {len(file.contexts)} contexts, {in_use} in use.", err=True)


def _items(ctx: click.Context) -> list[dict[str, Any]]:
    items = []
    for param in ctx.command.params:
        option = param.opts[0]
        if not isinstance(param, click.Option) or not param.envvar:
            continue
        assert param.name is not None
        source = source_of(ctx, param.name)
        value = ctx.params[param.name]
        if param.name in _SECRET and value:
            value = "<not shown>"
        items.append({"name": option, "value": value, "source": source or "default"})
    return items


_COLUMNS = (
    Column("NAME", lambda item: item["name"]),
    Column("VALUE", lambda item: item["value"]),
    Column("SOURCE", lambda item: item["source"]),
)
