"""Our client of etcd, over grpc.aio.

Invariants:
    EC1  A transaction is sent once. If its answer is lost, whether it was made is not known.
    EC2  A watch delivers whole revisions, each once, in order, whatever happens to its stream.
    EC3  Progress is delivered after every event up to its revision. Servers before 3.4.25 and 3.5.8
         may break this rarely; who waits for a revision then looks a moment too early.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Any, Final, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message

from gazette_py.clock import SYSTEM, Clock
from gazette_py.errors import (
    EtcdCompactedError,
    EtcdError,
    EtcdLeaseLostError,
    EtcdUnavailableError,
)
from gazette_py.etcd import wire
from gazette_py.etcd.base import (
    Compare,
    Etcd,
    Event,
    KeyValue,
    LeaseKeeper,
    Op,
    Put,
    RangeResult,
    ResponseHeader,
    Target,
    TxnResult,
    WatchBatch,
)
from gazette_py.etcd.lease import ThreadLeaseKeeper
from gazette_py.pb import etcd_pb2 as pb

M = TypeVar("M", bound=Message)

_PAGE_KEYS: Final = 2000
_CALL_TIMEOUT_S: Final = 10.0
_WATCH_BACKOFF_S: Final = (0.0, 0.0, 0.005, 2.0, 3.0, 4.0, 5.0)
_COMPARED_FIELDS: Final = {
    Target.VERSION: "version",
    Target.CREATE: "create_revision",
    Target.MOD: "mod_revision",
    Target.LEASE: "lease",
}


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
        self._channels = [self._open(target, is_tls) for target, is_tls in access.targets()]
        self._current = 0
        self._token = ""
        self._watches: set[_WatchStream] = set()
        self._granted_at: dict[int, float] = {}  # Monotonic, by lease.

    def _open(self, target: str, is_tls: bool) -> grpc.aio.Channel:
        if is_tls:
            credentials = self._access.credentials()
            return grpc.aio.secure_channel(target, credentials, options=wire.CHANNEL_OPTIONS)
        return grpc.aio.insecure_channel(target, options=wire.CHANNEL_OPTIONS)

    @property
    def _address(self) -> str:
        return self._access.endpoints[self._current]

    async def range_prefix(self, prefix: bytes, revision: int = 0) -> RangeResult:
        """Return all keys which begin with `prefix`."""
        key, end = prefix, _prefix_end(prefix)
        kvs: list[KeyValue] = []
        header: ResponseHeader | None = None
        while True:
            request = pb.RangeRequest(key=key, range_end=end, limit=_PAGE_KEYS, revision=revision)
            page = await self._call(wire.RANGE, request, pb.RangeResponse)
            kvs += [_kv(kv) for kv in page.kvs]
            header = header or _header(page.header)
            revision = revision or page.header.revision  # All pages are of one revision.
            if not page.more:
                return RangeResult(header, tuple(kvs))
            key = page.kvs[-1].key + b"\0"

    async def txn(
        self, compares: Sequence[Compare], success: Sequence[Op], failure: Sequence[Op] = ()
    ) -> TxnResult:
        """Apply `success` if all compares hold, else `failure`."""
        request = pb.TxnRequest(
            compare=[_compare(compare) for compare in compares],
            success=[_op(op) for op in success],
            failure=[_op(op) for op in failure],
        )
        is_read = not success and not failure
        response = await self._call(wire.TXN, request, pb.TxnResponse, may_repeat=is_read)
        return TxnResult(response.succeeded, _header(response.header))

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
        granted_at = self._granted_at.pop(lease, self._clock.monotonic())
        keeper = ThreadLeaseKeeper(self._access, lease, ttl_s, granted_at, self._clock)
        keeper.start()
        return keeper

    async def request_progress(self) -> None:
        """Ask for a progress notification on the open watches soon."""
        for watch in list(self._watches):
            await watch.request_progress()

    async def close(self) -> None:
        """Release the connections."""
        for channel in self._channels:
            await channel.close()

    # Calls.

    async def _call(
        self, method: str, request: Message, kind: type[M], *, may_repeat: bool = True
    ) -> M:
        tries = len(self._channels) if may_repeat else 1
        while True:
            try:
                return await self._call_with_token(method, request, kind)
            except grpc.aio.AioRpcError as exc:
                if exc.code() is grpc.StatusCode.NOT_FOUND and "lease" in (exc.details() or ""):
                    raise EtcdLeaseLostError(str(exc.details())) from exc
                error = wire.error_of(exc, self._address)
                if isinstance(error, EtcdUnavailableError):
                    self._current = (self._current + 1) % len(self._channels)
                tries -= 1
                if not tries or not isinstance(error, EtcdUnavailableError):
                    raise error from exc

    async def _call_with_token(self, method: str, request: Message, kind: type[M]) -> M:
        if self._access.user and not self._token:
            await self._authenticate()
        try:
            return await self._call_once(method, request, kind)
        except grpc.aio.AioRpcError as exc:
            if not (self._access.user and wire.is_stale_token(exc)):
                raise
        await self._authenticate()
        return await self._call_once(method, request, kind)

    async def _call_once(self, method: str, request: Message, kind: type[M]) -> M:
        call: Callable[..., Any] = self._channels[self._current].unary_unary(
            method,
            request_serializer=type(request).SerializeToString,
            response_deserializer=kind.FromString,
        )
        response: M = await call(
            request,
            timeout=self._timeout_s,
            metadata=wire.metadata(self._token),
            # With one endpoint there is no other to try while it starts again.
            wait_for_ready=len(self._channels) == 1,
        )
        return response

    async def _authenticate(self) -> None:
        self._token = ""
        request = pb.AuthenticateRequest(name=self._access.user, password=self._access.password)
        response = await self._call_once(wire.AUTHENTICATE, request, pb.AuthenticateResponse)
        self._token = response.token

    # Watches.

    def watch_prefix(self, prefix: bytes, start_revision: int) -> AsyncIterator[WatchBatch]:
        """Yield what happens to keys below `prefix`, and progress."""
        return self._watch(prefix, start_revision)

    async def _watch(self, prefix: bytes, revision: int) -> AsyncGenerator[WatchBatch, None]:
        attempt = 0
        while True:
            stream = _WatchStream(self._open_watch())
            self._watches.add(stream)
            try:
                await stream.create(prefix, _prefix_end(prefix), revision)
                async for batch in stream.batches():
                    revision = _next_revision(batch, revision)
                    attempt = 0
                    yield batch
            except grpc.aio.AioRpcError as exc:
                await self._on_broken_watch(exc)
            except _NoLeaderError:
                pass
            finally:
                self._watches.discard(stream)
                stream.close()
            await self._clock.sleep(_WATCH_BACKOFF_S[min(attempt, len(_WATCH_BACKOFF_S) - 1)])
            attempt += 1

    def _open_watch(self) -> Any:
        return self._channels[self._current].stream_stream(
            wire.WATCH,
            request_serializer=pb.WatchRequest.SerializeToString,
            response_deserializer=pb.WatchResponse.FromString,
        )(metadata=wire.metadata(self._token, {"hasleader": "true"}))

    async def _on_broken_watch(self, exc: grpc.aio.AioRpcError) -> None:
        """Prepare for another stream, or raise what no other stream would mend."""
        if self._access.user and wire.is_stale_token(exc):
            try:
                await self._authenticate()
            except grpc.aio.AioRpcError as refused:
                raise wire.error_of(refused, self._address) from refused
            return
        if exc.code() in (
            grpc.StatusCode.UNAUTHENTICATED,
            grpc.StatusCode.PERMISSION_DENIED,
            grpc.StatusCode.INVALID_ARGUMENT,
        ):
            raise wire.error_of(exc, self._address) from exc
        self._current = (self._current + 1) % len(self._channels)


class _NoLeaderError(Exception):
    """The member has lost the cluster's leader."""


