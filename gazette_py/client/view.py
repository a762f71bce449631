"""A view of journals which is kept current by the broker's watch.

    async with client.view(selector) as view:
        await view.ready()
        print(sorted(view.journals))
        async for change in view.changes():
            match change:
                case Added(journal): ...
                case Changed(journal, before): ...
                case Removed(journal): ...

Invariants:
    V1  `journals` is one snapshot, whole, of `revision`; it is replaced, and never changed.
    V2  Whoever iterates over changes is told what lies between what he was told of before and what
        is there now. So each takes his time, nothing queues up, and no deletion is missed; what
        came and went in between is not told.

A stream which breaks is taken up again after the last snapshot, at another broker. Brokers do not
tell of routes alone: a route is as of the last change of any spec which is selected.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from types import MappingProxyType
from typing import Final, Self, TypeAlias

from gazette_py.client.listing import ListedJournal, ListResult
from gazette_py.core import journal_changes
from gazette_py.core.journal_changes import Added, Changed, Removed

JournalChange: TypeAlias = Added[ListedJournal] | Changed[ListedJournal] | Removed[ListedJournal]

_NONE: Final[Mapping[str, ListedJournal]] = MappingProxyType({})


class JournalView:
    """Made by `Client.view`. It watches from entering its context to leaving it.

    Attributes:
        journals: By name; empty until it is ready.
        revision: Of etcd, which they are of; 0 until then.
    """

    def __init__(self, watch: Callable[[], AsyncGenerator[ListResult, None]]) -> None:
        self.journals: Mapping[str, ListedJournal] = _NONE
        self.revision = 0
        self._watch = watch
        self._task: asyncio.Task[None] | None = None
        self._news = asyncio.Event()  # Of the next change of anything; then another is made.

    async def __aenter__(self) -> Self:
        assert self._task is None, "a view is entered once"
        # Not in a task group, which would raise its error here: `ready` and `changes` do.
        self._task = asyncio.create_task(self._run(), name="view of journals")
        self._task.add_done_callback(self._ended)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])

    async def ready(self) -> None:
        """Wait for the first snapshot.

        Raises:
            RpcError: No broker gave one within the client's timeout, or brokers do not let us.
            RuntimeError: The context was left.
        """
        await self._wait_beyond(0)

    async def changes(self) -> AsyncGenerator[JournalChange, None]:
        """Yield what is there as added, and then what changes. It never ends by itself.

        Raises:
            RpcError: As of `ready`, or brokers let us watch no longer.
            RuntimeError: The context was left.
        """
        told, revision = _NONE, 0
        while True:
            await self._wait_beyond(revision)
            now, revision = self.journals, self.revision
            for change in journal_changes.changes(told, now):
                yield change
            told = now

    async def _wait_beyond(self, revision: int) -> None:
        if self._task is None:
            raise RuntimeError("enter the view first: async with client.view() as view")
        while self.revision <= revision:
            if self._task.cancelled():
                raise RuntimeError("the view's context was left: its journals are kept no longer")
            if self._task.done():
                self._task.result()
            await self._news.wait()

    async def _run(self) -> None:
        async with aclosing(self._watch()) as snapshots:
            async for snapshot in snapshots:
                self.journals = MappingProxyType(
                    {journal.spec.name: journal for journal in snapshot.journals}
                )
                self.revision = snapshot.header.etcd.revision
                self._tell()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled():
            task.exception()  # It is looked at, also if nobody waits any more.
        self._tell()

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()
