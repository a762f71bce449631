"""Keeps a lease alive from a thread of its own, with its own connection: no handler can starve it.

Invariants:
    LK1  `valid_until` is never later than the lease's end: it counts from when an answered refresh
         was sent.
    LK2  The lease is lost once etcd has said so, and then stays lost. While etcd is away it only
         stops being surely alive: nobody else lost it for us, since etcd has to be there for that.
    LK3  If the thread ends without being told to, the lease counts as lost.
"""

import asyncio
import threading
from contextlib import suppress
from typing import Any, Final

import grpc

from gazette_py.clock import Clock
from gazette_py.etcd import wire
from gazette_py.etcd.base import LeaseKeeper
from gazette_py.pb import etcd_pb2 as pb

_RETRY_SHARE: Final = 20
"""A refresh which failed is tried again after this part of the TTL."""


class _UnansweredError(Exception):
    """The stream ended before it answered."""


class ThreadLeaseKeeper(LeaseKeeper):
    """Refreshes each third of the TTL.

    Args:
        access: Where etcd is.
        lease: ID of the lease.
        ttl_s: Its time to live.
        granted_at: Monotonic time at which it was asked for, at the latest.
        clock: Whose monotonic time `valid_until` is.
    """

    def __init__(
        self, access: wire.Access, lease: int, ttl_s: int, granted_at: float, clock: Clock
    ) -> None:
        self._access = access
        self._lease = lease
        self._ttl_s = ttl_s
        self._clock = clock
        self._valid_until = granted_at + ttl_s
        self._stopping = threading.Event()
        self._pending: Any = None  # The call which the thread waits for.
        self._lost = asyncio.Event()
        self._ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name=f"lease {lease:x}", daemon=True)
        self._token = ""

    def start(self) -> None:
        """Begin to refresh."""
        self._thread.start()

    def valid_until(self) -> float:
        """Return the monotonic time until which the lease is surely alive."""
        return self._valid_until

    async def wait_lost(self) -> None:
        """Return once the lease is gone."""
        await self._lost.wait()

    async def stop(self) -> None:
        """Stop refreshing, without waiting for etcd."""
        self._stopping.set()
        if (pending := self._pending) is not None:
            pending.cancel()
        await self._ended.wait()
        self._thread.join()  # Saying that it ends was the last which it did.

    def _end(self, *, is_lost: bool) -> None:
        if is_lost:
            self._lost.set()
        self._ended.set()

    # In the thread.

    def _run(self) -> None:
        try:
            self._refresh_until_lost()
        finally:
            is_lost = not self._stopping.is_set()
            if is_lost:
                self._valid_until = 0.0
            with suppress(RuntimeError):  # The loop is closed: nobody waits.
                self._loop.call_soon_threadsafe(lambda: self._end(is_lost=is_lost))

    def _refresh_until_lost(self) -> None:
        endpoint = 0
        targets = self._access.targets()
        while not self._stopping.is_set():
            channel = self._open(*targets[endpoint % len(targets)])
            try:
                if not self._refresh_repeatedly(channel):
                    return
            finally:
                channel.close()
            endpoint += 1

    def _refresh_repeatedly(self, channel: grpc.Channel) -> bool:
        """Refresh until stopped or lost (False), or until the endpoint fails (True)."""
        while not self._stopping.is_set():
            try:
                if not self._refresh(channel):
                    return False
            except (grpc.RpcError, grpc.FutureCancelledError, _UnansweredError) as exc:
                if isinstance(exc, grpc.RpcError) and wire.is_stale_token(exc):
                    self._token = ""
                self._stopping.wait(self._ttl_s / _RETRY_SHARE)
                return True
            self._stopping.wait(self._ttl_s / 3)
        return False

    def _refresh(self, channel: grpc.Channel) -> bool:
        """Refresh once. Return False if the lease does not exist any more."""
        if self._access.user and not self._token:
            self._authenticate(channel)
        call: Any = channel.stream_stream(
            wire.LEASE_KEEP_ALIVE,
            request_serializer=pb.LeaseKeepAliveRequest.SerializeToString,
            response_deserializer=pb.LeaseKeepAliveResponse.FromString,
        )
        sent = self._clock.monotonic()
        responses = call(
            iter([pb.LeaseKeepAliveRequest(ID=self._lease)]),
            timeout=self._ttl_s / 3,
            metadata=wire.metadata(self._token),
        )
        self._await(responses)
        response = next(responses, None)
        responses.cancel()
        if response is None:
            raise _UnansweredError
        ttl_s = int(response.TTL)
        if ttl_s <= 0:
            return False
        self._valid_until = sent + ttl_s
        return True

    def _authenticate(self, channel: grpc.Channel) -> None:
        call: Any = channel.unary_unary(
            wire.AUTHENTICATE,
            request_serializer=pb.AuthenticateRequest.SerializeToString,
            response_deserializer=pb.AuthenticateResponse.FromString,
        )
        request = pb.AuthenticateRequest(name=self._access.user, password=self._access.password)
        answer = call.future(request, timeout=self._ttl_s / 3)
        self._await(answer)
        self._token = str(answer.result().token)

    def _await(self, call: Any) -> None:
        """Let `stop` cancel the call, also if it has been called just now."""
        self._pending = call
        if self._stopping.is_set():
            call.cancel()

    def _open(self, target: str, is_tls: bool) -> grpc.Channel:
        if is_tls:
            credentials = self._access.credentials()
            return grpc.secure_channel(target, credentials, options=wire.CHANNEL_OPTIONS)
        return grpc.insecure_channel(target, options=wire.CHANNEL_OPTIONS)
