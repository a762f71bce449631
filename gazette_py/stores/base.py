"""The interface of fragment stores, and its promises, to which every backend is held.

Paths are *content paths* (`<journal>/[<postfix>/]<name>`) or listing prefixes, relative to the
store and without a leading slash. A store applies its prefix and its own `find`/`replace` rewriting.

Promises:
    ST1  `put` is atomic and durable on return: readers see all of the object or nothing of it.
    ST2  `put` of the same path again replaces the object; names carry offsets and sums, so equal
         paths have equal content before compression.
    ST3  An object which was put is seen by every later `exists`, `get` and `list`.
    ST4  Every failure is a `StoreError`: missing, denied (an operator acts) or unavailable (retry).
    ST5  Blocking work runs in threads of the store's own, bounded in number, never on the loop.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import BinaryIO


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectInfo:
    """A listed object."""

    name: str  # Relative to the prefix which was listed.
    mod_time: int  # Unix seconds.
    size: int  # Stored bytes.


@dataclass(frozen=True, slots=True)
class ObjectStream:
    """Stored bytes of an object, as they lie in the store, or as the store decoded them."""

    content_encoding: str  # "gzip" if the bytes are still so encoded, else "".
    chunks: AsyncIterator[bytes]  # Of up to 1 MiB. Closing it (aclose) releases the connection.


class Store(ABC):
    """One fragment store, by the URL which a journal spec spells."""

    url: str

    @abstractmethod
    async def exists(self, path: str) -> bool:
        """Tell whether the object exists."""

    @abstractmethod
    async def get(self, path: str) -> ObjectStream:
        """Open the whole object.

        Raises:
            StoreMissingError: There is no such object.
        """

    @abstractmethod
    async def put(
        self,
        path: str,
        open_content: Callable[[], BinaryIO],
        length: int,
        content_encoding: str = "",
    ) -> None:
        """Write `length` bytes from a file which `open_content` opens at its first byte.

        It is called in a thread, and may be called again.
        """

    @abstractmethod
    def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Yield every object below `prefix`, which ends in a slash. No order is promised."""

    @abstractmethod
    async def remove(self, path: str) -> None:
        """Delete the object. A missing one is no error."""

    @abstractmethod
    def sign_get(self, path: str, ttl_s: float) -> str:
        """Return a URL by which anyone may GET the object for `ttl_s` seconds."""

    @abstractmethod
    async def close(self) -> None:
        """Release connections and threads."""
