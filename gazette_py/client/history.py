"""Fetches stored fragments ahead of a reader, straight from their store, as its plan says.

Invariants:
    H1  The last bytes of a fragment are handed out only after its whole file was compared with the
        fragment's length and SHA-1.
    H2  A file which is known to be corrupt is an error once its turn comes, and nothing more of it
        is handed out; what lies before it is.
    H3  Decoding and summing is done in threads; files which are fetched are bounded as the plan
        says, in number and in bytes which wait.

A stream which breaks is taken up again some times. What the store then does not give is left to the
caller, who asks a broker, and continues the comparison over what that sends.

Source: our own; gazette/core broker/client/reader.go fetches one fragment at a time.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from contextlib import aclosing
from functools import partial
from typing import Final

from gazette_py.client.counts import Counts
from gazette_py.client.direct import Continuation, FragmentReader
from gazette_py.core.read_plan import Failure, Fetch, ReadPlan, Source
from gazette_py.errors import (
    CorruptFragmentError,
    GazetteError,
    StoreDeniedError,
    StoreError,
    StoreMissingError,
)
from gazette_py.protocol.fragment import Fragment
from gazette_py.stores.base import ObjectStream

log = logging.getLogger(__name__)

FETCHES_MAX: Final = 4
"""Files fetched at a time. Two keep the processors of a small machine busy with decoding; stores in
a cloud give each stream some tens of MB/s."""

BUDGET_BYTES: Final = 64 << 20
"""Content which waits to be read: enough that a pause of a stream does not show."""

_STREAMS_MAX: Final = 3
"""Streams of one file, if they break. To open one is tried several times by `OpenURL` itself."""

OpenURL = Callable[[str], Awaitable[ObjectStream]]
"""Opens the file of a fragment by its URL, which is whatever the plan was given."""

Observe = Callable[[Fragment, int, bytes], None]
"""Takes pieces of fragments, with their offsets: all from a file's first byte on, in its order,
also what is not wanted, before they may be handed out."""


class History:
    """The fetches of one reader."""

    def __init__(
        self,
        plan: ReadPlan,
        *,
        open_url: OpenURL,
        executor: Executor,
        counts: Counts,
        observe: Observe | None = None,
    ) -> None:
        self._plan = plan
        self._counts = counts
        self._open_url = open_url
        self._executor = executor
        self._observe = observe
        self._tasks: dict[Fetch, asyncio.Task[None]] = {}  # Those which run.
        self._pieces: dict[Fetch, deque[memoryview]] = {}
        self.continuation: Continuation | None = None  # Of what failed last and was raised.
        self._failed: tuple[GazetteError, Continuation | None] | None = None  # The plan's last.
        self._readers: dict[Fetch, FragmentReader] = {}
        self._is_closed = False
        self._crash: BaseException | None = None  # Of a task: a bug.
        self._news = asyncio.Event()  # For the reader: pieces, or a failure.
        self._room = asyncio.Event()  # For fetches: pieces were handed out.

    async def batch(self, bytes_max: int) -> tuple[list[memoryview], Fragment | None]:
        """Return what is next and ready, waiting for the first of it, and the fragment it is of.

        The plan's offset moves on by as much. There is nothing once the plan says that the next
        bytes are not at the store, or the end is reached.

        Raises:
            CorruptFragmentError: The file which has the next byte is not what its name says.
            StoreError: It cannot be fetched. The plan says who may have it.
        """
        plan = self._plan
        while plan.source is Source.STORE and not plan.is_done and not self._is_closed:
            if self._crash is not None:
                raise self._crash
            self._begin()
            head = plan.head
            assert head is not None, "a plan at the store has something to fetch"
            if pieces := self._take(head, bytes_max):
                return pieces, head.stored.fragment
            self._news.clear()
            await self._news.wait()
        if plan.source is not Source.STORE:
            self._pieces.clear()
            if self._failed is not None:
                (error, self.continuation), self._failed = self._failed, None
                raise error
        return [], None

    async def aclose(self) -> None:
        """End all fetches, and drop what waits. Whoever waits for a batch is given nothing."""
        self._is_closed = True
        self._news.set()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        self._pieces.clear()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self) -> None:
        """Begin what the plan wants begun."""
        while (fetch := self._plan.next_fetch()) is not None:
            self._pieces[fetch] = deque()
            # Not in a task group: it outlives the call which begins it, and `aclose` ends it.
            name = f"fetch {fetch.stored.fragment.journal} {fetch.begin}"
            task = asyncio.create_task(self._run(fetch), name=name)
            task.add_done_callback(partial(self._ended, fetch))
            self._tasks[fetch] = task

    def _take(self, head: Fetch, bytes_max: int) -> list[memoryview]:
        """Take ready pieces of the plan's first fetch."""
        waiting, pieces, length = self._pieces[head], [], 0
        while waiting and length < bytes_max:
            piece = waiting.popleft()
            if len(piece) > bytes_max - length:
                waiting.appendleft(piece[bytes_max - length :])
                piece = piece[: bytes_max - length]
            length += len(piece)
            pieces.append(piece)
        if pieces:
            self._plan.handed_out(length)
            self._drop_done()
            self._room.set()
        return pieces

    def _drop_done(self) -> None:
        """Forget fetches which the plan is done with."""
        for fetch in [f for f in self._pieces if f.end <= self._plan.offset]:
            del self._pieces[fetch]

    def _ended(self, fetch: Fetch, task: "asyncio.Task[None]") -> None:
        self._tasks.pop(fetch, None)
        self._readers.pop(fetch, None)
        if not task.cancelled() and (crash := task.exception()) is not None:
            self._crash = crash
            self._news.set()

    async def _run(self, fetch: Fetch) -> None:
        try:
            with self._counts.outcome_of(self._counts.fetches):
                await self._fetch(fetch)
        except CorruptFragmentError as exc:
            self._fail(fetch, Failure.CORRUPT, exc)
        except StoreMissingError as exc:
            self._fail(fetch, Failure.MISSING, exc)
        except StoreDeniedError as exc:
            self._fail(fetch, Failure.DENIED, exc)
        except StoreError as exc:
            self._fail(fetch, Failure.UNAVAILABLE, exc)

    async def _fetch(self, fetch: Fetch) -> None:
        """Receive what is wanted of a file, by another stream if one breaks."""
        fragment = fetch.stored.fragment
        reader = self._readers[fetch] = FragmentReader(fragment, self._executor)
        position = fragment.begin
        streams = 0
        while fetch.is_open:
            stream = await self._open_url(fetch.stored.url)
            streams += 1
            try:
                async with aclosing(reader.read(stream)) as pieces:
                    async for piece in pieces:
                        begin, position = position, position + len(piece)
                        if self._observe is not None:
                            self._observe(fragment, begin, piece)
                        wanted = memoryview(piece)[
                            max(0, fetch.received - begin) : max(0, fetch.end - begin)
                        ]
                        if wanted:
                            await self._receive(fetch, wanted)
                        if fetch.received == fetch.end:
                            return
            except StoreError as exc:
                if streams == _STREAMS_MAX or not exc.retryable:
                    raise
                log.info("stream_broke journal=%s error=%s", fragment.journal, exc)

    async def _receive(self, fetch: Fetch, piece: memoryview) -> None:
        while not self._plan.may_receive(fetch):
            self._room.clear()
            await self._room.wait()
        self._pieces[fetch].append(piece)
        self._plan.received(fetch, len(piece))
        self._news.set()

    def _fail(self, fetch: Fetch, failure: Failure, error: GazetteError) -> None:
        # A fragment of which nothing was handed out may be replaced by another.
        has_begun = fetch.received > fetch.begin
        self._failed = (error, self._readers[fetch].continuation() if has_begun else None)
        for dropped in self._plan.failed(fetch, failure):
            del self._pieces[dropped]
            if dropped in self._tasks:
                self._tasks[dropped].cancel()
        self._news.set()
