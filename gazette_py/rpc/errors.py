"""gRPC codes <-> our errors, at the edge of the transport.

A code which a peer gave is kept on its way to the client: UNAVAILABLE tells Gazette's clients to
try again, and must not become anything else.
"""

import grpc
import grpc.aio

from gazette_py.errors import (
    GazetteError,
    RpcDeadlineError,
    RpcError,
    RpcUnauthenticatedError,
    RpcUnavailableError,
)

_BY_CODE: dict[grpc.StatusCode, type[RpcError]] = {
    grpc.StatusCode.UNAVAILABLE: RpcUnavailableError,
    grpc.StatusCode.UNAUTHENTICATED: RpcUnauthenticatedError,
    grpc.StatusCode.DEADLINE_EXCEEDED: RpcDeadlineError,
}


def translate(exc: grpc.aio.AioRpcError, peer: str) -> RpcError:
    """Return our error for a failed call to `peer`."""
    code = exc.code()
    return _BY_CODE.get(code, RpcError)(peer, code.name, exc.details() or "")


def status_of(exc: GazetteError) -> tuple[grpc.StatusCode, str]:
    """Return the code and text by which a failed call is answered."""
    if isinstance(exc, RpcError):
        return grpc.StatusCode[exc.code], exc.detail
    return grpc.StatusCode.UNKNOWN, str(exc)
