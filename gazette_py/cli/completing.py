"""Names of journals, for shells which complete them.

Nobody waits long for a completion, and it has nowhere to complain: where brokers do not answer
within a second, or whatever --request-timeout says, or refuse us, nothing is completed.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import click

from gazette_py.cli.errors import CommandError
from gazette_py.cli.settings import source_of
from gazette_py.errors import GazetteError

_TIMEOUT_S = 1.0


def complete_journals(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Return names which begin so: of journals, and of the next directories on the way to them."""
    if not all(name in ctx.params for name in ("broker_address", "auth_token_file")):
        return []  # Of a command which has no connection.
    try:
        is_given = source_of(ctx, "request_timeout")
        timeout_s = ctx.params["request_timeout"] if is_given else _TIMEOUT_S
        names = asyncio.run(_list(ctx.params, incomplete, timeout_s))
    except (GazetteError, CommandError, TimeoutError):
        return []
    return one_level(names, incomplete)


def one_level(names: Sequence[str], incomplete: str) -> list[str]:
    """Return what the names go on with, up to and with the next slash."""
    found = {}
    for name in names:
        head, slash, _ = name[len(incomplete) :].partition("/")
        found[incomplete + head + slash] = True
    return list(found)


async def _list(params: dict[str, Any], incomplete: str, timeout_s: float) -> list[str]:
    from gazette_py.cli.connection import Broker
    from gazette_py.cli.secrets import Secrets
    from gazette_py.protocol.labels import Label, LabelSelector, LabelSet

    secrets = Secrets(
        *(params.get(f"auth_{name}") or "" for name in ("keys", "keys_file", "token", "token_file"))
    )
    broker = Broker(
        address=params["broker_address"],
        zone=params["zone"],
        cache_size=0,
        cache_ttl_s=1.0,
        timeout_s=timeout_s,
        auth_keys=secrets.read_keys(),
        auth_token=secrets.read_token(),
        trusted_ca_file=params["trusted_ca_file"] or "",
        cert_file=params["cert_file"] or "",
        cert_key_file=params["cert_key_file"] or "",
    )
    labels = LabelSet((Label("name", incomplete, prefix=True),)) if incomplete else LabelSet()
    async with asyncio.timeout(timeout_s), broker.connect() as client:
        listed = await client.list(LabelSelector(labels))
    return [journal.spec.name for journal in listed.journals]
