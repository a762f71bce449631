"""One watch on one stream: its requests, and its responses joined to whole revisions.

Invariants:
    WS1  Only the stream's own task writes. grpc.aio ends a call when one of its writes is
         cancelled, so a caller who gives up waiting for progress must not be the one who writes.
    WS2  Parts of a revision are delivered together, or, if the stream ends between them, not.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final

import grpc.aio

from gazette_py.errors import EtcdCompactedError, EtcdError
from gazette_py.etcd import messages
from gazette_py.etcd.base import Event, WatchBatch
from gazette_py.pb import etcd_pb2 as pb

_TRANSIENT_REASONS: Final = ("no leader", "invalid auth token", "auth store is old")


class WatchInterruptedError(Exception):
    """etcd has ended the watch for a reason which another stream may mend."""


class WatchStream:
    """One watch on one stream.

    Args:
        call: The stream, unused.
        address: Named in errors.
    """

    def __init__(self, call: Any, address: str) -> None:
        self._call = call
        self._address = address
        self._created = asyncio.Event()
        self._progress_wanted = asyncio.Event()

    def request_progress(self) -> None:
        """Ask for progress, as soon as the watch exists. Requests not yet sent are joined."""
        self._progress_wanted.set()

    def cancel(self) -> None:
        """End the stream. Who reads it looks cancelled."""
        self._call.cancel()

    async def batches(self, prefix: bytes, revision: int) -> AsyncGenerator[WatchBatch, None]:
        """Yield batches from `revision` on, until the stream ends. Closing ends it.

        Raises:
            EtcdCompactedError: The revision is compacted.
            EtcdError: etcd refuses the watch.
            WatchInterruptedError: etcd ended the watch; another one may go on.
            grpc.aio.AioRpcError: The stream broke.
        """
        writer = asyncio.create_task(  # Ended below.
            self._write(prefix, revision), name="etcd watch requests"
        )
        try:
            async with (
                aclosing(aiter(self._call)) as responses,
                aclosing(self._join(responses)) as batches,
            ):
                async for batch in batches:
                    yield batch
        finally:
            self._call.cancel()
            writer.cancel()
            await asyncio.wait([writer])

    async def _join(self, responses: Any) -> AsyncGenerator[WatchBatch, None]:
        parts: list[Event] = []
        async for response in responses:
            if response.canceled:
                raise self._canceled(response)
            if response.created:
                self._created.set()
                continue
            parts += [messages.event_of(event) for event in response.events]
            if response.fragment:
                continue  # More of the same revision follows.
            yield WatchBatch(messages.header_of(response.header), tuple(parts))
            parts = []

    async def _write(self, prefix: bytes, revision: int) -> None:
        key, end = messages.key_range(prefix)
        create = pb.WatchCreateRequest(
            key=key, range_end=end, start_revision=revision, progress_notify=True, fragment=True
        )
        try:
            await self._call.write(pb.WatchRequest(create_request=create))
            await self._created.wait()  # etcd answers for watches which exist.
            while True:
                await self._progress_wanted.wait()
                self._progress_wanted.clear()
                request = pb.WatchRequest(progress_request=pb.WatchProgressRequest())
                await self._call.write(request)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return  # Reading tells why the stream has ended.

    def _canceled(self, response: pb.WatchResponse) -> Exception:
        if response.compact_revision:
            return EtcdCompactedError(
                f"etcd {self._address}: compacted up to revision {response.compact_revision}"
            )
        reason = response.cancel_reason
        if any(text in reason for text in _TRANSIENT_REASONS):
            return WatchInterruptedError(reason)
        return EtcdError(f"etcd {self._address}: watch refused: {reason}")
