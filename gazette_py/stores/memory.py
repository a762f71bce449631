"""Fragment store of this process: `memory://name/prefix/`, for tests and examples.

All stores of one name share their objects, as brokers of one process which name the same bucket.
The scheme is ours: specs with it are refused by validation, and by a registry not told to allow it.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from typing import BinaryIO

from gazette_py.clock import Clock
from gazette_py.errors import StoreMissingError
from gazette_py.protocol.store_url import StoreURL
from gazette_py.stores.base import ObjectInfo, ObjectStream, Store
from gazette_py.stores.threads import CHUNK_BYTES


@dataclass(frozen=True, slots=True)
class _Object:
    content: bytes
    content_encoding: str
    mod_time: int


_buckets: dict[str, dict[str, _Object]] = {}


class MemoryStore(Store):
    """Objects are bytes in a dictionary. Nothing blocks, and nothing survives the process."""

    def __init__(self, url: StoreURL, clock: Clock) -> None:
        self.url = url.url
        self._parsed = url
        self._clock = clock
        self._objects = _buckets.setdefault(url.host, {})

    async def exists(self, path: str) -> bool:
        """Tell whether the object exists."""
        return self._key(path) in self._objects

    async def get(self, path: str) -> ObjectStream:
        """Open the object as it is now."""
        found = self._objects.get(self._key(path))
        if found is None:
            raise StoreMissingError(self.url, "get", path, "no such object")
        return ObjectStream(found.content_encoding, _chunks(found.content))

    async def put(
        self,
        path: str,
        open_content: Callable[[], BinaryIO],
        length: int,
        content_encoding: str = "",
    ) -> None:
        """Copy the content."""
        with open_content() as file:
            content = file.read()
        assert len(content) == length, f"content has {len(content)} bytes, announced were {length}"
        self._objects[self._key(path)] = _Object(content, content_encoding, int(self._clock.now()))

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Yield the objects there are at the beginning."""
        start = self._key(prefix)
        for key, found in list(self._objects.items()):
            if key.startswith(start):
                yield ObjectInfo(
                    name=key.removeprefix(start), mod_time=found.mod_time, size=len(found.content)
                )

    async def remove(self, path: str) -> None:
        """Forget the object."""
        self._objects.pop(self._key(path), None)

    async def sign_get(self, path: str, ttl_s: float) -> str:
        """Return the object's own URL, which only this process could follow."""
        return f"memory://{self._parsed.host}/{self._key(path)}"

    async def close(self) -> None:
        """Leave the objects to other stores of the name."""

    def _key(self, path: str) -> str:
        return self._parsed.path.lstrip("/") + self._parsed.rewrite(path)


async def _chunks(content: bytes) -> AsyncGenerator[bytes, None]:
    for begin in range(0, len(content), CHUNK_BYTES):
        yield content[begin : begin + CHUNK_BYTES]
