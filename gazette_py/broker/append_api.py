"""Append: the client's messages are fed to an append which runs in a task of the broker's own.

The handler reads the client's stream and the append consumes it, so a client which leaves is an
input to the append, and content is read only once the append can take it.

Source: gazette/core broker/append_api.go and append_flow_control.go.
"""

import asyncio
from collections import deque
from typing import Any, Self

import grpc.aio

from gazette_py.broker.append_run import (
    AppendOutcome,
    AppendRequest,
    AppendRun,
    ClientGoneError,
)
from gazette_py.broker.proxy import peer_of, proxied
from gazette_py.broker.service import Service
from gazette_py.broker.token import Signal
from gazette_py.core.append import AppendOptions
from gazette_py.core.append_stream import RegisterChange
from gazette_py.core.flow_control import QUANTUM_MS, FlowControl, Ready, Underflow, Wait
from gazette_py.errors import GazetteError, RpcError, ValidationError
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.protocol import convert
from gazette_py.protocol.claims import Capability
from gazette_py.protocol.enums import AppendSuspend, Status
from gazette_py.protocol.journal import strip_meta
from gazette_py.protocol.labels import LabelSelector
from gazette_py.protocol.requests import validate_append_content, validate_append_first
from gazette_py.rpc.errors import NOT_COMMITTED, is_not_committed
from gazette_py.rpc.stream import confirm_half_close, receive

QUEUED_MESSAGES_MAX = 8
"""Messages read ahead of the append. Each is at most the receive limit of the server."""

Context = grpc.aio.ServicerContext[pb.AppendRequest, pb.AppendResponse]


async def serve_append(
    service: Service, context: Context, visible: LabelSelector
) -> pb.AppendResponse | None:
    """Serve one Append to a journal which `visible` selects.

    None: the client cancelled, and hears nothing.
    """
    first = await receive(context, pb.AppendRequest)
    if first is None:
        raise RpcError("client", "UNKNOWN", "unexpected EOF")
    validate_append_first(first)
    gone = Signal()
    run = AppendRun(service, _request_of(first, visible), gone)
    content = ClientContent(service)
    appending = service.spawn_append(run.run(content))
    try:
        await _pump(context, content, appending)
        outcome = await asyncio.shield(appending)
    except ClientGoneError:
        return None
    except BaseException as exc:
        # However we leave, the append must hear of it: it holds the pipeline, and waits for more.
        gone.fire()
        content.fail(ClientGoneError("append stream: the client has gone"))
        if isinstance(exc, GazetteError) and not run.may_have_committed:
            context.set_trailing_metadata((NOT_COMMITTED,))
        raise
    if outcome.is_proxied:
        return await _proxy(service, first, outcome, context)
    if outcome.commit is not None:
        service.metrics.write_head(outcome.commit.journal, outcome.commit.end)
    return _response(outcome)


async def _pump(
    context: Context, content: "ClientContent", appending: "asyncio.Future[Any]"
) -> None:
    """Read messages for the append, once it wants them and until it has ended."""
    async with _UntilDone(appending) as until:
        await content.wait_wanted()
        while not until.is_done:
            message = await receive(context, pb.AppendRequest)
            if message is None:
                await confirm_half_close(context)
                content.end()
                return
            await content.feed(message)


class _UntilDone:
    """Leaves its block as soon as a future is done."""

    def __init__(self, future: "asyncio.Future[Any]") -> None:
        self._future = future
        self._timeout = asyncio.timeout(None)
        self._has_left = False
        self.is_done = False

    def _on_done(self, _: object) -> None:
        self.is_done = True
        # It may have been on its way when the block was left.
        if not self._has_left and not self._timeout.expired():
            self._timeout.reschedule(0)

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        self._future.add_done_callback(self._on_done)
        return self

    async def __aexit__(self, *exc_info: object) -> bool | None:
        self._has_left = True
        self._future.remove_done_callback(self._on_done)
        try:
            await self._timeout.__aexit__(*exc_info)  # type: ignore[arg-type]  # As given.
            return None
        except TimeoutError:
            if not self.is_done:
                raise
            return True


def _request_of(first: pb.AppendRequest, visible: LabelSelector) -> AppendRequest:
    check = convert.selector_from_pb(first.check_registers)
    union = convert.labels_from_pb(first.union_registers)
    subtract = convert.labels_from_pb(first.subtract_registers)
    return AppendRequest(
        journal=first.journal,
        options=AppendOptions(
            offset=first.offset,
            check_registers=check if first.HasField("check_registers") else None,
            suspend=AppendSuspend(first.suspend),
            min_revision=first.min_etcd_revision,
        ),
        may_proxy=not first.do_not_proxy,
        visible=visible,
        change=RegisterChange(
            union=union if first.HasField("union_registers") else None,
            subtract=subtract if first.HasField("subtract_registers") else None,
        ),
        header=convert.header_from_pb(first.header) if first.HasField("header") else None,
    )


def _response(outcome: AppendOutcome) -> pb.AppendResponse:
    response = pb.AppendResponse(
        status=pb.Status.ValueType(outcome.status),
        header=convert.header_to_pb(outcome.header),
        total_chunks=outcome.total_chunks,
        delayed_chunks=outcome.delayed_chunks,
    )
    if outcome.commit is not None:
        response.commit.CopyFrom(convert.fragment_to_pb(outcome.commit))
    if outcome.status in (Status.OK, Status.REGISTER_MISMATCH):
        assert outcome.registers is not None
        response.registers.CopyFrom(convert.labels_to_pb(outcome.registers))
    if outcome.status is Status.FRAGMENT_STORE_UNHEALTHY:
        response.store_health_error = outcome.detail
    return response


