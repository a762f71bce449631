"""Reads a journal's content through broker changes, deletions and stored fragments.

What comes from where is decided by `core.read_plan`: history straight from the store, several
fragments ahead, and the rest from a broker. Here its steps are performed, and failures are retried.

Invariants:
    R1  `offset` is always that of the next byte to hand out, also after an error or cancellation:
        reading on continues there.
    R2  Content is handed out in order, without gaps but those announced by an `OffsetJumpError`.
    R3  A fragment whose file we cannot fetch is read through its broker instead.
    R4  A read from the write head begins at the head as it was first told, whatever fails later.
    R5  A broker which is silent, as it sleeps or was cut off, is left for another.

Which outcomes end a read:
    a status which time does not mend, a violation of the protocol, a corrupt fragment   raised
    journal not found, four times running (a new one may not have propagated)            raised
    the write head, if not `block`                                                       ends
    end of the stream                                                                    go on
    all else                                                                     back off, go on

Units: offsets are journal byte offsets.
Source: gazette/core broker/client/reader.go, retry_reader.go. Unlike there, an offset of -1 is
resolved without an error and once only, and an end of stream before any answer backs off.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Self

import grpc

from gazette_py import errors
from gazette_py.client import outcomes
from gazette_py.client.backoff import backoff_s
from gazette_py.client.batches import Batch, Batches, Lines
from gazette_py.client.direct import Continuation
from gazette_py.client.dispatch import Dispatcher
from gazette_py.client.history import FETCHES_MAX, History, OpenURL
from gazette_py.clock import Clock
from gazette_py.core.read_plan import ReadPlan, Source, StoredFragment
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.protocol import convert
from gazette_py.protocol.claims import Capability
from gazette_py.protocol.fragment import Fragment
from gazette_py.rpc.errors import translate

log = logging.getLogger(__name__)

_NOT_FOUND_ATTEMPTS = 4

_RETRIED_CODES = {"UNKNOWN", "INTERNAL", "CANCELLED", "ABORTED"}
"""Beside those of retryable errors. Brokers answer with UNKNOWN where a store fails them."""

PROBE_AFTER_S = 20.0
"""A broker which sends nothing for so long is probed. A reader who waits at the write head hears
nothing from a good one, either, and there may be many of them."""

BATCH_BYTES_MAX = 4 << 20
"""Of a batch, unless the caller says otherwise: it is split and parsed in milliseconds."""

LINE_BYTES_MAX = 16 << 20

ListStored = Callable[[int], Awaitable[Sequence[StoredFragment]]]
"""Lists some stored fragments which begin at an offset or after it."""


@dataclass(frozen=True, slots=True)
class Access:
    """How a reader reaches the store."""

    list_stored: ListStored
    open_url: OpenURL
    executor: Executor
    budget_bytes: int
    listing_s_max: float  # How long URLs of a listing are used.


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderHealth:
    """Where a reader is, and how it goes."""

    journal: str
    offset: int  # Of the next byte; -1 until a read from the write head is answered.
    write_head: int  # As a broker last told; -1 until one did. It is not asked for by itself.
    source: Source  # Of the next byte. PROXY: a broker reads the store for us.
    endpoint: str  # Of the broker which was asked last; empty before.
    buffered_bytes: int  # Fetched ahead.
    open_fetches: int  # Files which are being fetched.
    last_error: errors.GazetteError | None  # Also of those which were mended by trying again.
    failing_s: float  # For how long there were only errors; 0: it goes well.

    @property
    def lag_bytes(self) -> int | None:
        """Return how far the write head is ahead, as it was last told; None while unknown."""
        return _lag_bytes(self.write_head, self.offset)


class Reader:
    """Reads a journal. Iterate over its `batches` or `lines`, within `async with`.

    Attributes:
        journal: Its name.
        write_head: End of the journal's content as a broker last told; -1 until it did.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        clock: Clock,
        request: pb.ReadRequest,
        *,
        access: Access,
        timeout_s: float | None,
    ) -> None:
        self.journal = request.journal
        self.write_head = -1
        self._dispatcher = dispatcher
        self._clock = clock
        self._request = request
        self._access = access
        self._timeout_s = timeout_s
        self._plan = ReadPlan(
            request.journal,
            request.offset,
            request.end_offset,
            budget_bytes=access.budget_bytes,
            fetches_max=FETCHES_MAX,
        )
        self._history = History(
            self._plan,
            open_url=access.open_url,
            executor=access.executor,
            counts=dispatcher.counts,
        )
        self._fragment: Fragment | None = None  # Of the broker's content.
        self._continuation: Continuation | None = None
        self._listed_at = 0.0
        self._attempt = 0  # Failed ones in a row; -1 after one which gave content.
        self._is_answered = False
        self._failing_since: float | None = None
        self._last_error: errors.GazetteError | None = None
        self._store_error: errors.StoreError | None = None  # Since the last content.
        self._endpoint = ""
        self._jump: errors.OffsetJumpError | None = None
        self._is_done = False
        self._is_waiting = False  # For the call.
        self._has_ended = False  # The call, cleanly.
        self._found: StoredFragment | None = None  # By the call, as it ended.
        self._stream: AsyncGenerator[memoryview, None] | None = None
        self._counts = dispatcher.counts
        self._counts.readers[id(self)] = self

    @property
    def lag_bytes(self) -> int | None:
        """How far the write head is ahead, as it was last told; None while unknown."""
        return _lag_bytes(self.write_head, self.offset)

    @property
    def offset(self) -> int:
        """Offset of the next byte; -1 until a read from the write head is answered."""
        return self._plan.offset

    def batches(self, bytes_max: int = BATCH_BYTES_MAX) -> Batches:
        """Return an asynchronous iterator over content. Any number of them take turns.

        Its errors are those of `next_batch`. After an `OffsetJumpError`, iterate on to accept it.
        """
        return Batches(lambda: self.next_batch(bytes_max))

    def lines(
        self, bytes_max: int = BATCH_BYTES_MAX, line_bytes_max: int = LINE_BYTES_MAX
    ) -> Lines:
        """Return an asynchronous iterator over lines, in batches: the only one of a reader.

        It holds what was read of a line which is not complete. To go on by another reader, begin
        where a batch ended. Its errors are those of `next_batch`, and `ReadError` of a line which
        is longer than allowed.
        """
        return Lines(self.journal, lambda: self.next_batch(bytes_max), line_bytes_max)

    async def next_batch(self, bytes_max: int = BATCH_BYTES_MAX) -> Batch | None:
        """Return what comes next and is ready, up to a bound; None at the end.

        Raises:
            OffsetJumpError: Content before `offset`, which has moved on, is gone. Read on to accept
                that.
            OffsetNotYetAvailableError: The write head lies before `end_offset`, and the read does
                not block.
            JournalError: A status which ends the read.
            CorruptFragmentError: A stored fragment is damaged. Nothing of it is handed out from
                where the damage was found on.
            StoreError: Neither we nor a broker could read a fragment within the time allowed.
            RpcError: No broker could be asked within the time allowed.
        """
        while not self._is_done:
            if self._plan.is_done:
                await self.aclose()
                break
            batch = await self._next(bytes_max)
            if self._jump is not None:
                jump, self._jump = self._jump, None
                raise jump
            if batch is not None:
                return batch
        return None

    def health(self) -> ReaderHealth:
        """Return where the reader is, and how it goes. It asks nobody."""
        since = self._failing_since
        return ReaderHealth(
            journal=self.journal,
            offset=self.offset,
            write_head=self.write_head,
            source=self._plan.source,
            endpoint=self._endpoint,
            buffered_bytes=self._plan.buffered_bytes,
            open_fetches=self._plan.open_fetches,
            last_error=self._last_error,
            failing_s=0.0 if since is None else self._clock.monotonic() - since,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the read, its call and its fetches."""
        self._is_done = True
        self._counts.readers.pop(id(self), None)
        # Another task may be waiting for content: its call ends when its connection is closed.
        if self._stream is not None and not self._is_waiting:
            await self._stream.aclose()
            self._stream = None
        await self._history.aclose()

    async def _next(self, bytes_max: int) -> Batch | None:
        """Return content, or nothing where metadata, a restart or the end came instead."""
        try:
            async with asyncio.timeout(self._timeout_s):
                batch = await self._step(bytes_max)
        except errors.GazetteError as exc:
            self._stream = None
            await self._failed(exc)
            return None
        except TimeoutError as exc:
            self._stream = None
            raise errors.RpcDeadlineError(
                self.journal, "DEADLINE_EXCEEDED", f"no content in {self._timeout_s} s"
            ) from exc
        except asyncio.CancelledError:
            self._stream = None  # It ended with us; the next call begins at `offset` (R1).
            raise
        if self._has_ended:
            self._has_ended = False
            await self._ended()
        if batch is not None:  # Metadata alone is no progress: its content may fail again.
            self._attempt, self._failing_since, self._store_error = -1, None, None
        return batch

    async def _step(self, bytes_max: int) -> Batch | None:
        """Ask whoever has the next byte."""
        match self._plan.source:
            case Source.STORE:
                return await self._from_store(bytes_max)
            case Source.LISTING:
                await self._list()
                return None
            case Source.BROKER | Source.PROXY:
                return await self._from_broker()

    async def _from_store(self, bytes_max: int) -> Batch | None:
        if self._clock.monotonic() - self._listed_at > self._access.listing_s_max:
            self._plan.expired()
        begin = self.offset
        pieces, fragment = await self._history.batch(bytes_max)
        if not pieces:
            return None
        self._counts.read_bytes["store"] += self.offset - begin
        return Batch(begin=begin, pieces=tuple(pieces), fragment=fragment)

    async def _list(self) -> None:
        """List what may be fetched. Without it there is still what the broker told of."""
        try:
            stored = await self._access.list_stored(self._plan.listing_begin)
        except errors.GazetteError as exc:
            self._last_error = exc
            stored = ()
        self._plan.listed(stored)

    async def _from_broker(self) -> Batch | None:
        if self._stream is None:
            self._stream = self._call()
        self._is_waiting = True
        try:
            content = await anext(self._stream)
        except StopAsyncIteration:
            self._stream = None
            self._has_ended = True
            return None
        finally:
            self._is_waiting = False
        self._is_answered = True
        if not content:
            return None
        begin = self.offset
        source = "proxy" if self._plan.source is Source.PROXY else "broker"
        await self._confirm(begin, content)
        self._plan.handed_out(len(content))
        self._counts.read_bytes[source] += len(content)
        return Batch(begin=begin, pieces=(content,), fragment=self._fragment)

    async def _confirm(self, begin: int, content: memoryview) -> None:
        """Compare a fragment which the store gave a part of, before its last byte is handed out."""
        continuation, self._continuation = self._continuation, None
        if continuation is None:
            return
        try:
            if continuation.take(begin, content):
                self._continuation = continuation
        except errors.CorruptFragmentError:
            assert self._stream is not None, "content came from it"
            await self._stream.aclose()
            raise

    async def _ended(self) -> None:
        """Handle a clean end of stream: brokers change, tokens expire, a file has the rest."""
        found, self._found = self._found, None
        if found is not None:
            self._listed_at = self._clock.monotonic()
            self._plan.broker_found(found)
            return
        self._plan.broker_ended()
        if self._request.metadata_only and self._is_answered:
            self._is_done = True
        elif not self._plan.is_done:
            await self._back_off()

    async def _failed(self, exc: errors.GazetteError) -> None:
        """Raise what ends the read; else wait."""
        if isinstance(exc, errors.CorruptFragmentError):
            self._counts.corrupt_fragments += 1
        if isinstance(exc, errors.StoreError):
            # The plan knows who else may have the content.
            self._last_error = self._store_error = exc
            self._continuation = self._history.continuation
            log.warning("asking_a_broker journal=%s offset=%d: %s", self.journal, self.offset, exc)
            return
        self._plan.broker_ended()
        if isinstance(exc, errors.OffsetNotYetAvailableError):
            if not self._request.block:
                self._is_done = True
                if self._request.end_offset:
                    raise exc
                return
        elif isinstance(exc, errors.JournalNotFoundError):
            if self._attempt + 1 >= _NOT_FOUND_ATTEMPTS:
                raise exc
        elif not (exc.retryable or getattr(exc, "code", "") in _RETRIED_CODES):
            raise exc
        await self._retry(exc)

    async def _retry(self, exc: errors.GazetteError) -> None:
        """Back off, unless time is over."""
        now = self._clock.monotonic()
        self._failing_since = now if self._failing_since is None else self._failing_since
        if self._timeout_s is not None and now - self._failing_since >= self._timeout_s:
            if self._store_error is not None:
                # What failed first, and names the file: the broker failed us over the same.
                raise self._store_error from exc
            raise exc
        self._last_error = exc
        await self._back_off()

    async def _back_off(self) -> None:
        delay_s = backoff_s(self._attempt)
        self._attempt += 1
        if self._attempt > 0:
            self._counts.retries["read"] += 1
        if delay_s:
            await self._clock.sleep(delay_s)

    async def _call(self) -> AsyncGenerator[memoryview, None]:
        """Yield the content of one call, and nothing for each metadata message."""
        request = pb.ReadRequest()
        request.CopyFrom(self._request)
        request.offset = self.offset
        request.do_not_proxy = self._dispatcher.has_routes and self._plan.source is not Source.PROXY
        if self._plan.until:
            until = self._plan.until
            request.end_offset = min(until, request.end_offset or until)
        is_seeking = request.block and request.offset == -1
        if is_seeking:  # R4: only to learn where that is.
            request.block, request.metadata_only = False, True
        last: pb.ReadResponse | None = None
        async with self._dispatcher.borrow(self.journal) as broker:
            self._endpoint = broker.endpoint
            call = broker.stub.Read(
                request, metadata=broker.tokens.for_journal(Capability.READ, self.journal)
            )
            try:
                messages = aiter(call)
                while True:
                    async with self._dispatcher.while_alive(broker, PROBE_AFTER_S):
                        response = await anext(messages, None)
                    if response is None:
                        break
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
        if is_seeking and last.status == pb.OFFSET_NOT_YET_AVAILABLE:
            self._attempt = -1  # As it should be.
            return
        outcomes.raise_for_read(last, self.journal)
        if last.fragment_url and request.do_not_proxy and not request.metadata_only:
            assert self._fragment is not None, "a URL comes with its fragment"
            self._found = StoredFragment(self._fragment, last.fragment_url)

    def _on_response(self, response: pb.ReadResponse) -> memoryview:
        """Take a message's metadata, or return its content."""
        if response.HasField("header"):
            self._dispatcher.learn(self.journal, response.header)
        if response.status == pb.OFFSET_NOT_YET_AVAILABLE:
            self.write_head = response.write_head
            self._move_to(max(self.offset, response.offset))
        if response.status != pb.OK:
            return memoryview(b"")  # The stream is about to end; then it is raised.
        if response.content and response.offset != self.offset:
            raise errors.ReadError(
                self.journal, self.offset, f"the broker sent content of offset {response.offset}"
            )
        if not response.content:
            self.write_head = response.write_head
            self._fragment = None
            if response.HasField("fragment"):
                self._fragment = convert.fragment_from_pb(response.fragment)
        self._move_to(response.offset)
        return memoryview(response.content)

    def _move_to(self, offset: int) -> None:
        before = self.offset
        if self._plan.broker_moved(offset):
            self._jump = errors.OffsetJumpError(self.journal, before, offset)
            self._counts.jumps += 1
            self._counts.jumped_bytes += offset - before


def _lag_bytes(write_head: int, offset: int) -> int | None:
    return None if write_head < 0 or offset < 0 else max(0, write_head - offset)
