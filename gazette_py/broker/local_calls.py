"""Calls of the broker's services from within its process: what the HTTP gateways make.

They take the way of gRPC's calls from `Calls` on: they are counted, logged, authorized, and
forwarded to other brokers alike. Only the transport is left out, and with it two copies of all
content ([ADR 16](../../docs/adr/0016-gateways-call-in-process.md)).
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, Generic, NoReturn, TypeVar, cast

import grpc
import grpc.aio

from gazette_py.broker.append_api import serve_append
from gazette_py.broker.calls import Calls, Context, Serve
from gazette_py.broker.list_api import serve_list
from gazette_py.broker.read_api import serve_read
from gazette_py.broker.service import Service
from gazette_py.broker.spool_file import SpoolDirectory, SpoolFile, SpoolUse
from gazette_py.broker.stored_fragment import StoredFragments
from gazette_py.broker.token import wait_signal
from gazette_py.errors import AppendOutcomeUnknownError, RpcError, RpcUnauthenticatedError
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.protocol.claims import Capability
from gazette_py.protocol.journal import JournalSpec, strip_meta
from gazette_py.protocol.labels import LabelSelector
from gazette_py.rpc.errors import NOT_COMMITTED, error_of

M = TypeVar("M")

_PEER = "http"
"""Of these calls, as logs name it."""


class LocalCalls:
    """See `web.calls.JournalCalls`."""

    def __init__(
        self,
        calls: Calls,
        fragments: StoredFragments,
        spools: SpoolDirectory,
        service: Service,
    ) -> None:
        self._calls = calls
        self._fragments = fragments
        self._spools = spools
        self._service = service

    async def read(
        self, request: pb.ReadRequest, authorization: str
    ) -> AsyncGenerator[pb.ReadResponse, None]:
        """Yield the responses of a Read."""

        async def serve(service: Service, visible: LabelSelector, context: Context) -> int:
            return await serve_read(service, self._fragments, request, context, visible)

        reading = self._responses("Read", Capability.READ, authorization, serve)
        async with aclosing(reading) as responses:
            async for response in responses:
                yield response

    async def list(
        self, request: pb.ListRequest, authorization: str
    ) -> AsyncGenerator[pb.ListResponse, None]:
        """Yield the responses of a List."""

        async def serve(service: Service, visible: LabelSelector, context: Context) -> int:
            return await serve_list(service, request, context, visible)

        listing = self._responses("List", Capability.LIST, authorization, serve)
        async with aclosing(listing) as responses:
            async for response in responses:
                yield response

    async def _responses(
        self,
        operation: str,
        capability: Capability,
        authorization: str,
        serve: Serve,
    ) -> AsyncGenerator[Any, None]:
        handover: _Handover[Any] = _Handover()
        context = _as_context(_LocalContext(authorization, write=handover.put))
        call = self._calls.guard(
            operation, capability, context, serve, ends_with_token=True, is_http=True
        )
        serving = asyncio.create_task(call, name=f"{operation} over HTTP")  # Ended below.
        serving.add_done_callback(lambda _: handover.end())
        try:
            while (response := await handover.take()) is not None:
                yield response
            serving.result()
        finally:
            serving.cancel()
            await asyncio.wait([serving])
            if not serving.cancelled():
                serving.exception()  # Seen, also if nobody reads on.

    async def append(
        self, request: pb.AppendRequest, content: AsyncIterator[bytes], authorization: str
    ) -> pb.AppendResponse:
        """Append all of the content, or nothing.

        Raises:
            AppendOutcomeUnknownError: It may be in the journal, or not.
            RpcError: It is not there.
        """
        local = _LocalContext(authorization, messages=_append_messages(request, content))
        context = _as_context(local)
        try:
            return await self._calls.unary(
                "Append",
                Capability.APPEND,
                context,
                lambda s, visible: serve_append(s, context, visible),
                is_http=True,
            )
        except RpcError as exc:
            if NOT_COMMITTED in local.trailing_metadata or not local.has_ended:
                raise
            raise AppendOutcomeUnknownError(exc.peer, exc.code, exc.detail) from exc

    def check(self, capability: Capability, journal: str, authorization: str) -> None:
        """Refuse who may not do that with the journal.

        A journal which does not exist is judged by its name. So who sees no journals but some does
        not learn which others there are.
        """
        claims = self._calls.verifier.verify(authorization or None, capability)
        if claims is None:
            return
        name = strip_meta(journal)
        item = self._service.keyspace.item(name)
        spec = JournalSpec(name=name) if item is None else item.spec
        if not claims.selector.matches(spec.selectable_labels()):
            reason = f"the token is not for journal {name}"
            raise RpcUnauthenticatedError(_PEER, "PERMISSION_DENIED", reason)

    async def wait_stopping(self) -> None:
        """Wait until the broker begins to stop."""
        await wait_signal(None, self._service.stopping)

    def content_type(self, journal: str) -> str:
        """Return the journal's label content-type, or the empty string."""
        item = self._service.keyspace.item(strip_meta(journal))
        return item.spec.labels.value_of("content-type") if item is not None else ""

    def open_body(self, journal: str) -> SpoolFile:
        """Return an empty file for the body of an append."""
        return self._spools.open(journal, 0, SpoolUse.BODY)


