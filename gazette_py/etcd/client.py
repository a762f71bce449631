"""Our client of etcd, over grpc.aio.

Invariants:
    EC1  A transaction is sent once. If its answer is lost, whether it was made is not known.
    EC2  A watch delivers whole revisions, each once, in order, whatever happens to its stream.
    EC3  Progress is delivered after every event up to its revision. Servers before 3.4.25 and 3.5.8
         break this for a watch which has just begun (hence `_CATCHING_UP_S`), and rarely later; who
         waits for a revision then looks a moment too early.
    EC4  Who is cancelled here was cancelled by its owner: `close` is an error to those who wait.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Any, Final, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message

from gazette_py.clock import SYSTEM, Clock
from gazette_py.errors import EtcdLeaseLostError, EtcdUnavailableError
from gazette_py.etcd import messages, wire
from gazette_py.etcd.base import (
    Compare,
    Etcd,
    KeyValue,
    LeaseKeeper,
    Op,
    RangeResult,
    ResponseHeader,
    TxnResult,
    WatchBatch,
)
from gazette_py.etcd.lease import ThreadLeaseKeeper
from gazette_py.etcd.watch import WatchInterruptedError, WatchStream
from gazette_py.pb import etcd_pb2 as pb
from gazette_py.telemetry.log import get_logger

log = get_logger(__name__)

M = TypeVar("M", bound=Message)

_PAGE_KEYS: Final = 2000
_CALL_TIMEOUT_S: Final = 10.0
_CATCHING_UP_S: Final = 0.3
"""For how long after the start of a watch progress is not believed: old servers (EC3) count events
which they have yet to send to a watch that is behind. They bring it up to date each 0.1 s."""

_WATCH_BACKOFF_S: Final = (0.0, 0.0, 0.005, 2.0, 3.0, 4.0, 5.0)
_FINAL_CODES: Final = (
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.UNIMPLEMENTED,
)
"""Of a watch's stream: another one would end alike."""


async def connect(
    address: str,
    *,
    user: str = "",
    password: str = "",
    cert_file: str = "",
    key_file: str = "",
    ca_file: str = "",
    timeout_s: float = _CALL_TIMEOUT_S,
    clock: Clock = SYSTEM,
) -> "EtcdClient":
    """Return a client which has reached etcd once.

    Args:
        address: Comma-separated http://, https:// or unix:// endpoints of one etcd.
        user: For password authentication; "" for none.
        password: Of the user.
        cert_file: Client certificate, of https endpoints.
        key_file: Its key.
        ca_file: Who signed etcd's certificates; "" for the system's authorities.
        timeout_s: Of each call.
        clock: Times back-off and leases.

    Raises:
        ConfigError: An endpoint is no URL, or a file cannot be read.
        EtcdError: etcd cannot be reached, or refuses us.
    """
    access = wire.Access(
        endpoints=tuple(part.strip() for part in address.split(",")),
        user=user,
        password=password,
        cert_file=cert_file,
        key_file=key_file,
        ca_file=ca_file,
    )
    client = EtcdClient(access, timeout_s=timeout_s, clock=clock)
    try:
        await client.txn([], [])
    except BaseException:
        await client.close()
        raise
    return client


