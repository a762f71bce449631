"""The gRPC server of a broker, over grpcio.

Invariant: the server pings its clients, never the other way round (see `channel`). So a replica
notices within `KEEPALIVE_S` and `KEEPALIVE_TIMEOUT_S` that its primary has vanished without closing
its connection, and frees the spool for the next one.
"""

from collections.abc import Sequence

import grpc.aio

from gazette_py.errors import ConfigError

KEEPALIVE_S = 5
KEEPALIVE_TIMEOUT_S = 5


def new_server(
    *, recv_bytes_max: int, interceptors: Sequence[grpc.aio.ServerInterceptor] = ()
) -> grpc.aio.Server:
    """Return a server without services or ports."""
    return grpc.aio.server(
        interceptors=interceptors,
        options=[
            ("grpc.max_receive_message_length", recv_bytes_max),
            ("grpc.max_send_message_length", -1),
            ("grpc.keepalive_time_ms", KEEPALIVE_S * 1000),
            ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_S * 1000),
            ("grpc.http2.max_pings_without_data", 0),
            # A second process on the port is an error, not a silent sharing of connections.
            ("grpc.so_reuseport", 0),
        ],
    )


def listen(server: grpc.aio.Server, address: str) -> int:
    """Bind `host:port` or `unix:path` without TLS; return the port (0 for a unix socket).

    Raises:
        ConfigError: The address is in use or is not ours.
    """
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as exc:
        raise ConfigError(
            "--broker.port", f"cannot listen at {address}: is the port in use? ({exc})"
        ) from exc
    return int(port)
