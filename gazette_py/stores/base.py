"""The interface of fragment stores, and its promises, to which every backend is held.

Paths are *content paths* (`<journal>/[<postfix>/]<name>`) or listing prefixes, relative to the
store and without a leading slash. A store adds its prefix, and applies its own `find`/`replace`.

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
from typing import BinaryIO, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectInfo:
    """A listed object."""

    name: str  # Relative to the prefix which was listed.
    mod_time: int  # Unix seconds.
    size: int  # Stored bytes.


class Chunks(Protocol):
    """An asynchronous iterator which can be closed, as by `contextlib.aclosing`."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Return the iterator itself."""
        ...

    async def __anext__(self) -> bytes:
        """Return the next chunk.

        Raises:
            StoreError: The rest cannot be had. The object was cut short, or the store went away.
        """
        ...

    async def aclose(self) -> None:
        """Release the file or connection, also before the end or the beginning."""
        ...


@dataclass(frozen=True, slots=True)
class ObjectStream:
    """Stored bytes of an object, as they lie in the store, or as the store decoded them."""

    content_encoding: str  # "gzip" if the bytes are still so encoded, else "".
    chunks: Chunks  # Of up to 1 MiB.


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
        """Write the object.

        Args:
            path: Where to.
            open_content: Opens a file at its first byte. It is called in a thread, perhaps again.
            length: Bytes of the file.
            content_encoding: "gzip" if readers are to be told so, or to be sent decoded content.
        """

    @abstractmethod
    def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Yield every object below `prefix`, which ends in a slash. No order is promised."""

    async def list_unfinished(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Yield files below `prefix` of puts which have not ended, and perhaps never will.

        `list` does not tell of them. A store whose puts leave nothing behind has none.
        """
        nothing: tuple[ObjectInfo, ...] = ()
        for info in nothing:
            yield info

    @abstractmethod
    async def remove(self, path: str) -> None:
        """Delete the object. A missing one is no error."""

    @abstractmethod
    async def sign_get(self, path: str, ttl_s: float) -> str:
        """Return a URL by which anyone may GET the object for `ttl_s` seconds.

        Some stores have to ask a service for a key, now and again: brokers and readers wait.

        Raises:
            StoreError: Credentials do not allow to sign, or the service does not answer.
        """

    @abstractmethod
    async def close(self) -> None:
        """Release connections and threads."""
