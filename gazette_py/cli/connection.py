"""The connection of commands to brokers: its options, and the client which they make.

A command which changes something takes `changing_broker_options`: then a protected context asks
for its name first.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gazette_py.cli.confirm import confirm_name
from gazette_py.cli.errors import usage
from gazette_py.cli.options import duration_option, with_options
from gazette_py.cli.secrets import Secrets
from gazette_py.cli.settings import context_options, settings_of
from gazette_py.errors import ConfigError

if TYPE_CHECKING:
    # It brings in gRPC, which `--help` must not wait for.
    from gazette_py.client.client import Client

_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """Where brokers are, and how to talk to them."""

    address: str
    zone: str
    cache_size: int
    cache_ttl_s: float
    timeout_s: float
    auth_keys: str
    auth_token: str
    trusted_ca_file: str
    cert_file: str
    cert_key_file: str

    @asynccontextmanager
    async def connect(
        self, *, file_root: str = "", cache_size: int | None = None
    ) -> "AsyncIterator[Client]":
        """Provide a client."""
        from gazette_py.client.client import connect

        try:
            made = connect(
                self.address,
                zone=self.zone,
                cache_size=self.cache_size if cache_size is None else cache_size,
                cache_ttl_s=self.cache_ttl_s,
                timeout_s=self.timeout_s,
                file_root=file_root,
                auth_keys=self.auth_keys,
                auth_token=self.auth_token,
                trusted_ca_file=self.trusted_ca_file,
                cert_file=self.cert_file,
                cert_key_file=self.cert_key_file,
                metrics=False,  # Nobody scrapes a command.
            )
        except ConfigError as exc:
            if exc.option in _OPTIONS:
                option, hint = _OPTIONS[exc.option]
                raise usage(option, exc.reason, hint) from exc
            raise usage(
                f"--broker.address {self.address!r}",
                exc.reason,
                "It is like http://localhost:8080, also in $BROKER_ADDRESS.",
            ) from exc
        async with made as client:
            yield client


_PEM_HINT = "They are PEM files: text with -----BEGIN lines, the key without a password."

_OPTIONS = {
    "auth_keys": (
        "--broker.auth-keys",
        "Keys are base64 with its padding, such as `openssl rand -base64 32` prints.",
    ),
    "auth_token": ("--broker.auth-token", "Unset it, or $BROKER_AUTH_KEYS."),
    "trusted_ca_file": ("--broker.trusted-ca-file", _PEM_HINT),
    "cert_file": ("--broker.cert-file", _PEM_HINT),
    "cert_key_file": ("--broker.cert-key-file", _PEM_HINT),
}
"""What `connect` calls its arguments, and what we do."""

_BROKER_OPTIONS = (
    click.option(
        "--broker.address",
        "broker_address",
        metavar="URL",
        default="http://localhost:8080",
        show_default=True,
        envvar=["GAZETTE_BROKER_ADDRESS", "BROKER_ADDRESS"],
        help="Any broker, or a balancer: http://, https:// or unix://. Several,"
        " with commas between, are tried in turn. [$BROKER_ADDRESS]",
    ),
    click.option(
        "--zone",
        metavar="ZONE",
        default="local",
        show_default=True,
        envvar=["GAZETTE_ZONE", "ZONE"],
        help="Zone we are in; its brokers are preferred. [$ZONE]",
    ),
    click.option(
        "--broker.cache.size",
        "cache_size",
        metavar="N",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        envvar=["GAZETTE_BROKER_CACHE_SIZE", "BROKER_CACHE_SIZE"],
        help="Routes to keep, to call journals' brokers directly; 0: brokers forward calls."
        " [$BROKER_CACHE_SIZE]",
    ),
    duration_option(
        "--broker.cache.ttl",
        "cache_ttl_s",
        default="1m",
        show_default=True,
        envvar=["GAZETTE_BROKER_CACHE_TTL", "BROKER_CACHE_TTL"],
        help="How long to keep a route. [$BROKER_CACHE_TTL]",
    ),
    click.option(
        "--broker.auth-keys",
        "auth_keys",
        metavar="KEYS",
        default="",
        envvar=["GAZETTE_BROKER_AUTH_KEYS", "BROKER_AUTH_KEYS"],
        help="Keys which brokers verify by, in base64, with commas or blanks between; the first"
        " signs. Not for shells: they remember it. [$BROKER_AUTH_KEYS]",
    ),
    click.option(
        "--auth-keys-file",
        "auth_keys_file",
        metavar="FILE",
        default="",
        envvar="GAZETTE_AUTH_KEYS_FILE",
        help="File of such keys. [$GAZETTE_AUTH_KEYS_FILE]",
    ),
    click.option(
        "--broker.auth-token",
        "auth_token",
        metavar="TOKEN",
        default="",
        envvar=["GAZETTE_BROKER_AUTH_TOKEN", "BROKER_AUTH_TOKEN"],
        help="Token to bear, if we have no keys. Not for shells. [$BROKER_AUTH_TOKEN]",
    ),
    click.option(
        "--auth-token-file",
        "auth_token_file",
        metavar="FILE",
        default="",
        envvar="GAZETTE_AUTH_TOKEN_FILE",
        help="File of such a token. [$GAZETTE_AUTH_TOKEN_FILE]",
    ),
    click.option(
        "--broker.trusted-ca-file",
        "trusted_ca_file",
        metavar="FILE",
        default="",
        envvar=["GAZETTE_BROKER_TRUSTED_CA_FILE", "BROKER_TRUSTED_CA_FILE"],
        help="Authorities which sign certificates of https:// brokers, instead of the usual ones."
        " [$BROKER_TRUSTED_CA_FILE]",
    ),
    click.option(
        "--broker.cert-file",
        "cert_file",
        metavar="FILE",
        default="",
        envvar=["GAZETTE_BROKER_CERT_FILE", "BROKER_CERT_FILE"],
        help="Our certificate, for brokers which ask for one. [$BROKER_CERT_FILE]",
    ),
    click.option(
        "--broker.cert-key-file",
        "cert_key_file",
        metavar="FILE",
        default="",
        envvar=["GAZETTE_BROKER_CERT_KEY_FILE", "BROKER_CERT_KEY_FILE"],
        help="Its key. [$BROKER_CERT_KEY_FILE]",
    ),
    duration_option(
        "--request-timeout",
        default="30s",
        show_default=True,
        envvar="GAZETTE_REQUEST_TIMEOUT",
        help="Bound of each call, with its retries. [$GAZETTE_REQUEST_TIMEOUT]",
    ),
)


def broker_options(command: _F) -> _F:
    """Give a command the options of the connection, and a parameter `broker` for them."""

    @wraps(command)
    def with_broker(
        *args: Any,
        broker_address: str,
        zone: str,
        cache_size: int,
        cache_ttl_s: float,
        request_timeout: float,
        auth_keys: str,
        auth_keys_file: str,
        auth_token: str,
        auth_token_file: str,
        trusted_ca_file: str,
        cert_file: str,
        cert_key_file: str,
        **kwargs: Any,
    ) -> Any:
        secrets = Secrets(auth_keys, auth_keys_file, auth_token, auth_token_file)
        secrets = secrets.of_call(click.get_current_context())
        broker = Broker(
            address=broker_address,
            zone=zone,
            cache_size=cache_size,
            cache_ttl_s=cache_ttl_s,
            timeout_s=request_timeout,
            auth_keys=secrets.read_keys(),
            auth_token=secrets.read_token(),
            trusted_ca_file=trusted_ca_file,
            cert_file=cert_file,
            cert_key_file=cert_key_file,
        )
        return command(*args, broker=broker, **kwargs)

    return with_options(with_broker, (*_BROKER_OPTIONS, context_options))


def changing_broker_options(command: _F) -> _F:
    """Give a command which changes something what `broker_options` does, and a question.

    A protected context asks for its name before anything is changed, unless it is a dry run.
    """

    @wraps(command)
    def with_question(*args: Any, confirm_context: str, **kwargs: Any) -> Any:
        settings = settings_of(click.get_current_context())
        if settings.is_protected and kwargs.get("dry_run") in (None, False, "none"):
            confirm_name(settings.context, confirm_context)
        return command(*args, **kwargs)

    option = click.option(
        "--confirm-context",
        metavar="NAME",
        default="",
        help="Name of the context, if it is protected; do not ask for it.",
    )
    return broker_options(with_options(with_question, (option,)))