class _WatchStream:
    """One watch on one stream."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self._is_created = False

    async def create(self, key: bytes, end: bytes, revision: int) -> None:
        """Ask for the watch."""
        create = pb.WatchCreateRequest(
            key=key, range_end=end, start_revision=revision, progress_notify=True, fragment=True
        )
        await self._write(pb.WatchRequest(create_request=create))

    async def request_progress(self) -> None:
        """Ask for progress, if there is a watch yet."""
        if self._is_created:
            request = pb.WatchRequest(progress_request=pb.WatchProgressRequest())
            await self._write(request)

    async def _write(self, request: pb.WatchRequest) -> None:
        try:
            await self._call.write(request)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return  # Reading tells why the stream has ended.

    async def batches(self) -> AsyncGenerator[WatchBatch, None]:
        """Yield batches until the stream ends, which is an error too."""
        parts: list[Event] = []
        async for response in self._call:
            if response.canceled:
                raise _canceled(response)
            if response.created:
                self._is_created = True
                continue
            parts += [
                Event(_kv(event.kv), event.type == pb.Event.DELETE) for event in response.events
            ]
            if response.fragment:
                continue  # More of the same revision follows.
            yield WatchBatch(_header(response.header), tuple(parts))
            parts = []

    def close(self) -> None:
        """End the stream."""
        self._call.cancel()


def _canceled(response: pb.WatchResponse) -> Exception:
    if response.compact_revision:
        return EtcdCompactedError(f"etcd: compacted up to revision {response.compact_revision}")
    if "no leader" in response.cancel_reason:
        return _NoLeaderError()
    return EtcdError(f"etcd: watch refused: {response.cancel_reason}")


def _next_revision(batch: WatchBatch, revision: int) -> int:
    last = batch.events[-1].kv.mod_revision if batch.events else batch.header.revision
    return max(revision, last + 1)


def _prefix_end(prefix: bytes) -> bytes:
    """Return the smallest key after all which begin with `prefix`."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1]) if stripped else b"\0"


def _header(message: pb.ResponseHeader) -> ResponseHeader:
    return ResponseHeader(
        cluster_id=message.cluster_id,
        member_id=message.member_id,
        revision=message.revision,
        raft_term=message.raft_term,
    )


def _kv(message: pb.KeyValue) -> KeyValue:
    return KeyValue(
        key=message.key,
        value=message.value,
        create_revision=message.create_revision,
        mod_revision=message.mod_revision,
        version=message.version,
        lease=message.lease,
    )


def _compare(compare: Compare) -> pb.Compare:
    message = pb.Compare(
        key=compare.key,
        target=pb.Compare.CompareTarget.ValueType(compare.target.value),
        result=pb.Compare.EQUAL,
    )
    setattr(message, _COMPARED_FIELDS[compare.target], compare.equals)
    return message


def _op(op: Op) -> pb.RequestOp:
    if isinstance(op, Put):
        put = pb.PutRequest(
            key=op.key, value=op.value, lease=op.lease, ignore_lease=op.ignore_lease
        )
        return pb.RequestOp(request_put=put)
    return pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=op.key))
