"""Fetches ahead of a reader, from a store which a test holds in its hands."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from broker_harness import until

from gazette_py.client.counts import Counts
from gazette_py.client.direct import FragmentReader
from gazette_py.client.history import FETCHES_MAX, History
from gazette_py.core.read_plan import ReadPlan, Source, StoredFragment
from gazette_py.errors import CorruptFragmentError, StoreDeniedError, StoreUnavailableError
from gazette_py.protocol.fragment import Fragment
from gazette_py.stores.base import ObjectStream

MIB = 1 << 20
CONTENT = hashlib.shake_128(b"history").digest(8 * MIB)


class Chunks:
    """A stream which gives what it is told to, and may break."""

    def __init__(self, chunks: list[bytes], *, breaks: bool = False, hangs: bool = False) -> None:
        self._chunks = chunks
        self._breaks = breaks
        self._hangs = hangs
        self.is_closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._chunks:
            return self._chunks.pop(0)
        if self._hangs:
            await asyncio.Event().wait()
        if self._breaks:
            raise StoreUnavailableError("s3://bucket/", "fetch", "", "connection reset")
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self.is_closed = True


class HeldStore:
    """Streams of files by their URLs, one for each time that they are opened."""

    def __init__(self) -> None:
        self.streams: dict[str, list[Chunks | Exception]] = {}
        self.opened: list[str] = []

    async def open(self, url: str) -> ObjectStream:
        self.opened.append(url)
        stream = self.streams[url].pop(0)
        if isinstance(stream, Exception):
            raise stream
        return ObjectStream("", stream)

    def hold(self, begin: int, end: int, *streams: Chunks | Exception) -> StoredFragment:
        """Hold the file of an extent of CONTENT, whole unless streams are given."""
        content = CONTENT[begin:end]
        pieces = [content[at : at + MIB] for at in range(0, len(content), MIB)]
        url = f"https://bucket/{begin}-{end}"
        self.streams[url] = list(streams) or [Chunks(pieces)]
        digest = hashlib.sha1(content).digest()
        fragment = Fragment(
            journal="a/journal", begin=begin, end=end, sum=digest, backing_store="s3://bucket/"
        )
        return StoredFragment(fragment, url)


@pytest.fixture
def store() -> HeldStore:
    return HeldStore()


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


def plan_of(*stored: StoredFragment, budget: int = 64 * MIB) -> ReadPlan:
    plan = ReadPlan("a/journal", 0, 0, budget_bytes=budget, fetches_max=FETCHES_MAX)
    plan.broker_found(stored[0])
    plan.listed(stored[1:])
    return plan


async def rest_of(history: History, into: bytearray | None = None) -> bytes:
    """Read until the plan says that the store has no more. `into` keeps it if that fails."""
    content = bytearray() if into is None else into
    while pieces := (await history.batch(MIB))[0]:
        for piece in pieces:
            content += piece
    return bytes(content)


async def test_several_files_are_fetched_before_the_first_is_read(
    store: HeldStore, executor: ThreadPoolExecutor
) -> None:
    stored = [store.hold(at * MIB, (at + 1) * MIB) for at in range(8)]
    plan = plan_of(*stored)
    history = History(plan, open_url=store.open, executor=executor, counts=Counts())
    pieces, fragment = await history.batch(100)
    assert b"".join(pieces) == CONTENT[:100]
    assert fragment == stored[0].fragment
    await until(lambda: len(store.opened) >= FETCHES_MAX, "opened ahead")
    assert await rest_of(history) == CONTENT[100:]
    assert (plan.source, plan.offset) == (Source.BROKER, len(CONTENT))
    await history.aclose()


async def test_content_which_waits_is_bounded(
    store: HeldStore, executor: ThreadPoolExecutor
) -> None:
    """RP4. A reader who rests holds no more than the budget, and a piece of each fetch."""
    plan = plan_of(store.hold(0, 4 * MIB), store.hold(4 * MIB, 8 * MIB), budget=2 * MIB)
    history = History(plan, open_url=store.open, executor=executor, counts=Counts())
    assert (await history.batch(1))[0]
    read, at = 1, 0
    while read < len(CONTENT):
        for _ in range(20):  # Whatever can go on, does.
            await asyncio.sleep(0)
        at = max(at, plan.buffered_bytes)
        read += sum(map(len, (await history.batch(MIB // 2))[0]))
    assert MIB // 2 < at <= 4 * MIB
    await history.aclose()


async def test_a_stream_which_breaks_is_taken_up_again(
    store: HeldStore, executor: ThreadPoolExecutor
) -> None:
    content = CONTENT[: 4 * MIB]
    streams = [
        Chunks([content[: 3 * MIB // 2], content[3 * MIB // 2 : 3 * MIB]], breaks=True),
        Chunks([content[: MIB + 7]], breaks=True),
        Chunks([content[:1000], content[1000 : 2 * MIB], content[2 * MIB :]]),
    ]
    plan = plan_of(store.hold(0, 4 * MIB, *streams))
    history = History(plan, open_url=store.open, executor=executor, counts=Counts())
    assert await rest_of(history) == content
    assert len(store.opened) == 3
    assert all(stream.is_closed for stream in streams)


async def test_a_stream_which_differs_from_the_one_before_is_no_continuation(
    store: HeldStore, executor: ThreadPoolExecutor
) -> None:
    """D3. Both files have the same sum in the end, but what was handed out is of neither."""
    content = CONTENT[: 4 * MIB]
    bad = bytearray(content)
    bad[5] ^= 1
    streams = [
        Chunks([bytes(bad[: 2 * MIB]), bytes(bad[2 * MIB : 3 * MIB])], breaks=True),
        Chunks([content]),
    ]
    plan = plan_of(store.hold(0, 4 * MIB, *streams))
    history = History(plan, open_url=store.open, executor=executor, counts=Counts())
    with pytest.raises(CorruptFragmentError, match="differs from what was read") as caught:
        await rest_of(history)
    assert hashlib.sha1(content).hexdigest() in caught.value.expected
    assert plan.source is Source.BROKER


async def test_whoever_observes_is_given_each_file_from_its_first_byte_on_once(
    store: HeldStore, executor: ThreadPoolExecutor
) -> None:
    """Also what another file has, and where a stream broke."""
    broken = Chunks([CONTENT[MIB : 2 * MIB], CONTENT[2 * MIB : 3 * MIB]], breaks=True)
    whole = Chunks([CONTENT[MIB : 3 * MIB], CONTENT[3 * MIB : 5 * MIB]])
    first, second = store.hold(0, 3 * MIB), store.hold(MIB, 5 * MIB, broken, whole)
    plan = ReadPlan("a/journal", 10, 5 * MIB, budget_bytes=64 * MIB, fetches_max=FETCHES_MAX)
    plan.begin_at_store([first, second])
    observed = {first.fragment: bytearray(), second.fragment: bytearray()}

    def observe(fragment: Fragment, offset: int, piece: bytes) -> None:
        assert offset == fragment.begin + len(observed[fragment])
        observed[fragment] += piece

    history = History(
        plan, open_url=store.open, executor=executor, counts=Counts(), observe=observe
    )
    assert await rest_of(history) == CONTENT[10 : 5 * MIB]
    assert observed == {
        first.fragment: CONTENT[: 3 * MIB],
        second.fragment: CONTENT[MIB : 5 * MIB],
    }
    await history.aclose()


async def test_a_stream_which_breaks_too_often_is_left_to_the_broker(
    store: HeldStore, executor: ThreadPoolExecutor
) -> None:
    streams = [Chunks([CONTENT[:MIB], CONTENT[MIB : 2 * MIB]], breaks=True) for _ in range(3)]
    plan = plan_of(store.hold(0, 4 * MIB, *streams), store.hold(4 * MIB, 5 * MIB))
    history = History(plan, open_url=store.open, executor=executor, counts=Counts())
    with pytest.raises(StoreUnavailableError):
        await rest_of(history)
    # What was received was handed out, but for the last piece, which nothing has confirmed.
    assert (plan.source, plan.offset, plan.until) == (Source.PROXY, MIB, 5 * MIB)


async def test_a_damage_ahead_is_an_error_in_its_turn(
    store: HeldStore, executor: ThreadPoolExecutor
) -> None:
    bad = store.hold(MIB, 2 * MIB, Chunks([CONTENT[MIB : 2 * MIB - 1] + b"?"]))
    plan = plan_of(store.hold(0, MIB), bad, store.hold(2 * MIB, 3 * MIB))
    history = History(plan, open_url=store.open, executor=executor, counts=Counts())
    pieces, _ = await history.batch(1)
    await until(lambda: not [t for t in asyncio.all_tasks() if f"{MIB}" in t.get_name()], "failed")
    content = bytearray(b"".join(pieces))
    with pytest.raises(CorruptFragmentError, match=r"0000000000100000-0000000000200000"):
        await rest_of(history, content)
    assert content == CONTENT[:MIB]
    assert plan.offset == MIB


async def test_a_failure_ahead_ends_the_fetches_behind_it(
    store: HeldStore, executor: ThreadPoolExecutor
) -> None:
    denied = StoreDeniedError("s3://bucket/", "fetch", "", "403")
    endless = Chunks([CONTENT[2 * MIB : 3 * MIB]], hangs=True)
    plan = plan_of(
        store.hold(0, MIB),
        store.hold(MIB, 2 * MIB, denied),
        store.hold(2 * MIB, 8 * MIB, endless),
    )
    history = History(plan, open_url=store.open, executor=executor, counts=Counts())
    assert b"".join((await history.batch(MIB))[0]) == CONTENT[:MIB]
    with pytest.raises(StoreDeniedError):
        await history.batch(MIB)
    assert (plan.source, plan.offset) == (Source.PROXY, MIB)
    await until(lambda: not [t for t in asyncio.all_tasks() if "fetch" in t.get_name()], "ended")


async def test_a_bug_in_a_fetch_is_not_waited_for(
    store: HeldStore, executor: ThreadPoolExecutor
) -> None:
    plan = plan_of(store.hold(0, MIB, ZeroDivisionError("a bug")))
    history = History(plan, open_url=store.open, executor=executor, counts=Counts())
    with pytest.raises(ZeroDivisionError):
        await history.batch(1)


async def test_the_last_piece_waits_for_the_comparison(executor: ThreadPoolExecutor) -> None:
    """D2."""
    fragment = Fragment(journal="a/journal", begin=0, end=3 * MIB, sum=bytes(20))
    reader = FragmentReader(fragment, executor)
    pieces = [CONTENT[at : at + MIB] for at in range(0, 3 * MIB, MIB)]
    reading = reader.read(ObjectStream("", Chunks(pieces)))
    assert await anext(reading) + await anext(reading) == CONTENT[: 2 * MIB]
    with pytest.raises(CorruptFragmentError):
        await anext(reading)
