"""What every call of the broker's services has in common: its errors, its count, its patience.

Expected conditions are Statuses of a response. Everything else ends the call with a gRPC code: a
peer's own, where a peer failed, else UNKNOWN with the text of the error, as the reference does.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar, cast

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from gazette_py.broker.service import Service
from gazette_py.errors import GazetteError
from gazette_py.protocol.enums import Status
from gazette_py.rpc.errors import status_of
from gazette_py.telemetry.log import get_logger
from gazette_py.telemetry.metrics import Metrics

log = get_logger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]


class HasStatus(Protocol):
    """A response."""

    @property
    def status(self) -> int:
        """How the call went, of the protocol's Statuses."""


R = TypeVar("R", bound=HasStatus)


class Calls:
    """Calls of one broker. Those which come before `start` wait for it."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._service: Service | None = None
        self._is_loaded = asyncio.Event()

    def start(self, service: Service) -> None:
        """Begin to serve: the key space is known, and our member key is written."""
        self._service = service
        self._is_loaded.set()

    async def unary(
        self, operation: str, context: Context, serve: Callable[[Service], Awaitable[R | None]]
    ) -> R:
        """Serve one call, and return its response."""
        response: R | None = None

        async def call(service: Service) -> int:
            nonlocal response
            response = await serve(service)
            return response.status if response is not None else Status.OK

        await self.guard(operation, context, call)
        return cast("R", response)  # None only for a client which has gone.

    async def guard(
        self, operation: str, context: Context, call: Callable[[Service], Awaitable[int]]
    ) -> None:
        """Serve one call; count it, and answer its errors."""
        self._metrics.rpc_started(operation)
        completed = "<error>"
        try:
            await self._is_loaded.wait()
            assert self._service is not None
            status = await call(self._service)
            completed = _outcome(status)
        except (GazetteError, DecodeError) as exc:
            code, text = status_of(exc)
            log.warning(
                "rpc_failed", rpc=operation, code=code.name, err=text, client=context.peer()
            )
            await context.abort(code, text)
        except (asyncio.CancelledError, grpc.aio.AbortError):
            raise
        except Exception as exc:  # A bug must end this call, not the broker.
            log.exception("rpc_bug", rpc=operation, err=repr(exc), client=context.peer())
            text = f"internal error of the broker: {type(exc).__name__}; see its log"
            await context.abort(grpc.StatusCode.INTERNAL, text)
        finally:
            self._metrics.rpc_completed(operation, completed)


def _outcome(status: int) -> str:
    """Return the name by which a Status is counted. A newer peer's may be unknown to us."""
    if status == Status.OK:
        return "ok"
    return Status(status).name if status in set(Status) else str(status)