async def _proxy(
    service: Service, first: pb.AppendRequest, outcome: AppendOutcome, context: Context
) -> pb.AppendResponse:
    """Forward the client's messages to the primary, and its answer to the client."""
    peer, stub = peer_of(service, outcome.header)
    first.header.CopyFrom(convert.header_to_pb(outcome.header))
    first.journal = strip_meta(first.journal)  # A Gazette broker dies of what follows a `;`.
    call = stub.Append(metadata=service.tokens.for_journal(Capability.APPEND, first.journal))
    forwarding = _Forwarding()
    # Not in a task group: it ends with the call, below.
    answering = asyncio.create_task(_answer(call), name="await the primary")
    try:
        async with proxied(peer):
            # The primary may answer at any time, as when it refuses, or has had to wait for long.
            async with _UntilDone(answering):
                await forwarding.run(call, first, context)
            return await answering
    except RpcError as exc:
        cause = exc.__cause__  # The primary may know that it asked no replica to commit.
        is_known = isinstance(cause, grpc.aio.AioRpcError) and is_not_committed(cause)
        if is_known or not forwarding.may_commit:
            context.set_trailing_metadata((NOT_COMMITTED,))
        raise
    finally:
        call.cancel()
        answering.cancel()
        service.count_crossing("append", forwarding.content_bytes, peer)


async def _answer(
    call: "grpc.aio.StreamUnaryCall[pb.AppendRequest, pb.AppendResponse]",
) -> pb.AppendResponse:
    return await call


class _Forwarding:
    """Passes a client's messages on."""

    def __init__(self) -> None:
        self.may_commit = False  # The primary may know that the client's stream is whole.
        self.content_bytes = 0

    async def run(
        self,
        call: "grpc.aio.StreamUnaryCall[pb.AppendRequest, pb.AppendResponse]",
        first: pb.AppendRequest,
        context: Context,
    ) -> None:
        """Pass all of them on, or as many as the primary takes."""
        try:
            await call.write(first)
            while (message := await receive(context, pb.AppendRequest)) is not None:
                await call.write(message)
                self.content_bytes += len(message.content)
            await confirm_half_close(context)
            self.may_commit = True
            await call.done_writing()
        except asyncio.InvalidStateError:
            pass  # The primary has answered already.


class ClientContent:
    """Messages of the client, as the append takes them: checked, and at a bearable rate."""

    def __init__(self, service: Service) -> None:
        self.delayed_chunks = 0
        self._service = service
        self._messages: deque[pb.AppendRequest] = deque()
        self._is_wanted = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._has_ended = False
        self._error: GazetteError | None = None
        self._wake: asyncio.Future[None] | None = None
        self._flow: FlowControl | None = None

    # The handler's side.

    async def wait_wanted(self) -> None:
        """Wait until the append is ready for content."""
        await self._is_wanted.wait()

    async def feed(self, message: pb.AppendRequest) -> None:
        """Give a message, and wait until there is room for the next."""
        self._messages.append(message)
        self._signal()
        if len(self._messages) >= QUEUED_MESSAGES_MAX:
            self._has_room.clear()
            await self._has_room.wait()

    def end(self) -> None:
        """Note that the client has half-closed."""
        self._has_ended = True
        self._signal()

    def fail(self, error: GazetteError) -> None:
        """Note that nothing more comes, and why."""
        self._error = error
        self._has_room.set()
        self._signal()

    def _signal(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    # The append's side.

    def begin(self, flow: FlowControl, max_append_rate: int) -> None:
        """Start to take content, at the journal's rates."""
        self._flow = flow
        flow.start_append(self._now_ms(), max_append_rate)
        self._is_wanted.set()

    def _now_ms(self) -> int:
        return int(self._service.clock.monotonic() * 1000)  # The other clock may be set back.

    async def receive(self, invalidated: Signal) -> bytes | None:
        """Return the next content, once the rates allow it. See `append_run.ContentSource`."""
        await self._wait_message(invalidated)
        if self._messages:
            message = self._messages.popleft()
            self._has_room.set()
            _validate(message)
            await self._charge(len(message.content), invalidated)
            return message.content
        if self._error is not None:
            raise self._error
        return None

    async def _wait_message(self, invalidated: Signal) -> None:
        while not (self._messages or self._has_ended or self._error is not None):
            await self._tick(invalidated)

    async def _charge(self, length: int, invalidated: Signal) -> None:
        assert self._flow is not None
        outcome = self._flow.on_chunk(length)
        if not isinstance(outcome, Ready):
            self.delayed_chunks += 1
        while not isinstance(outcome, Ready):
            outcome = await self._tick(invalidated)

    async def _tick(self, invalidated: Signal) -> Ready | Wait:
        """Wait for news or one quantum, and let the balances follow the clock."""
        assert self._flow is not None
        loop = asyncio.get_running_loop()
        self._wake = loop.create_future()
        timer = loop.call_later(QUANTUM_MS / 1000, self._signal)
        try:
            await self._wake
        finally:
            timer.cancel()
        if invalidated.is_fired:
            self._flow.lift_limit()  # The sooner this append ends, the sooner the Route settles.
        outcome = self._flow.tick(self._now_ms())
        if isinstance(outcome, Underflow):
            raise RpcError(
                "client",
                "UNKNOWN",
                "append stream: client stream didn't sustain the minimum append data rate",
            )
        return outcome


def _validate(message: pb.AppendRequest) -> None:
    try:
        validate_append_content(message)
    except ValidationError as exc:
        raise RpcError("client", "UNKNOWN", f"append stream: {exc}") from exc
