"""The gRPC server of a broker, over grpcio.

Invariant: the server pings its clients, never the other way round (see `channel`). So a replica
notices within `KEEPALIVE_S` and `KEEPALIVE_TIMEOUT_S` that its primary has vanished without closing
its connection, and frees the spool for the next one.

What is no message of its method ends the call with INTERNAL, as in the reference. Protobuf's Python
runtime differs from the reference's in what that is: a text which is no UTF-8 cannot be decoded
(there, validation refuses it), and a known field of another wire type is unknown, and dropped.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from gazette_py.errors import ConfigError
from gazette_py.rpc.stream import Undecodable

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


def add_service(
    server: grpc.aio.Server, register: Callable[[Any, Any], None], servicer: object
) -> None:
    """Add a service.

    Args:
        server: Not started yet.
        register: The generated function which adds it.
        servicer: Is given an `Undecodable` in place of a message which cannot be decoded: grpc.aio
            itself would answer UNKNOWN, where the reference answers INTERNAL. Its methods write
            to their context, or return their response: none is a generator.
    """
    register(servicer, _Registrar(server))


class _Registrar:
    """Stands for the server while a generated function adds its handlers."""

    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Do nothing: the same handlers come once more, by name."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Add handlers whose deserializers do not raise, and which do not wait for ever."""
        safe = {
            name: _taking_one(handler._replace(request_deserializer=_never_raising(handler)))
            for name, handler in handlers.items()
        }
        generic = grpc.method_handlers_generic_handler(service, safe)
        self._server.add_generic_rpc_handlers((generic,))


def _never_raising(handler: Any) -> Callable[[bytes], object]:
    decode: Callable[[bytes], object] = handler.request_deserializer

    def deserialize(raw: bytes) -> object:
        try:
            return decode(raw)
        except DecodeError as exc:
            return Undecodable(str(exc))

    return deserialize


def _taking_one(handler: Any) -> Any:
    """Return the handler of a stream, if it is one, else a handler which takes its one message.

    grpc.aio never answers a call which ends without the one message it should have had: the client
    waits for its own deadline. (Of more messages the first is served.)
    """
    if handler.request_streaming:
        return handler
    serve = handler.unary_stream if handler.response_streaming else handler.unary_unary

    async def take(_: object, context: "grpc.aio.ServicerContext[Any, Any]") -> object:
        request: object = await context.read()
        if request is grpc.aio.EOF:
            await context.abort(grpc.StatusCode.INTERNAL, "received no request message")
        return await serve(request, context)

    new = (
        grpc.stream_stream_rpc_method_handler
        if handler.response_streaming
        else grpc.stream_unary_rpc_method_handler
    )
    return new(take, handler.request_deserializer, handler.response_serializer)


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
