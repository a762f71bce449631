"""Tells an observer, as metrics are, what a store is used for and how long that takes."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, Protocol

from gazette_py.clock import Clock
from gazette_py.stores.base import ObjectInfo, ObjectStream, Store


class StoreObserver(Protocol):
    """Hears of stores, by the URLs which specs spell."""

    def operation_done(self, store: str, operation: str, status: str, seconds: float) -> None:
        """`operation` of the reference's names; `status` is success or error."""
        ...

    def bytes_put(self, store: str, encoding: str, length: int) -> None:
        """An object was put. `encoding` is "none" or its content encoding."""
        ...

    def items_listed(self, store: str, count: int) -> None:
        """A listing ended, also by an error, after so many objects."""
        ...

    def check_done(self, store: str, status: str) -> None:
        """A health check completed; `status` is ok or error."""
        ...

    def stores_active(self, count: int) -> None:
        """So many stores are in use now."""
        ...


class InstrumentedStore(Store):
    """Hands every call to a store, and its outcome to an observer."""

    def __init__(self, url: str, store: Store, observer: StoreObserver, clock: Clock) -> None:
        self.url = url  # As the spec spells it, where a file-only broker maps it to another.
        self._store = store
        self._observer = observer
        self._clock = clock

    async def exists(self, path: str) -> bool:
        """Tell whether the object exists."""
        with self._observed("exists"):
            return await self._store.exists(path)

    async def get(self, path: str) -> ObjectStream:
        """Open the object. The reading of it is not counted: it takes what the reader takes."""
        with self._observed("get"):
            return await self._store.get(path)

    async def put(
        self,
        path: str,
        open_content: Callable[[], BinaryIO],
        length: int,
        content_encoding: str = "",
    ) -> None:
        """Write the object."""
        with self._observed("put"):
            await self._store.put(path, open_content, length, content_encoding)
        if length:
            self._observer.bytes_put(self.url, content_encoding or "none", length)

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Yield every object below the prefix."""
        count = 0
        try:
            with self._observed("list"):
                async for info in self._store.list(prefix):
                    count += 1
                    yield info
        finally:
            self._observer.items_listed(self.url, count)

    def list_unfinished(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Yield files of puts which have not ended."""
        return self._store.list_unfinished(prefix)

    async def remove(self, path: str) -> None:
        """Delete the object."""
        with self._observed("remove"):
            await self._store.remove(path)

    async def sign_get(self, path: str, ttl_s: float) -> str:
        """Return a signed URL."""
        with self._observed("signget"):
            return await self._store.sign_get(path, ttl_s)

    async def close(self) -> None:
        """Close the store."""
        await self._store.close()

    @contextmanager
    def _observed(self, operation: str) -> Iterator[None]:
        began = self._clock.monotonic()
        status = "error"
        try:
            yield
            status = "success"
        finally:
            seconds = self._clock.monotonic() - began
            self._observer.operation_done(self.url, operation, status, seconds)