async def _append_messages(
    request: pb.AppendRequest, content: AsyncIterator[bytes]
) -> AsyncGenerator[pb.AppendRequest, None]:
    yield request
    async for piece in content:
        yield pb.AppendRequest(content=piece)
    yield pb.AppendRequest()  # Asks to commit.


class _Handover(Generic[M]):
    """Messages from one task to another, one at a time, so that neither runs ahead."""

    def __init__(self) -> None:
        self._message: M | None = None
        self._has_ended = False
        self._changed = asyncio.Event()

    async def put(self, message: M) -> None:
        """Give a message, once the one before was taken."""
        while self._message is not None:
            await self._wait()
        self._message = message
        self._changed.set()

    async def take(self) -> M | None:
        """Return the next message; None at the end."""
        while self._message is None and not self._has_ended:
            await self._wait()
        message, self._message = self._message, None
        self._changed.set()
        return message

    def end(self) -> None:
        """Note that none comes any more."""
        self._has_ended = True
        self._changed.set()

    async def _wait(self) -> None:
        self._changed.clear()
        await self._changed.wait()


async def _nothing_to_write(_: object) -> None:
    raise AssertionError("a unary call returns its response")


class _LocalContext:
    """What services use of a call's context. See grpc.aio.ServicerContext."""

    def __init__(
        self,
        authorization: str,
        *,
        write: Callable[[Any], Awaitable[None]] = _nothing_to_write,
        messages: AsyncGenerator[pb.AppendRequest, None] | None = None,
    ) -> None:
        self.write = write
        self.trailing_metadata: tuple[tuple[str, str], ...] = ()
        self.has_ended = False  # All messages were taken.
        self._authorization = authorization
        self._messages = messages

    async def read(self) -> object:
        """Return the next message, or EOF."""
        assert self._messages is not None
        message = await anext(self._messages, None)
        if message is None:
            self.has_ended = True
            return grpc.aio.EOF
        return message

    async def send_initial_metadata(self, _: object) -> None:
        """Do nothing: the client is there, or we are cancelled."""

    def set_trailing_metadata(self, metadata: tuple[tuple[str, str], ...]) -> None:
        """Keep what an error is told with."""
        self.trailing_metadata = metadata

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        """Return the metadata of the call."""
        return (("authorization", self._authorization),) if self._authorization else ()

    def peer(self) -> str:
        """Return who calls, for logs."""
        return _PEER

    async def abort(self, code: grpc.StatusCode, detail: str) -> NoReturn:
        """End the call with an error."""
        raise error_of(code, detail, _PEER)


def _as_context(context: _LocalContext) -> Context:
    return cast("Context", context)
