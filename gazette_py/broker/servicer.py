"""The service `protocol.Journal`: each call is handed to its module, and its errors to the client.

Expected conditions are Statuses of a response. Everything else ends the call with a gRPC code: a
peer's own, where a peer failed, else UNKNOWN with the text of the error, as the reference does.

A call whose deadline passes ends with DEADLINE_EXCEEDED. The reference then ends a List or Read
cleanly, if it is quicker than the client, whose own clock has run out at the same time.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from gazette_py.broker.append_api import serve_append
from gazette_py.broker.apply_api import serve_apply
from gazette_py.broker.fragments_api import serve_fragments, serve_store_health
from gazette_py.broker.list_api import serve_list
from gazette_py.broker.read_api import serve_read
from gazette_py.broker.replicate_api import serve_replicate
from gazette_py.broker.service import Service
from gazette_py.broker.stored_fragment import StoredFragments
from gazette_py.broker.token import Signal
from gazette_py.errors import GazetteError
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.pb import protocol_pb2_grpc
from gazette_py.protocol.enums import Status
from gazette_py.rpc.errors import status_of
from gazette_py.rpc.stream import decoded
from gazette_py.telemetry.log import get_logger
from gazette_py.telemetry.metrics import Metrics

log = get_logger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]

R = TypeVar(
    "R",
    pb.ApplyResponse,
    pb.AppendResponse,
    pb.FragmentsResponse,
    pb.FragmentStoreHealthResponse,
)


class JournalServicer(protocol_pb2_grpc.JournalServicer):
    """Serves once `loaded` is set: the key space is known, and our member key is written."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._service: Service | None = None
        self._fragments: StoredFragments | None = None
        self._is_loaded = asyncio.Event()

    def start(self, service: Service, fragments: StoredFragments) -> None:
        """Begin to serve. Calls which came before have waited."""
        self._service, self._fragments = service, fragments
        self._is_loaded.set()

    async def List(self, request: pb.ListRequest, context: Context) -> None:  # type: ignore[override]  # It writes to the context.
        """List, or watch, journals."""

        async def call(service: Service) -> Status:
            return await serve_list(service, decoded(request, pb.ListRequest), context)

        await self._guard("List", context, call)

    async def Apply(self, request: pb.ApplyRequest, context: Context) -> pb.ApplyResponse:
        """Write or delete journal specs."""
        return await self._unary(
            "Apply", context, lambda s: serve_apply(s, decoded(request, pb.ApplyRequest))
        )

    async def Read(self, request: pb.ReadRequest, context: Context) -> None:  # type: ignore[override]  # It writes to the context.
        """Read a journal."""

        async def call(service: Service) -> Status:
            assert self._fragments is not None
            return await serve_read(
                service, self._fragments, decoded(request, pb.ReadRequest), context
            )

        await self._guard("Read", context, call)

    async def Append(self, request_iterator: object, context: Context) -> pb.AppendResponse:
        """Append to a journal."""
        return await self._unary("Append", context, lambda s: serve_append(s, context))

    async def Replicate(self, request_iterator: object, context: Context) -> None:  # type: ignore[override]  # It writes to the context.
        """Follow a primary."""

        async def call(service: Service) -> Status:
            return await serve_replicate(service, context)

        await self._guard("Replicate", context, call)

    async def ListFragments(
        self, request: pb.FragmentsRequest, context: Context
    ) -> pb.FragmentsResponse:
        """List a journal's fragments."""
        return await self._unary(
            "ListFragments",
            context,
            lambda s: serve_fragments(s, decoded(request, pb.FragmentsRequest)),
        )

    async def FragmentStoreHealth(
        self, request: pb.FragmentStoreHealthRequest, context: Context
    ) -> pb.FragmentStoreHealthResponse:
        """Tell whether a store can be used."""
        return await self._unary(
            "FragmentStoreHealth",
            context,
            lambda s: serve_store_health(
                s, decoded(request, pb.FragmentStoreHealthRequest), Signal()
            ),
        )

    async def _unary(
        self, operation: str, context: Context, serve: Callable[[Service], Awaitable[R | None]]
    ) -> R:
        response: R | None = None

        async def call(service: Service) -> int:
            nonlocal response
            response = await serve(service)
            return response.status if response is not None else Status.OK

        await self._guard(operation, context, call)
        return cast("R", response)  # None only for a client which has gone.

    async def _guard(
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
