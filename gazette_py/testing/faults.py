"""Faults which a test asks for: of calls to brokers, and of their stores.

A fault hits the next calls of its kind, so many of them as it was given, and is gone. It may be set
from any thread; brokers look at it as calls arrive.
"""

import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

import grpc
import grpc.aio

from gazette_py.clock import SYSTEM
from gazette_py.errors import StoreUnavailableError
from gazette_py.rpc.errors import NOT_COMMITTED
from gazette_py.stores.base import ObjectInfo, ObjectStream, Store

CALLS = (
    "List",
    "Apply",
    "Read",
    "Append",
    "Replicate",
    "ListFragments",
    "FragmentStoreHealth",
    "InspectJournal",
)
STORE_OPERATIONS = ("exists", "get", "put", "list", "remove")


@dataclass(slots=True)
class _Fault:
    target: str
    times: int | None  # Left; None: without end.
    delay_s: float = 0.0
    refusal: tuple[grpc.StatusCode, str] | None = None
    drops: bool = False
    error: str = ""


class Faults:
    """What shall go wrong. Nothing, until it is told."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[_Fault] = []

    def refuse(
        self,
        call: str,
        *,
        times: int | None = 1,
        code: str = "UNAVAILABLE",
        detail: str = "refused by a test",
    ) -> None:
        """Refuse calls before they do anything.

        Args:
            call: Its name, such as "Append"; one of `CALLS`.
            times: How many; None: all, until `clear`.
            code: Of gRPC, by its name.
            detail: The text which clients are told.
        """
        refusal = (grpc.StatusCode[code], detail)
        self._add(_Fault(_known(call, CALLS), times, refusal=refusal))

    def delay(self, call: str, seconds: float, *, times: int | None = 1) -> None:
        """Have calls wait for so long before they are served. Arguments as of `refuse`."""
        self._add(_Fault(_known(call, CALLS), times, delay_s=seconds))

    def drop(self, call: str, *, times: int | None = 1) -> None:
        """Do what calls ask, and lose the connection before the answer. Arguments as of `refuse`.

        An append is then of unknown outcome to its client; it happened. Streams of answers are
        lost after their first message.
        """
        self._add(_Fault(_known(call, CALLS), times, drops=True))

    def fail_store(
        self, operation: str, *, times: int | None = 1, detail: str = "broken by a test"
    ) -> None:
        """Have the stores of brokers fail, as stores do which cannot be reached.

        Args:
            operation: One of `STORE_OPERATIONS`. Health checks use them all.
            times: How often; None: always, until `clear`.
            detail: The reason, as it shows in logs and statuses.
        """
        target = _known(operation, STORE_OPERATIONS)
        self._add(_Fault(f"store {target}", times, error=detail))

    def clear(self) -> None:
        """Let everything be well again."""
        with self._lock:
            self._faults.clear()

    def _add(self, fault: _Fault) -> None:
        with self._lock:
            self._faults.append(fault)

    def _take(self, target: str) -> list[_Fault]:
        """Return what hits this call, and count it."""
        with self._lock:
            hits = [fault for fault in self._faults if fault.target == target]
            for fault in hits:
                if fault.times is not None:
                    fault.times -= 1
            self._faults = [fault for fault in self._faults if fault.times != 0]
        return hits

    # For brokers.

    async def serve(
        self, call: str, serve: Callable[[Any, Any], Awaitable[object]], it: object, context: Any
    ) -> object:
        """Serve a call, as far as the faults let it."""
        hits = self._take(call)
        await SYSTEM.sleep(sum(fault.delay_s for fault in hits))
        for fault in hits:
            if fault.refusal is not None:
                if call == "Append":
                    # A client which is still sending would not be told why: gRPC loses it.
                    while await context.read() is not grpc.aio.EOF:
                        pass
                # As a broker says which fails before it commits: clients may try again.
                await context.abort(*fault.refusal, trailing_metadata=(NOT_COMMITTED,))
        if not any(fault.drops for fault in hits):
            return await serve(it, context)
        await serve(it, _CutContext(context))
        await _cut(context)
        raise AssertionError("the call was aborted")

    def check_store(self, url: str, operation: str, path: str) -> None:
        """Fail, if this operation shall.

        Raises:
            StoreUnavailableError: It shall.
        """
        for fault in self._take(f"store {operation}"):
            raise StoreUnavailableError(url, operation, path, fault.error)


def _known(name: str, names: tuple[str, ...]) -> str:
    if name not in names:
        raise ValueError(f"no {name!r}: there are {', '.join(names)}")
    return name


async def _cut(context: Any) -> None:
    await context.abort(grpc.StatusCode.UNAVAILABLE, "the connection was lost, as a test wants it")


class _CutContext:
    """The context of a stream which is lost after its first message."""

    def __init__(self, context: Any) -> None:
        self._context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    async def write(self, message: object) -> None:
        await self._context.write(message)
        await _cut(self._context)


class FaultyCalls(grpc.aio.ServerInterceptor):
    """Puts the faults before each call of a server."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Return the call's handler, with its faults."""
        handler = await continuation(handler_call_details)
        call = str(handler_call_details.method).rpartition("/")[2]
        if handler is None or call not in CALLS:
            return handler
        # Handlers of a broker take a stream, also where the protocol has one message.
        kind = "stream_stream" if handler.response_streaming else "stream_unary"
        inner = getattr(handler, kind)

        async def serve(it: object, context: Any) -> object:
            return await self._faults.serve(call, inner, it, context)

        return handler._replace(**{kind: serve})


class FaultyStore(Store):
    """A store before which the faults stand."""

    def __init__(self, store: Store, faults: Faults) -> None:
        self.url = store.url
        self._store = store
        self._faults = faults

    async def exists(self, path: str) -> bool:
        """Tell whether the object exists."""
        self._faults.check_store(self.url, "exists", path)
        return await self._store.exists(path)

    async def get(self, path: str) -> ObjectStream:
        """Open the object."""
        self._faults.check_store(self.url, "get", path)
        return await self._store.get(path)

    async def put(
        self,
        path: str,
        open_content: Callable[[], BinaryIO],
        length: int,
        content_encoding: str = "",
    ) -> None:
        """Write the object."""
        self._faults.check_store(self.url, "put", path)
        await self._store.put(path, open_content, length, content_encoding)

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Yield the objects below the prefix."""
        self._faults.check_store(self.url, "list", prefix)
        async for info in self._store.list(prefix):
            yield info

    def list_unfinished(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Yield files of puts which have not ended."""
        return self._store.list_unfinished(prefix)

    async def remove(self, path: str) -> None:
        """Delete the object."""
        self._faults.check_store(self.url, "remove", path)
        await self._store.remove(path)

    async def sign_get(self, path: str, ttl_s: float) -> str:
        """Return a signed URL."""
        return await self._store.sign_get(path, ttl_s)

    async def close(self) -> None:
        """Close the store."""
        await self._store.close()
