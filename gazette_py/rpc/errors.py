"""gRPC codes <-> our errors, at the edge of the transport.

A code which a peer gave is kept on its way to the client: UNAVAILABLE tells Gazette's clients to
try again, and must not become anything else.
"""

from typing import Final

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from gazette_py.errors import (
    GazetteError,
    RpcDeadlineError,
    RpcError,
    RpcUnauthenticatedError,
    RpcUnavailableError,
)
from gazette_py.rpc.tls import tls_error, with_hint

NOT_COMMITTED = ("gazette-py-append", "not-committed")
"""Trailing metadata of a failed Append: nothing was appended, as the broker failed before it asked
any replica to commit, or before it passed the end of the client's stream on. Others ignore it."""

_BY_CODE: dict[grpc.StatusCode, type[RpcError]] = {
    grpc.StatusCode.UNAVAILABLE: RpcUnavailableError,
    grpc.StatusCode.UNAUTHENTICATED: RpcUnauthenticatedError,
    grpc.StatusCode.PERMISSION_DENIED: RpcUnauthenticatedError,
    grpc.StatusCode.DEADLINE_EXCEEDED: RpcDeadlineError,
}

_SEND_FAILED = "Internal error from Core"
"""grpc.aio says so of a call which ended, for whatever cause, while it was sending: the cause
itself is lost."""


def is_not_committed(exc: grpc.aio.AioRpcError) -> bool:
    """Tell whether a failed Append is known to have appended nothing."""
    return NOT_COMMITTED in tuple(exc.trailing_metadata() or ())  # `in` it looks for keys only.


def translate(exc: grpc.aio.AioRpcError, peer: str) -> RpcError:
    """Return our error for a failed call to `peer`."""
    code, detail = exc.code(), exc.details() or ""
    if code is grpc.StatusCode.INTERNAL and detail.startswith(_SEND_FAILED):
        code, detail = grpc.StatusCode.UNAVAILABLE, "the call ended while a message was sent"
    if code is grpc.StatusCode.UNAVAILABLE:
        if (error := tls_error(peer, code.name, detail)) is not None:
            return error
        detail = with_hint(peer, detail)
    return error_of(code, detail, peer)


def error_of(code: grpc.StatusCode, detail: str, peer: str) -> RpcError:
    """Return our error of a code and its text."""
    return _BY_CODE.get(code, RpcError)(peer, code.name, detail)


DETAIL_BYTES_MAX: Final = 2048
"""A longer text is cut. It travels in a header, each byte as up to three, and gRPC's own clients
begin to refuse headers at 8 KiB. A text quotes what the client sent, which may be much longer."""


def status_of(exc: GazetteError | DecodeError) -> tuple[grpc.StatusCode, str]:
    """Return the code and text by which a failed call is answered."""
    if isinstance(exc, RpcError):
        return grpc.StatusCode[exc.code], _bounded(exc.detail)
    if isinstance(exc, DecodeError):
        return grpc.StatusCode.INTERNAL, _bounded(str(exc))
    return grpc.StatusCode.UNKNOWN, _bounded(str(exc))


def _bounded(text: str) -> str:
    raw = text.encode(errors="replace")
    if len(raw) <= DETAIL_BYTES_MAX:
        return text
    return raw[:DETAIL_BYTES_MAX].decode(errors="ignore") + "..."
