"""Reads a journal's content through broker changes, deletions and stored fragments.

Invariants:
    R1  `offset` is always that of the next byte to hand out, also after an error or cancellation:
        iterating on continues there.
    R2  Content is handed out in order, without gaps but those announced by an `OffsetJumpError`.
    R3  A fragment whose file we cannot fetch is read through its broker instead.

Which outcomes end a read:
    a status which time does not mend, a violation of the protocol, a corrupt fragment   raised
    journal not found, four times running (a new one may not have propagated)            raised
    the write head, if not `block`                                                       ends
    end of the stream                                                                    go on
    all else                                                                     back off, go on

Units: offsets are journal byte offsets.
Source: gazette/core broker/client/reader.go, retry_reader.go. Unlike there, an offset of -1 is
resolved without an error, and an end of stream before any answer backs off.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import Executor
from contextlib import aclosing
from typing import Self

import grpc

from gazette_py import errors
from gazette_py.client import outcomes
from gazette_py.client.backoff import backoff_s
from gazette_py.client.direct import read_fragment
from gazette_py.client.dispatch import Dispatcher
from gazette_py.clock import Clock
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.protocol import convert
from gazette_py.protocol.claims import Capability
from gazette_py.protocol.fragment import Fragment
from gazette_py.rpc.errors import translate
from gazette_py.stores.base import ObjectStream

_NOT_FOUND_ATTEMPTS = 4

_RETRIED_CODES = {"UNKNOWN", "INTERNAL", "CANCELLED", "ABORTED"}
"""Beside those of retryable errors. Brokers answer with UNKNOWN where a store fails them."""

OpenURL = Callable[[str], Awaitable[ObjectStream]]
"""Opens the file of a fragment by its signed URL."""


class Reader:
    """Asynchronous iterator over a journal's content, in pieces of any size.

    Attributes:
        journal: Its name.
        offset: Journal offset of the next byte; -1 until a read from the write head is answered.
        write_head: End of the journal's content as the broker last told; -1 until it did.
        fragment: The fragment which holds the content last returned, as it was at the time.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        clock: Clock,
        request: pb.ReadRequest,
        *,
        open_url: OpenURL,
        executor: Executor,
        timeout_s: float | None,
    ) -> None:
        self.journal = request.journal
        self.offset = request.offset
        self.write_head = -1
        self.fragment: Fragment | None = None
        self._dispatcher = dispatcher
        self._clock = clock
        self._request = request
        self._open_url = open_url
        self._executor = executor
        self._timeout_s = timeout_s
        self._attempt = 0  # Failed ones in a row; -1 after one which gave content.
        self._is_answered = False
        self._failing_since: float | None = None
        self._must_proxy = False  # The next call (R3).
        self._jump: errors.OffsetJumpError | None = None
        self._is_done = False
        self._stream: AsyncGenerator[bytes, None] | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """Return the next content, never empty.

        Raises:
            OffsetJumpError: Content before `offset`, which has moved on, is gone. Iterate on to
                accept that.
            OffsetNotYetAvailableError: The write head lies before `end_offset`, and the read does
                not block.
            JournalError: A status which ends the read.
            CorruptFragmentError: A stored fragment is damaged.
            RpcError: No broker could be asked within the time allowed.
        """
        while not self._is_done:
            if 0 < self._request.end_offset <= self.offset:
                await self.aclose()
                break
            chunk = await self._next()
            if self._jump is not None:
                jump, self._jump = self._jump, None
                raise jump
            if chunk:
                return chunk
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the read and its call."""
        self._is_done = True
        await self._hang_up()

    async def _next(self) -> bytes:
        """Return content, or nothing where metadata, a restart or the end came instead."""
        if self._stream is None:
            self._stream = self._call()
        try:
            async with asyncio.timeout(self._timeout_s):
                chunk = await anext(self._stream)
        except StopAsyncIteration:
            self._stream = None
            await self._ended()
            return b""
        except errors.GazetteError as exc:
            self._stream = None
            await self._failed(exc)
            return b""
        except TimeoutError as exc:
            self._stream = None
            raise errors.RpcDeadlineError(
                self.journal, "DEADLINE_EXCEEDED", f"no content in {self._timeout_s} s"
            ) from exc
        except asyncio.CancelledError:
            self._stream = None  # It ended with us; the next call begins at `offset` (R1).
            raise
        self._is_answered = True
        if chunk:  # Metadata alone is no progress: its content may fail again and again.
            self._attempt, self._failing_since = -1, None
        return chunk

    async def _ended(self) -> None:
        """Handle a clean end of stream: brokers change, tokens expire, a fragment is done."""
        if self._request.metadata_only and self._is_answered:
            self._is_done = True
        else:
            await self._back_off()

    async def _failed(self, exc: errors.GazetteError) -> None:
        """Raise what ends the read; else wait."""
        if isinstance(exc, errors.OffsetNotYetAvailableError):
            if not self._request.block:
                self._is_done = True
                if self._request.end_offset:
                    raise exc
                return
        elif isinstance(exc, errors.StoreError):
            self._must_proxy = True
        elif isinstance(exc, errors.JournalNotFoundError):
            if self._attempt + 1 >= _NOT_FOUND_ATTEMPTS:
                raise exc
        elif not (exc.retryable or getattr(exc, "code", "") in _RETRIED_CODES):
            raise exc
        if self._timeout_s is not None:
            now = self._clock.monotonic()
            self._failing_since = now if self._failing_since is None else self._failing_since
            if now - self._failing_since >= self._timeout_s:
                raise exc
        await self._back_off()

    async def _back_off(self) -> None:
        delay_s = backoff_s(self._attempt)
        self._attempt += 1
        if delay_s:
            await self._clock.sleep(delay_s)

    async def _hang_up(self) -> None:
        if self._stream is not None:
            await self._stream.aclose()
            self._stream = None

    async def _call(self) -> AsyncGenerator[bytes, None]:
        """Yield the content of one call, and nothing (b"") for each metadata message."""
        request = pb.ReadRequest()
        request.CopyFrom(self._request)
        request.offset = self.offset
        request.do_not_proxy = self._dispatcher.has_routes and not self._must_proxy
        self._must_proxy = False
        last: pb.ReadResponse | None = None
        async with self._dispatcher.borrow(self.journal) as broker:
            call = broker.stub.Read(
                request, metadata=broker.tokens.for_journal(Capability.READ, self.journal)
            )
            try:
                async for response in call:
                    last = response
                    yield self._on_response(response)
            except grpc.aio.AioRpcError as exc:
                error = translate(exc, broker.endpoint)
                if isinstance(error, errors.RpcUnavailableError):
                    self._dispatcher.forget(self.journal, broker)
                raise error from exc
            finally:
                call.cancel()  # No effect on a call which has ended.
        if last is None:
            return
        outcomes.raise_for_read(last, self.journal)
        if last.fragment_url and request.do_not_proxy and not request.metadata_only:
            async with aclosing(self._direct(last.fragment_url)) as chunks:
                async for chunk in chunks:
                    yield chunk

    def _on_response(self, response: pb.ReadResponse) -> bytes:
        """Take a message's metadata, or return its content."""
        if response.HasField("header"):
            self._dispatcher.learn(self.journal, response.header)
        if response.status == pb.OFFSET_NOT_YET_AVAILABLE:
            self.write_head = response.write_head
            self.offset = max(self.offset, response.offset)
        if response.status != pb.OK:
            return b""  # The stream is about to end; then it is raised.
        if response.content and response.offset != self.offset:
            raise errors.ReadError(
                self.journal, self.offset, f"the broker sent content of offset {response.offset}"
            )
        if not response.content:
            self.write_head = response.write_head
            self.fragment = None
            if response.HasField("fragment"):
                self.fragment = convert.fragment_from_pb(response.fragment)
        self._move_to(response.offset)
        self.offset += len(response.content)
        return response.content

    def _move_to(self, offset: int) -> None:
        """Follow the broker's offset, and note a jump."""
        if offset < self.offset:
            raise errors.ReadError(
                self.journal, self.offset, f"the broker answered from before, offset {offset}"
            )
        if offset > self.offset >= 0:
            self._jump = errors.OffsetJumpError(self.journal, self.offset, offset)
        self.offset = offset

    async def _direct(self, url: str) -> AsyncGenerator[bytes, None]:
        """Yield the rest of the fragment, from its file."""
        assert self.fragment is not None, "a URL comes with its fragment"
        stream = await self._open_url(url)
        position = self.fragment.begin
        until = self._request.end_offset or self.fragment.end
        async with aclosing(read_fragment(self.fragment, stream, self._executor)) as pieces:
            async for piece in pieces:
                chunk = piece[max(0, self.offset - position) : until - position]
                position += len(piece)
                self.offset += len(chunk)
                if chunk:
                    yield chunk
                if self.offset >= until < self.fragment.end:
                    return
