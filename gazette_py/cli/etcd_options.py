"""etcd, for the commands which look into it: its options, and the key space of a cluster."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from gazette_py.cli.errors import CommandError, ExitCode, Failure, usage
from gazette_py.errors import ConfigError, EtcdError, ValidationError

if TYPE_CHECKING:
    # It brings in gRPC, which `--help` must not wait for.
    from gazette_py.core.keyspace import KeySpace
    from gazette_py.etcd.client import EtcdClient

_F = TypeVar("_F", bound=Callable[..., Any])

_TIMEOUT_S = 5.0
"""Of each call: etcd answers in milliseconds, or something is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdAccess:
    """Where etcd is, and which cluster in it; without an address we know of none."""

    address: str
    prefix: str
    cert_file: str
    cert_key_file: str
    trusted_ca_file: str
    user: str
    password: str

    def require(self, why: str) -> None:
        """Refuse to go on without an address.

        Raises:
            CommandError: There is none.
        """
        if not self.address:
            raise usage("--etcd.address", why, "It is what brokers have, also in $ETCD_ADDRESS.")

    @asynccontextmanager
    async def connect(self) -> "AsyncIterator[EtcdClient]":
        """Provide a client which has reached etcd once.

        Raises:
            EtcdError: etcd cannot be reached, or refuses us.
            ConfigError: An option is not what it should be.
        """
        from gazette_py.etcd.client import connect
        from gazette_py.protocol.keys import validate_root

        try:
            validate_root(self.prefix)
        except ValidationError as exc:
            raise ConfigError("--etcd.prefix", exc.reason) from exc
        client = await connect(
            self.address,
            user=self.user,
            password=self.password,
            cert_file=self.cert_file,
            key_file=self.cert_key_file,
            ca_file=self.trusted_ca_file,
            timeout_s=_TIMEOUT_S,
        )
        try:
            yield client
        finally:
            await client.close()

    async def load(self, client: "EtcdClient") -> "KeySpace":
        """Return the cluster's keys as they are now."""
        from gazette_py.core.keyspace import KeySpace

        listed = await client.range_prefix(f"{self.prefix}/".encode())
        keyspace = KeySpace(self.prefix)
        keyspace.load(listed.header, listed.kvs, listed.header.revision)
        return keyspace


def unavailable(etcd: EtcdAccess, exc: EtcdError) -> CommandError:
    """Return the error of a command which cannot do without etcd."""
    return CommandError(
        Failure(
            code=ExitCode.UNAVAILABLE,
            status="ETCD_UNAVAILABLE",
            what=f"etcd {etcd.address}",
            detail=str(exc),
            hints=("Is it there? Its brokers' --etcd.address names it.",),
        )
    )


def _option(name: str, metavar: str, text: str, default: str = "") -> Callable[[_F], _F]:
    variable = name.upper().replace(".", "_").replace("-", "_")
    return click.option(
        f"--{name}",
        variable.lower(),
        metavar=metavar,
        default=default,
        show_default=bool(default),
        envvar=[f"GAZETTE_{variable}", variable],
        help=f"{text} [${variable}]",
    )


_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    _option("etcd.address", "URL", "etcd of the brokers, if it can be reached from here."),
    _option("etcd.prefix", "PATH", "Root of the cluster's keys there.", "/gazette/cluster"),
    _option("etcd.cert-file", "FILE", "Our certificate, if etcd asks for one."),
    _option("etcd.cert-key-file", "FILE", "Its key."),
    _option("etcd.trusted-ca-file", "FILE", "Authority which signed etcd's certificate."),
    _option("etcd.user", "NAME", "User of etcd."),
    _option("etcd.password", "TEXT", "Its password; better given by the environment."),
)


def etcd_options(command: _F) -> _F:
    """Give a command the options of etcd, and a parameter `etcd` for them."""

    @wraps(command)
    def with_etcd(
        *args: Any,
        etcd_address: str,
        etcd_prefix: str,
        etcd_cert_file: str,
        etcd_cert_key_file: str,
        etcd_trusted_ca_file: str,
        etcd_user: str,
        etcd_password: str,
        **kwargs: Any,
    ) -> Any:
        etcd = EtcdAccess(
            address=etcd_address,
            prefix=etcd_prefix,
            cert_file=etcd_cert_file,
            cert_key_file=etcd_cert_key_file,
            trusted_ca_file=etcd_trusted_ca_file,
            user=etcd_user,
            password=etcd_password,
        )
        return command(*args, etcd=etcd, **kwargs)

    made: Any = with_etcd
    for option in reversed(_OPTIONS):
        made = option(made)
    return cast("_F", made)
