"""One Replicate stream to one peer: messages out in order, replies in order.

Sends never wait: they are queued, and whoever sends content waits for `drained` in between. Each
reply answers the oldest message which asked for one, so appends need no barrier between them.

Invariants:
    PS1  Messages reach the peer in the order of `send`.
    PS2  A reply resolves the oldest future of `expect` which is unresolved.
    PS3  The first error is kept. After it nothing is sent, and every future fails with it.
"""

import asyncio
from collections import deque

import grpc.aio

from gazette_py.errors import GazetteError, RpcError, RpcUnavailableError
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.rpc.errors import translate

QUEUED_BYTES_MAX = 2 << 20
"""Unsent content of one peer above which an append waits. Two of our largest messages."""

Call = grpc.aio.StreamStreamCall[pb.ReplicateRequest, pb.ReplicateResponse]


class PeerStream:
    """Sends to, and receives from, one peer. `run` does the work, in the replica's task group."""

    def __init__(self, peer: str, call: Call) -> None:
        self.peer = peer
        self.error: GazetteError | None = None
        self._call = call
        self._queue: deque[pb.ReplicateRequest | None] = deque()
        self._queued_bytes = 0
        self._expected: deque[asyncio.Future[pb.ReplicateResponse]] = deque()
        self._has_work = asyncio.Event()
        self._is_drained = asyncio.Event()
        self._has_ended = asyncio.Event()
        self._is_drained.set()

    def send(self, message: pb.ReplicateRequest) -> None:
        """Queue a message, unless the stream is broken."""
        if self.error is not None:
            return
        self._queue.append(message)
        self._queued_bytes += len(message.content)
        if self._queued_bytes > QUEUED_BYTES_MAX:
            self._is_drained.clear()
        self._has_work.set()

    def expect(self) -> "asyncio.Future[pb.ReplicateResponse]":
        """Return the reply to the message just sent."""
        reply: asyncio.Future[pb.ReplicateResponse] = asyncio.get_running_loop().create_future()
        if self.error is not None:
            _fail(reply, self.error)
        else:
            self._expected.append(reply)
        return reply

    def half_close(self) -> None:
        """Send nothing after what is queued."""
        self._queue.append(None)
        self._has_work.set()

    async def wait_drained(self) -> None:
        """Wait until little is queued, or the stream is broken."""
        await self._is_drained.wait()

    async def wait_ended(self, timeout_s: float) -> None:
        """Wait for the peer to end the stream; break it off after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._has_ended.wait()
        except TimeoutError:
            # UNAVAILABLE: an append which it still owes a reply has an unknown outcome.
            detail = f"did not end its stream within {timeout_s:.0f} s"
            self.break_off(RpcUnavailableError(self.peer, "UNAVAILABLE", detail))

    def break_off(self, error: GazetteError) -> None:
        """Take the stream for broken, and end the call."""
        self._fail_all(error)
        self._call.cancel()

    async def run(self) -> None:
        """Move messages until the peer ends the stream, or it breaks."""
        writer = asyncio.create_task(self._write())  # Ends with the reader, below.
        try:
            await self._read()
        finally:
            writer.cancel()
            if self.error is None:
                self._fail_all(RpcUnavailableError(self.peer, "UNAVAILABLE", "stream has ended"))
            self._call.cancel()
            self._has_ended.set()

    async def _write(self) -> None:
        try:
            while True:
                while not self._queue:
                    self._has_work.clear()
                    await self._has_work.wait()
                message = self._queue.popleft()
                if message is None:
                    await self._call.done_writing()
                    return
                await self._call.write(message)
                self._queued_bytes -= len(message.content)
                if self._queued_bytes <= QUEUED_BYTES_MAX:
                    self._is_drained.set()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            # The reader learns the cause from the status of the stream.
            self._is_drained.set()

    async def _read(self) -> None:
        try:
            while (reply := await self._call.read()) is not grpc.aio.EOF:
                if not isinstance(reply, pb.ReplicateResponse):
                    detail = "sent a reply which cannot be decoded"
                    self._fail_all(RpcError(self.peer, "INTERNAL", detail))
                    return
                if not self._expected:
                    detail = "sent a reply which nothing asked for"
                    self._fail_all(RpcError(self.peer, "INTERNAL", detail))
                    return
                future = self._expected.popleft()
                if not future.done():
                    future.set_result(reply)
            self._fail_all(RpcUnavailableError(self.peer, "UNAVAILABLE", "unexpected EOF"))
        except grpc.aio.AioRpcError as exc:
            self._fail_all(translate(exc, self.peer))

    def _fail_all(self, error: GazetteError) -> None:
        if self.error is None:
            self.error = error
        while self._expected:
            _fail(self._expected.popleft(), self.error)
        self._is_drained.set()


def _fail(future: "asyncio.Future[pb.ReplicateResponse]", error: GazetteError) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # Marked as seen: an append which has ended need not look.
