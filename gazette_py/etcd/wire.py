"""What both of our connections to etcd share: addresses, TLS, credentials, methods and errors.

Method paths are written out, since the messages are of a proto package of our own: two
registrations of etcd's packages in one process would be fatal.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import grpc

from gazette_py.errors import (
    ConfigError,
    EtcdCompactedError,
    EtcdError,
    EtcdLeaseLostError,
    EtcdUnavailableError,
)

RANGE: Final = "/etcdserverpb.KV/Range"
TXN: Final = "/etcdserverpb.KV/Txn"
WATCH: Final = "/etcdserverpb.Watch/Watch"
LEASE_GRANT: Final = "/etcdserverpb.Lease/LeaseGrant"
LEASE_REVOKE: Final = "/etcdserverpb.Lease/LeaseRevoke"
LEASE_KEEP_ALIVE: Final = "/etcdserverpb.Lease/LeaseKeepAlive"
AUTHENTICATE: Final = "/etcdserverpb.Auth/Authenticate"

CHANNEL_OPTIONS: Final = (
    # A range or a watch of one revision may be as large as etcd's own transactions.
    ("grpc.max_receive_message_length", 256 << 20),
    ("grpc.max_send_message_length", -1),
    # For gRPC this is also how long to try to connect: a loaded etcd, or one far away, takes time.
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 500),
    # A member whose machine has vanished is noticed, also by a watch which was silent for long.
    # Without the last two, gRPC then pings once per minute and waits a minute for the answer. etcd
    # refuses clients which ping more often than each 5 s.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.ping_timeout_ms", 5_000),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Where etcd is, and who we are to it."""

    endpoints: tuple[str, ...]
    user: str = ""
    password: str = field(default="", repr=False)
    cert_file: str = ""
    key_file: str = ""
    ca_file: str = ""

    def targets(self) -> tuple[tuple[str, bool], ...]:
        """Return gRPC targets, and whether each speaks TLS.

        Raises:
            ConfigError: An endpoint is no URL of http, https or unix.
        """
        return tuple(_target(endpoint) for endpoint in self.endpoints)

    def credentials(self) -> grpc.ChannelCredentials:
        """Return TLS credentials.

        Raises:
            ConfigError: A file cannot be read.
        """
        return grpc.ssl_channel_credentials(
            root_certificates=_read(self.ca_file, "--etcd.trusted-ca-file"),
            private_key=_read(self.key_file, "--etcd.cert-key-file"),
            certificate_chain=_read(self.cert_file, "--etcd.cert-file"),
        )


def _target(endpoint: str) -> tuple[str, bool]:
    try:
        url = urlsplit(endpoint)
        port = url.port or 2379
    except ValueError as exc:
        raise ConfigError("--etcd.address", f"{endpoint} is not a URL: {exc}") from exc
    if url.scheme == "unix":
        return f"unix:{url.netloc}{url.path}", False
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ConfigError(
            "--etcd.address", f"{endpoint} is not an http://, https:// or unix:// endpoint"
        )
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    return f"{host}:{port}", url.scheme == "https"


def _read(path: str, option: str) -> bytes | None:
    if not path:
        return None
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as exc:
        raise ConfigError(option, f"cannot read {path}: {exc.strerror}") from exc


def error_of(exc: grpc.RpcError, address: str) -> EtcdError:
    """Return our error of a call which failed."""
    code, detail = exc.code(), exc.details() or ""
    text = f"etcd {address}: {detail or code.name}"
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
        return EtcdUnavailableError(text)
    if code is grpc.StatusCode.OUT_OF_RANGE and "compacted" in detail:
        return EtcdCompactedError(text)
    if code is grpc.StatusCode.NOT_FOUND and "lease" in detail:
        return EtcdLeaseLostError(text)
    return EtcdError(text)


def is_stale_token(exc: grpc.RpcError) -> bool:
    """Tell whether a new token may help. etcd has done nothing then."""
    if exc.code() is grpc.StatusCode.INVALID_ARGUMENT:
        return "auth store is old" in (exc.details() or "")  # Users or roles have changed.
    return exc.code() is grpc.StatusCode.UNAUTHENTICATED


@contextmanager
def closed_is_unavailable(address: str) -> Iterator[None]:
    """Turn the cancellation of a call by its closing channel into an error.

    grpc.aio lets whoever awaits such a call look cancelled, though nobody has cancelled it.

    Raises:
        EtcdUnavailableError: The channel was closed.
    """
    try:
        yield
    except asyncio.CancelledError as exc:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise EtcdUnavailableError(f"etcd {address}: the client is closed") from exc


def metadata(token: str, extra: Mapping[str, str] | None = None) -> tuple[tuple[str, str], ...]:
    """Return the metadata of a call."""
    pairs = tuple((extra or {}).items())
    return (("token", token), *pairs) if token else pairs
