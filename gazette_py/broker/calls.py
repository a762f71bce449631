"""What every call of the broker's services has in common: its errors, its count, its patience.

Expected conditions are Statuses of a response. Everything else ends the call with a gRPC code: a
peer's own, where a peer failed, else UNKNOWN with the text of the error, as the reference does.

Calls are let in by their token, if the broker has keys: at once, and for as long as it is valid.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol, TypeVar, cast

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from gazette_py.broker.service import Service
from gazette_py.errors import GazetteError, RpcDeadlineError
from gazette_py.protocol.claims import Capability, Claims
from gazette_py.protocol.enums import Status
from gazette_py.protocol.labels import LabelSelector
from gazette_py.rpc.errors import status_of
from gazette_py.rpc.tokens import Verifier
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

Serve = Callable[[Service, LabelSelector, Context], Awaitable[int]]


class Calls:
    """Calls of one broker. Those which come before `start` wait for it."""

    def __init__(self, metrics: Metrics, verifier: Verifier) -> None:
        self._metrics = metrics
        self.verifier = verifier
        self._service: Service | None = None
        self._is_loaded = asyncio.Event()

    def start(self, service: Service) -> None:
        """Begin to serve: the key space is known, and our member key is written."""
        self._service = service
        self._is_loaded.set()

    async def unary(
        self,
        operation: str,
        capability: Capability,
        context: Context,
        serve: Callable[[Service, LabelSelector], Awaitable[R | None]],
        *,
        is_http: bool = False,
    ) -> R:
        """Serve one call, and return its response."""
        response: R | None = None

        async def call(service: Service, visible: LabelSelector, _: Context) -> int:
            nonlocal response
            response = await serve(service, visible)
            return response.status if response is not None else Status.OK

        await self.guard(operation, capability, context, call, is_http=is_http)
        return cast("R", response)  # None only for a client which has gone.

    async def guard(
        self,
        operation: str,
        capability: Capability,
        context: Context,
        call: Serve,
        *,
        ends_with_token: bool = False,
        is_http: bool = False,
    ) -> None:
        """Serve one call; count it, and answer its errors.

        Args:
            operation: Name of the call.
            capability: What its token must claim.
            context: Of the call.
            call: Serves it, of the journals which its token selects; writes to the context given.
            ends_with_token: Once its token has expired, the call ends as if all were told: its
                client comes back with another one. Else that is an error.
            is_http: It came over HTTP, which has two statuses for who is not let in. gRPC's clients
                know one code, which Gazette's brokers answer.
        """
        self._metrics.rpc_started(operation)
        completed = "<error>"
        try:
            claims = self.verifier.verify(_authorization(context), capability)
            await self._is_loaded.wait()
            assert self._service is not None
            if claims is None:
                status = await call(self._service, LabelSelector(), context)
            else:
                status = await self._within(claims, call, context, may_end=ends_with_token)
            completed = _outcome(status)
        except (GazetteError, DecodeError) as exc:
            code, text = status_of(exc)
            if code is grpc.StatusCode.PERMISSION_DENIED and not is_http:
                code = grpc.StatusCode.UNAUTHENTICATED
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

    async def _within(self, claims: Claims, call: Serve, context: Context, *, may_end: bool) -> int:
        """Serve a call for as long as its claims are valid."""
        assert self._service is not None
        remaining_s = claims.expires_at - self._service.clock.now()
        if remaining_s > 0:
            limited = _Limited(context)
            with suppress(_ExpiredError):
                async with limited.within(remaining_s):
                    return await call(self._service, claims.selector, cast("Context", limited))
        if may_end:
            return Status.OK
        raise RpcDeadlineError("client", "DEADLINE_EXCEEDED", "the token of the call has expired")


class _ExpiredError(Exception):
    """The time of a call is over."""


class _Limited:
    """The context of a call whose time is limited.

    Then its task is cancelled, but never in a write: gRPC would not end a stream after that.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._is_writing = self._is_over = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    async def write(self, message: object) -> None:
        """Write a message, and raise `_ExpiredError` if the time ran out meanwhile."""
        self._is_writing = True
        try:
            await self._context.write(message)
        finally:
            self._is_writing = False
        if self._is_over:
            raise _ExpiredError

    @asynccontextmanager
    async def within(self, timeout_s: float) -> AsyncIterator[None]:
        """Let the block run for so long, and then raise `_ExpiredError`."""
        deadline = asyncio.timeout(None)

        def end() -> None:
            self._is_over = True
            if not self._is_writing:
                deadline.reschedule(0)

        timer = asyncio.get_running_loop().call_later(timeout_s, end)
        try:
            async with deadline:
                yield
        except TimeoutError:
            if not deadline.expired():
                raise
            raise _ExpiredError from None
        finally:
            timer.cancel()


def _authorization(context: Context) -> str | None:
    """Return the first value of the header, if there is one."""
    for name, value in context.invocation_metadata() or ():
        if name == "authorization":
            return value if isinstance(value, str) else value.decode("latin-1")
    return None


def _outcome(status: int) -> str:
    """Return the name by which a Status is counted. A newer peer's may be unknown to us."""
    if status == Status.OK:
        return "ok"
    return Status(status).name if status in set(Status) else str(status)
