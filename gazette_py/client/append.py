"""Appends: one attempt by the protocol, and the attempts of one append.

Invariants:
    W1  The commit message is sent only after all content was; a source which fails, or a caller
        who is cancelled, cancels the call before it, and the broker rolls back.
    W2  No empty content is sent before it: that would be the commit message.
    W3  An attempt is repeated only if the content can be read from its start again.
    W4  An attempt whose outcome is unknown is not repeated, unless it had no content: nothing is
        ever appended twice.

Outcome: a broker which vanishes after the commit message was sent leaves the outcome unknown, but
for one which tells that it did not pass this message on to the primary.

Units: offsets are journal byte offsets.
Source: gazette/core broker/client/appender.go, which repeats any attempt whose broker is
unavailable, and so may append twice.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from dataclasses import dataclass

import grpc

from gazette_py import errors
from gazette_py.client import outcomes
from gazette_py.client.backoff import backoff_s
from gazette_py.client.dispatch import Dispatcher
from gazette_py.clock import Clock
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.protocol import convert
from gazette_py.protocol.claims import Capability
from gazette_py.protocol.fragment import Fragment
from gazette_py.protocol.labels import LabelSet
from gazette_py.protocol.route import Header
from gazette_py.rpc.errors import is_not_committed, translate

CHUNK_BYTES_MAX = 1 << 20

Content = bytes | bytearray | memoryview | Iterable[bytes] | AsyncIterable[bytes]

_RETRIED = (errors.NotPrimaryError, errors.NoPrimaryError, errors.InsufficientBrokersError)

_TOO_SLOW = "client stream didn't sustain the minimum append data rate"
"""How brokers of both kinds say so. They gave up waiting for content, so they committed nothing."""

TOO_SLOW_TRIES_MAX = 5
"""One which was held up passes sooner. One whose network is too slow never does."""

# The broker said no before it did anything.
_CERTAIN_CODES = ("UNAUTHENTICATED", "PERMISSION_DENIED", "UNIMPLEMENTED")


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendResult:
    """What an append did."""

    commit: Fragment  # Just this append's span [begin, end), and the SHA-1 of its bytes.
    registers: LabelSet  # Of the journal, after the append.
    header: Header
    total_chunks: int  # Messages which the broker took, with the one that asks to commit.
    delayed_chunks: int  # Those of them which it held back to keep the journal's maximum rate.


class Appender:
    """The attempts of one append."""

    def __init__(
        self, dispatcher: Dispatcher, clock: Clock, request: pb.AppendRequest, content: Content
    ) -> None:
        self._dispatcher = dispatcher
        self._clock = clock
        self._request = request
        self._content = content
        self._counts = dispatcher.counts
        self._is_single_pass = _is_single_pass(content)
        self._is_begun = False  # Content was read.
        self._has_content = False  # The running attempt sent some.
        self._is_committing = False  # The running attempt may commit.
        self._refusal: errors.GazetteError | None = None  # Of the last attempt.
        self._too_slow_tries = 0

    async def run(self, *, retry: bool, timeout_s: float | None) -> AppendResult:
        """Attempt until there is a result, a final refusal, or no time left."""
        with self._counts.outcome_of(self._counts.append_calls):
            try:
                async with asyncio.timeout(timeout_s):
                    result = await self._attempts(retry=retry)
            except TimeoutError as exc:
                raise self._late() from exc
        self._counts.append_bytes += result.commit.length
        return result

    async def _attempts(self, *, retry: bool) -> AppendResult:
        attempt = 0
        while True:
            try:
                return _result(await self._attempt())
            except errors.GazetteError as exc:
                self._refusal = exc
                if not (retry and self._may_retry(exc)):
                    raise
            await self._clock.sleep(backoff_s(attempt))
            attempt += 1
            self._counts.retries["append"] += 1

    def _may_retry(self, exc: errors.GazetteError) -> bool:
        if self._is_single_pass and self._is_begun:
            return False  # W3
        if isinstance(exc, errors.AppendOutcomeUnknownError):
            return False  # W4
        if isinstance(exc, errors.AppendTooSlowError):
            self._too_slow_tries += 1
            return self._too_slow_tries < TOO_SLOW_TRIES_MAX
        if isinstance(exc, errors.RpcTlsError):
            return False
        if isinstance(exc, errors.RpcError):
            return exc.code == grpc.StatusCode.UNAVAILABLE.name
        return isinstance(exc, _RETRIED)

    def _late(self) -> errors.GazetteError:
        """Return the error of an append which ran out of time."""
        peer, code = self._request.journal, grpc.StatusCode.DEADLINE_EXCEEDED.name
        if self._is_committing and self._has_content:
            return errors.AppendOutcomeUnknownError(peer, code, "no answer to the commit in time")
        return self._refusal or errors.RpcDeadlineError(
            self._dispatcher.addresses, code, f"no broker took the append to {peer} in time"
        )

    async def _attempt(self) -> pb.AppendResponse:
        self._is_committing = self._has_content = False
        journal = self._request.journal
        async with self._dispatcher.borrow(journal, needs_primary=True) as broker:
            call = broker.stub.Append(
                metadata=broker.tokens.for_journal(Capability.APPEND, journal)
            )
            try:
                async with self._dispatcher.while_alive(broker):
                    await self._send(call)
                    response: pb.AppendResponse = await call
            except errors.RpcUnavailableError as exc:
                self._dispatcher.forget(journal, broker)
                raise self._failure(exc) from exc
            except grpc.aio.AioRpcError as exc:
                error = translate(exc, broker.endpoint)
                if isinstance(error, errors.RpcUnavailableError):
                    self._dispatcher.forget(journal, broker)
                raise self._failure(error, is_certain=is_not_committed(exc)) from exc
            finally:
                call.cancel()  # No effect on a call which has ended.
        self._is_committing = False
        self._dispatcher.learn(journal, response.header)
        outcomes.raise_for_append(response, journal)
        return response

    async def _send(self, call: "_Call") -> None:
        """Send all messages, or as many as the broker takes: its response then says why."""
        if not await _write(call, self._request):
            return
        async for chunk in self._chunks():
            self._has_content = True
            if not await _write(call, pb.AppendRequest(content=chunk)):
                return
        self._is_committing = True
        if await _write(call, pb.AppendRequest()):
            await call.done_writing()

    async def _chunks(self) -> AsyncGenerator[bytes, None]:
        self._is_begun = True
        content = self._content
        if isinstance(content, bytes | bytearray | memoryview):
            for chunk in _split(content):
                yield chunk
        elif isinstance(content, AsyncIterable):
            async for piece in content:
                for chunk in _split(piece):
                    yield chunk
        else:
            for piece in content:
                for chunk in _split(piece):
                    yield chunk

    def _failure(self, error: errors.RpcError, *, is_certain: bool = False) -> errors.RpcError:
        if _TOO_SLOW in error.detail:
            self._is_committing = False
            return errors.AppendTooSlowError(error.peer, error.code, error.detail)
        is_certain = is_certain or error.code in _CERTAIN_CODES
        # Without content there is nothing which could be in the journal, or not.
        if is_certain or not (self._is_committing and self._has_content):
            self._is_committing = False
            return error
        return errors.AppendOutcomeUnknownError(error.peer, error.code, error.detail)


_Call = grpc.aio.StreamUnaryCall[pb.AppendRequest, pb.AppendResponse]


async def _write(call: _Call, message: pb.AppendRequest) -> bool:
    """Send a message; False if the broker has ended the call."""
    try:
        await call.write(message)
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
        # The error of a failed send hides the cause, which comes with the response.
        return False
    return True


def _split(piece: bytes | bytearray | memoryview) -> Iterable[bytes]:
    """Cut into chunks; an empty piece has none (W2)."""
    if isinstance(piece, bytes) and 0 < len(piece) <= CHUNK_BYTES_MAX:
        return (piece,)
    view = memoryview(piece).cast("B")
    return (bytes(view[at : at + CHUNK_BYTES_MAX]) for at in range(0, len(view), CHUNK_BYTES_MAX))


def _is_single_pass(content: Content) -> bool:
    """Tell whether the content is an iterator, which gives its pieces only once."""
    return hasattr(content, "__next__") or hasattr(content, "__anext__")


def _result(response: pb.AppendResponse) -> AppendResult:
    return AppendResult(
        commit=convert.fragment_from_pb(response.commit),
        registers=convert.labels_from_pb(response.registers),
        header=convert.header_from_pb(response.header),
        total_chunks=response.total_chunks,
        delayed_chunks=response.delayed_chunks,
    )
