"""Channels to brokers, one for each endpoint.

Invariant: a client never pings more often than every five minutes. Gazette's servers hang up on
one that does, and drop all its streams.
"""

import grpc.aio

from gazette_py.errors import ConfigError
from gazette_py.protocol.go_url import MalformedURLError, parse_url

RECV_BYTES_MAX = 16 << 20
"""Largest message a client takes, as Gazette's own clients."""

RECONNECT_BACKOFF_MS_MAX = 500
"""A broker which comes back is found again within half a second."""


def target_of(endpoint: str) -> tuple[str, bool]:
    """Return the gRPC target of an endpoint URL, and whether it speaks TLS.

    Raises:
        ConfigError: The endpoint is none of http, https and unix, or names no host.
    """
    try:
        url = parse_url(endpoint)
    except MalformedURLError as exc:
        raise ConfigError(endpoint, f"is not a URL: {exc}") from exc
    name = url.host.removesuffix(f":{url.port}") if ":" in url.host else url.host
    match url.scheme:
        case "unix":
            return f"unix://{url.path}", False
        case "http" | "https" if name:
            default = "443" if url.scheme == "https" else "80"
            return f"{name}:{url.port or default}", url.scheme == "https"
        case _:
            raise ConfigError(endpoint, "is not an http://, https:// or unix:// endpoint")


def dial(
    endpoint: str,
    *,
    recv_bytes_max: int = RECV_BYTES_MAX,
    credentials: grpc.ChannelCredentials | None = None,
) -> grpc.aio.Channel:
    """Return a channel to the endpoint. It connects at the first call.

    Args:
        endpoint: Of a broker.
        recv_bytes_max: Largest message to take.
        credentials: For `https` endpoints. None: the usual authorities are trusted.
    """
    target, is_tls = target_of(endpoint)
    options = [
        ("grpc.max_receive_message_length", recv_bytes_max),
        ("grpc.max_send_message_length", -1),
        ("grpc.initial_reconnect_backoff_ms", 50),
        ("grpc.min_reconnect_backoff_ms", 50),
        ("grpc.max_reconnect_backoff_ms", RECONNECT_BACKOFF_MS_MAX),
        # Brokers of one test or host share nothing: each channel has connections of its own.
        ("grpc.use_local_subchannel_pool", 1),
    ]
    if is_tls:
        credentials = credentials or grpc.ssl_channel_credentials()
        return grpc.aio.secure_channel(target, credentials, options=options)
    return grpc.aio.insecure_channel(target, options=options)
