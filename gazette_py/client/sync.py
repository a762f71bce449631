"""The client for code without an event loop: the same names, arguments, results and errors.

    from gazette_py.client.sync import connect

    with connect("http://localhost:8080") as client:
        client.append("acme/orders", b"tea")
        with client.reader("acme/orders") as reader:
            for batch in reader.lines():
                ...

Each client has a thread with an event loop, on which the asynchronous one runs, and may be used by
several threads. What is awaited there is waited for here; what is iterated over asynchronously is
an ordinary iterator. `PendingAppend.result` waits for what awaiting one gives.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    contextmanager,
)
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar

from gazette_py.client import append_service as _service
from gazette_py.client import client as _client
from gazette_py.client import reader as _reader
from gazette_py.client import view as _view
from gazette_py.client.append_service import Appended
from gazette_py.client.batches import Batch, LineBatch
from gazette_py.client.listing import ListedJournal
from gazette_py.protocol.labels import LabelSelector, LabelSet

_P = ParamSpec("_P")
_T = TypeVar("_T")
_R = TypeVar("_R")


class _Loop:
    """A thread with an event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="gazette_py client", daemon=True
        )
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, _R], timeout_s: float | None = None) -> _R:
        """Do work, and return its result. If the wait for it is interrupted, so is the work."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(timeout_s)
        except BaseException:
            future.cancel()
            raise

    def make(self, make: Callable[[], _R]) -> _R:
        """Return what must be made while the loop runs."""

        async def made() -> _R:
            return make()

        return self.call(made())

    def iterate(self, items: AsyncIterator[_R]) -> Iterator[_R]:
        """Yield what an asynchronous iterator yields."""
        end = object()

        async def step() -> object:
            return await anext(items, end)

        try:
            while (item := self.call(step())) is not end:
                yield item  # type: ignore[misc]  # It is none of ours.
        finally:
            if (close := getattr(items, "aclose", None)) is not None:
                self.call(close())

    def close(self) -> None:
        """End the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class _Twin(Generic[_T]):
    """Stands for an object of the asynchronous client."""

    def __init__(self, loop: _Loop, inner: _T) -> None:
        self._loop = loop
        self._inner = inner


