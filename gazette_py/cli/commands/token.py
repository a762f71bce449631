"""`journalctl token`: make tokens which let their bearers in, and look into them.

It calls no broker: who has the keys of brokers can make any token.
"""

from typing import TYPE_CHECKING, Any

import click

from gazette_py.cli.connection import Broker, broker_options
from gazette_py.cli.errors import CommandError, ExitCode, Failure, usage
from gazette_py.cli.examples import GroupWithExamples
from gazette_py.cli.options import duration_option, output_options, parsed_by
from gazette_py.cli.quantities import format_time
from gazette_py.cli.render import Column, Output
from gazette_py.cli.selection import Selection
from gazette_py.cli.verb import Verb
from gazette_py.clock import SYSTEM

if TYPE_CHECKING:
    from gazette_py.protocol.claims import Claims

_CAPABILITIES = ("list", "apply", "read", "append", "replicate")


@click.group(
    "token",
    cls=GroupWithExamples,
    epilog="""
    head -c 32 /dev/urandom | base64 > keys
    journalctl token create --cap list,read --auth-keys-file keys > token
    journalctl list --auth-token-file token
    """,
)
def command() -> None:
    """Tokens of calls, for brokers with --broker.auth-keys."""


def _capabilities(text: str) -> int:
    from gazette_py.protocol.claims import Capability

    names = [name.strip().lower() for name in text.split(",")]
    unknown = [name for name in names if name not in _CAPABILITIES]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is none of {', '.join(_CAPABILITIES)}")
    return int(sum({Capability[name.upper()] for name in names}))


@command.command(
    "create",
    cls=Verb,
    epilog="""
    journalctl token create --cap list,read --auth-keys-file keys > token
    journalctl token create --cap read -l 'name:prefix=acme/' --auth-keys-file keys
    journalctl token create --cap append -l name=acme/orders --ttl 24h --auth-keys-file keys
    """,
)
@click.option(
    "--cap",
    "capability",
    required=True,
    callback=parsed_by(_capabilities),
    metavar="CAP,...",
    help=f"What its bearer may do, of {', '.join(_CAPABILITIES)}.",
)
@click.option(
    "-l",
    "--selector",
    default="",
    metavar="SELECTOR",
    help="Journals for which; all if it is left out.",
)
@duration_option("--ttl", default="1h", show_default=True, help="For how long.")
@broker_options
def create(capability: int, selector: str, ttl: float, broker: Broker) -> None:
    """Print a token, signed by the first of the brokers' keys.

    Give keys by --auth-keys-file or $BROKER_AUTH_KEYS. Whoever has the token may use it, so keep
    it in a file which others cannot read: the --auth-token-file of other commands.
    """
    from gazette_py.protocol.claims import Capability, Claims, parse_keys
    from gazette_py.rpc.tokens import SignedTokens

    if not broker.auth_keys:
        raise usage("keys", "none were given", "Name their file by --auth-keys-file.")
    if ttl < 1:
        raise usage("--ttl", "it is less than a second")
    chosen = Selection(names=(), selector=selector, allow_empty=True).label_selector()
    keys = parse_keys("--auth-keys-file", broker.auth_keys)
    now = int(SYSTEM.now())
    claims = Claims(Capability(capability), chosen, now, now + int(ttl))
    click.echo(SignedTokens(keys, SYSTEM).sign(claims))


@command.command(
    "inspect",
    cls=Verb,
    epilog="""
    journalctl token inspect token
    journalctl token inspect token --auth-keys-file keys -o json
    cat token | journalctl token inspect
    """,
)
@click.argument("source", default="-", metavar="[FILE|-]")
@output_options()
@broker_options
def inspect(source: str, output: Output, broker: Broker) -> None:
    """Print what a token claims, and whether a key signed it and it is valid now.

    Exit code 5 tells that brokers would refuse it. Without keys, nobody can tell who signed it.
    """
    from gazette_py.errors import RpcUnauthenticatedError, ValidationError
    from gazette_py.rpc.tokens import check_times, read_unverified

    text = _read(source)
    try:
        claims = read_unverified(text)
    except ValidationError as exc:
        raise usage(f"token in {source}", str(exc)) from exc
    item = _item(claims)
    try:
        check_times(claims, SYSTEM.now())
        item["signature"] = _signature(text, broker)
    except RpcUnauthenticatedError as exc:
        item["refused"] = exc.detail
    output.print_items("TokenList", [item], _COLUMNS)
    if item["refused"]:
        raise CommandError(
            Failure(
                code=ExitCode.NOT_ALLOWED,
                status="UNAUTHENTICATED",
                what=f"token in {source}",
                detail=str(item["refused"]),
                hints=("`journalctl token create` makes another, for who has the keys.",),
            )
        )


def _read(source: str) -> str:
    try:
        with click.open_file(source) as file:
            return str(file.read()).strip().removeprefix("Bearer ")
    except (OSError, UnicodeDecodeError) as exc:
        raise usage(f"file {source}", f"it cannot be read: {exc}") from exc


def _signature(token: str, broker: Broker) -> str:
    """Return whether a key signed it.

    Raises:
        RpcUnauthenticatedError: None of the keys did.
    """
    from gazette_py.protocol.claims import Capability, parse_keys
    from gazette_py.rpc.tokens import KeyVerifier

    if not broker.auth_keys:
        return "unknown: no keys were given"
    keys = parse_keys("--auth-keys-file", broker.auth_keys)
    KeyVerifier(keys, SYSTEM).verify(f"Bearer {token}", Capability(0))
    return "good"


def _item(claims: "Claims") -> dict[str, Any]:
    from gazette_py.protocol.claims import names_of
    from gazette_py.protocol.selector_text import format_selector

    return {
        "capabilities": names_of(claims.capability),
        "selector": format_selector(claims.selector),
        "issued": format_time(claims.issued_at) if claims.issued_at else None,
        "expires": format_time(claims.expires_at),
        "signature": "",
        "refused": "",
    }


_COLUMNS = (
    Column("CAPABILITIES", lambda item: ",".join(item["capabilities"])),
    Column("SELECTOR", lambda item: item["selector"] or "<all>"),
    Column("ISSUED", lambda item: item["issued"] or "<unknown>"),
    Column("EXPIRES", lambda item: item["expires"]),
    Column("SIGNATURE", lambda item: item["signature"]),
    Column("REFUSED", lambda item: item["refused"]),
)