class EtcdClient(Etcd):
    """Calls one of the endpoints, and the next one when that fails. See `connect`."""

    def __init__(self, access: wire.Access, *, timeout_s: float, clock: Clock) -> None:
        self._access = access
        self._timeout_s = timeout_s
        self._clock = clock
        targets = access.targets()
        credentials = access.credentials() if any(is_tls for _, is_tls in targets) else None
        self._channels = [_open(target, credentials if tls else None) for target, tls in targets]
        self._current = 0
        self._token = ""
        self._watches: set[WatchStream] = set()
        self._calls: set[Any] = set()  # Under way, other than watches.
        self._granted_at: dict[int, float] = {}  # Monotonic, by lease.

    async def range_prefix(
        self, prefix: bytes, revision: int = 0, *, keys_only: bool = False
    ) -> RangeResult:
        """Return all keys which begin with `prefix`."""
        key, end = messages.key_range(prefix)
        kvs: list[KeyValue] = []
        header: ResponseHeader | None = None
        while True:
            request = pb.RangeRequest(
                key=key,
                range_end=end,
                limit=_PAGE_KEYS,
                revision=revision,
                keys_only=keys_only,
            )
            page = await self._call(wire.RANGE, request, pb.RangeResponse)
            kvs += [messages.key_value(kv) for kv in page.kvs]
            header = header or messages.header_of(page.header)
            revision = revision or page.header.revision  # All pages are of one revision.
            if not page.more:
                return RangeResult(header, tuple(kvs))
            key = page.kvs[-1].key + b"\0"

    async def txn(
        self, compares: Sequence[Compare], success: Sequence[Op], failure: Sequence[Op] = ()
    ) -> TxnResult:
        """Apply `success` if all compares hold, else `failure`."""
        request = pb.TxnRequest(
            compare=[messages.compare_message(compare) for compare in compares],
            success=[messages.op_message(op) for op in success],
            failure=[messages.op_message(op) for op in failure],
        )
        is_read = not success and not failure
        response = await self._call(wire.TXN, request, pb.TxnResponse, may_repeat=is_read)
        return TxnResult(response.succeeded, messages.header_of(response.header))

    async def grant_lease(self, ttl_s: int) -> int:
        """Return the ID of a new lease."""
        sent = self._clock.monotonic()
        response = await self._call(
            wire.LEASE_GRANT, pb.LeaseGrantRequest(TTL=ttl_s), pb.LeaseGrantResponse
        )
        self._granted_at[response.ID] = sent
        return response.ID

    async def revoke_lease(self, lease: int) -> None:
        """End a lease now. One which has ended already is no error."""
        self._granted_at.pop(lease, None)
        try:
            await self._call(
                wire.LEASE_REVOKE, pb.LeaseRevokeRequest(ID=lease), pb.LeaseRevokeResponse
            )
        except EtcdLeaseLostError:
            return

    def keep_alive(self, lease: int, ttl_s: int) -> LeaseKeeper:
        """Start to refresh a lease in a thread of its own."""
        # Of a lease which we did not ask for we know nothing before the first answer.
        granted_at = self._granted_at.pop(lease, self._clock.monotonic() - ttl_s)
        keeper = ThreadLeaseKeeper(self._access, lease, ttl_s, granted_at, self._clock)
        keeper.start()
        return keeper

    async def request_progress(self) -> None:
        """Ask for a progress notification on the open watches soon."""
        for watch in self._watches:
            watch.request_progress()

    async def close(self) -> None:
        """Release the connections. Calls and watches which are under way fail."""
        # Not every gRPC finds all calls of a channel which it closes.
        for call in (*self._calls, *self._watches):
            call.cancel()
        for channel in self._channels:
            await channel.close()

    # Calls.

    async def _call(
        self, method: str, request: Message, kind: type[M], *, may_repeat: bool = True
    ) -> M:
        tries = len(self._channels) if may_repeat else 1
        while True:
            endpoint = self._current
            try:
                return await self._call_with_token(endpoint, method, request, kind)
            except grpc.aio.AioRpcError as exc:
                error = wire.error_of(exc, self._access.endpoints[endpoint])
                if isinstance(error, EtcdUnavailableError):
                    self._leave(endpoint)
                tries -= 1
                if not tries or not isinstance(error, EtcdUnavailableError):
                    raise error from exc

    def _leave(self, endpoint: int) -> None:
        """Go on with the next endpoint, unless another call has left this one already."""
        if self._current == endpoint:
            self._current = (endpoint + 1) % len(self._channels)

    async def _call_with_token(
        self, endpoint: int, method: str, request: Message, kind: type[M]
    ) -> M:
        if self._access.user and not self._token:
            await self._authenticate(endpoint)
        try:
            return await self._call_once(endpoint, method, request, kind)
        except grpc.aio.AioRpcError as exc:
            if not (self._access.user and wire.is_stale_token(exc)):
                raise
        await self._authenticate(endpoint)
        return await self._call_once(endpoint, method, request, kind)

    async def _call_once(self, endpoint: int, method: str, request: Message, kind: type[M]) -> M:
        begin: Callable[..., Any] = self._channels[endpoint].unary_unary(
            method,
            request_serializer=type(request).SerializeToString,
            response_deserializer=kind.FromString,
        )
        call = begin(
            request,
            timeout=self._timeout_s,
            metadata=wire.metadata(self._token),
            # With one endpoint there is no other to try while it starts again.
            wait_for_ready=len(self._channels) == 1,
        )
        self._calls.add(call)
        try:
            with wire.closed_is_unavailable(self._access.endpoints[endpoint]):
                response: M = await call
        finally:
            self._calls.discard(call)
        return response

    async def _authenticate(self, endpoint: int) -> None:
        request = pb.AuthenticateRequest(name=self._access.user, password=self._access.password)
        response = await self._call_once(
            endpoint, wire.AUTHENTICATE, request, pb.AuthenticateResponse
        )
        self._token = response.token

    # Watches.

    def watch_prefix(self, prefix: bytes, start_revision: int) -> AsyncIterator[WatchBatch]:
        """Yield what happens to keys below `prefix`, and progress."""
        return self._watch(prefix, start_revision)

    async def _watch(self, prefix: bytes, revision: int) -> AsyncGenerator[WatchBatch, None]:
        attempt = 0
        confirmed = 0
        while True:
            endpoint = self._current
            try:
                async with aclosing(self._watch_once(endpoint, prefix, revision)) as batches:
                    async for batch in batches:
                        attempt = 0
                        if batch.events:
                            revision = max(revision, batch.events[-1].kv.mod_revision + 1)
                        else:
                            # Old servers may send events after the progress which counts them
                            # (EC3), but hardly after the next one.
                            revision = max(revision, confirmed)
                            confirmed = batch.header.revision + 1
                        yield batch
            except grpc.aio.AioRpcError as exc:
                self._on_broken_watch(exc, endpoint)
            except WatchInterruptedError as exc:
                log.info("etcd_watch_interrupted", reason=str(exc))
            self._leave(endpoint)
            await self._clock.sleep(_WATCH_BACKOFF_S[min(attempt, len(_WATCH_BACKOFF_S) - 1)])
            attempt += 1

    async def _watch_once(
        self, endpoint: int, prefix: bytes, revision: int
    ) -> AsyncGenerator[WatchBatch, None]:
        if self._access.user:
            # Unused tokens expire after minutes, and of a stale one some servers only say that
            # permission is denied.
            await self._authenticate(endpoint)
        address = self._access.endpoints[endpoint]
        stream = WatchStream(self._open_watch(endpoint), address)
        self._watches.add(stream)
        began = self._clock.monotonic()
        try:
            with wire.closed_is_unavailable(address):
                async with aclosing(stream.batches(prefix, revision)) as batches:
                    async for batch in batches:
                        if batch.events or self._clock.monotonic() >= began + _CATCHING_UP_S:
                            yield batch
        finally:
            self._watches.discard(stream)

    def _open_watch(self, endpoint: int) -> Any:
        call: Callable[..., Any] = self._channels[endpoint].stream_stream(
            wire.WATCH,
            request_serializer=pb.WatchRequest.SerializeToString,
            response_deserializer=pb.WatchResponse.FromString,
        )
        return call(metadata=wire.metadata(self._token, {"hasleader": "true"}))

    def _on_broken_watch(self, exc: grpc.aio.AioRpcError, endpoint: int) -> None:
        """Raise what no other stream would mend."""
        is_stale = self._access.user and wire.is_stale_token(exc)
        if exc.code() in _FINAL_CODES and not is_stale:
            raise wire.error_of(exc, self._access.endpoints[endpoint]) from exc
        log.info("etcd_watch_broken", code=exc.code().name, detail=exc.details())


def _open(target: str, credentials: grpc.ChannelCredentials | None) -> grpc.aio.Channel:
    if credentials is not None:
        return grpc.aio.secure_channel(target, credentials, options=wire.CHANNEL_OPTIONS)
    return grpc.aio.insecure_channel(target, options=wire.CHANNEL_OPTIONS)