def _call(
    method: Callable[Concatenate[_T, _P], Coroutine[Any, Any, _R]],
) -> Callable[Concatenate[_Twin[_T], _P], _R]:
    """Return the twin of a method which is awaited."""

    @wraps(method)
    def twin(self: _Twin[_T], /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        return self._loop.call(method(self._inner, *args, **kwargs))

    return twin


def _iterate(
    method: Callable[Concatenate[_T, _P], AsyncIterator[_R]],
) -> Callable[Concatenate[_Twin[_T], _P], Iterator[_R]]:
    """Return the twin of a method whose result is iterated over."""

    @wraps(method)
    def twin(self: _Twin[_T], /, *args: _P.args, **kwargs: _P.kwargs) -> Iterator[_R]:
        return self._loop.iterate(self._loop.make(lambda: method(self._inner, *args, **kwargs)))

    return twin


class PendingAppend(_Twin[_service.PendingAppend]):
    """An accepted append."""

    @property
    def journal(self) -> str:
        """Its journal."""
        return self._inner.journal

    def done(self) -> bool:
        """Tell whether `result` returns, or raises, at once."""
        return self._inner.done()

    def result(self, timeout_s: float | None = None) -> Appended:
        """Return where it is, once it is there. Errors are those of awaiting it.

        Raises:
            TimeoutError: It is not settled in time. It may be later.
        """

        async def settled() -> Appended:
            return await self._inner

        return self._loop.call(settled(), timeout_s)


def _inner_of(pending: Iterable[PendingAppend]) -> list[_service.PendingAppend]:
    return [each._inner for each in pending]  # noqa: SLF001  # Ours.


class AppendService(_Twin[_service.AppendService]):
    """See `gazette_py.client.append_service`."""

    @property
    def held_bytes(self) -> int:
        """Bytes which appends take that are accepted, and not settled."""
        return self._inner.held_bytes

    def append(
        self,
        journal: str,
        content: bytes,
        *,
        after: Iterable[PendingAppend] = (),
        offset: int = 0,
        check_registers: LabelSelector | None = None,
        union_registers: LabelSet | None = None,
        subtract_registers: LabelSet | None = None,
        timeout_s: float | None = None,
    ) -> PendingAppend:
        """Accept an append, as soon as there is room for it. Arguments and errors are the same."""
        accepting = self._inner.append(
            journal,
            content,
            after=_inner_of(after),
            offset=offset,
            check_registers=check_registers,
            union_registers=union_registers,
            subtract_registers=subtract_registers,
            timeout_s=timeout_s,
        )
        return PendingAppend(self._loop, self._loop.call(accepting))

    def try_append(
        self, journal: str, content: bytes, *, after: Iterable[PendingAppend] = ()
    ) -> PendingAppend | None:
        """Accept an append if there is room for it now; else return None."""
        before = _inner_of(after)
        pending = self._loop.make(lambda: self._inner.try_append(journal, content, after=before))
        return None if pending is None else PendingAppend(self._loop, pending)

    flush = _call(_service.AppendService.flush)
    aclose = _call(_service.AppendService.aclose)


class Reader(_Twin[_reader.Reader]):
    """See `gazette_py.client.reader`."""

    @property
    def journal(self) -> str:
        """Its name."""
        return self._inner.journal

    @property
    def offset(self) -> int:
        """Offset of the next byte; -1 until a read from the write head is answered."""
        return self._inner.offset

    @property
    def write_head(self) -> int:
        """End of the journal's content as a broker last told; -1 until it did."""
        return self._inner.write_head

    @property
    def lag_bytes(self) -> int | None:
        """How far the write head is ahead, as it was last told; None while unknown."""
        return self._inner.lag_bytes

    next_batch = _call(_reader.Reader.next_batch)

    def batches(self, bytes_max: int = _reader.BATCH_BYTES_MAX) -> Iterator[Batch]:
        """Return an iterator over content. After an error, ask for another one to go on."""
        return self._loop.iterate(self._inner.batches(bytes_max))

    def lines(
        self,
        bytes_max: int = _reader.BATCH_BYTES_MAX,
        line_bytes_max: int = _reader.LINE_BYTES_MAX,
    ) -> Iterator[LineBatch]:
        """Return an iterator over lines, in batches: the only one of a reader."""
        return self._loop.iterate(self._inner.lines(bytes_max, line_bytes_max))

    def health(self) -> _reader.ReaderHealth:
        """Return where the reader is, and how it goes. It asks nobody."""
        return self._inner.health()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.aclose()

    aclose = _call(_reader.Reader.aclose)


class JournalView(_Twin[_view.JournalView]):
    """See `gazette_py.client.view`."""

    @property
    def journals(self) -> Mapping[str, ListedJournal]:
        """By name; empty until it is ready."""
        return self._inner.journals

    @property
    def revision(self) -> int:
        """Of etcd, which they are of; 0 until it is ready."""
        return self._inner.revision

    ready = _call(_view.JournalView.ready)
    changes = _iterate(_view.JournalView.changes)

    def __enter__(self) -> Self:
        self._loop.call(self._inner.__aenter__())
        return self

    def __exit__(self, *_exc: object) -> None:
        self._loop.call(self._inner.__aexit__())


class Client(_Twin[_client.Client]):
    """A client of journal brokers. Use it as `with`, or `close` it."""

    append = _call(_client.Client.append)
    read_all = _call(_client.Client.read_all)
    write_head = _call(_client.Client.write_head)
    list = _call(_client.Client.list)
    watch = _iterate(_client.Client.watch)
    inspect = _call(_client.Client.inspect)
    inspect_broker = _call(_client.Client.inspect_broker)
    apply = _call(_client.Client.apply)
    fragments = _iterate(_client.Client.fragments)
    fragment_pages = _iterate(_client.Client.fragment_pages)
    store_health = _call(_client.Client.store_health)

    def view(self, selector: LabelSelector = LabelSelector()) -> JournalView:
        """Return a view of the selected journals which is kept current. Use it as `with`."""
        return JournalView(self._loop, self._loop.make(lambda: self._inner.view(selector)))

    @staticmethod
    def _reader_of(
        make: Callable[Concatenate[_client.Client, _P], _reader.Reader],
    ) -> Callable[Concatenate["Client", _P], Reader]:
        @wraps(make)
        def twin(self: "Client", /, *args: _P.args, **kwargs: _P.kwargs) -> Reader:
            inner = self._loop.make(lambda: make(self._inner, *args, **kwargs))
            return Reader(self._loop, inner)

        return twin

    @staticmethod
    def _service_of(
        make: Callable[
            Concatenate[_client.Client, _P], AbstractAsyncContextManager[_service.AppendService]
        ],
    ) -> Callable[Concatenate["Client", _P], AbstractContextManager[AppendService]]:
        @wraps(make)
        @contextmanager
        def twin(self: "Client", /, *args: _P.args, **kwargs: _P.kwargs) -> Iterator[AppendService]:
            context = self._loop.make(lambda: make(self._inner, *args, **kwargs))

            async def enter() -> _service.AppendService:
                return await context.__aenter__()

            service = AppendService(self._loop, self._loop.call(enter()))
            try:
                yield service
            finally:

                async def leave() -> None:
                    await context.__aexit__(None, None, None)

                self._loop.call(leave())

        return twin

    reader = _reader_of(_client.Client.reader)
    append_service = _service_of(_client.Client.append_service)

    def close(self) -> None:
        """Close all connections. Calls and reads under way end."""
        self._loop.call(self._inner.close())
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def _connect(
    make: Callable[_P, _client.Client],
) -> Callable[_P, Client]:
    @wraps(make)
    def twin(*args: _P.args, **kwargs: _P.kwargs) -> Client:
        loop = _Loop()
        try:
            return Client(loop, loop.make(lambda: make(*args, **kwargs)))
        except BaseException:
            loop.close()
            raise

    return twin


connect = _connect(_client.connect)

__all__ = ["AppendService", "Client", "JournalView", "PendingAppend", "Reader", "connect"]
