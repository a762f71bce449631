"""Watches against scripted streams: what etcd does only now and then, or only old ones do."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

import grpc
import grpc.aio
import pytest

from gazette_py.clock import SystemClock
from gazette_py.errors import EtcdCompactedError, EtcdError
from gazette_py.etcd import wire
from gazette_py.etcd.base import WatchBatch
from gazette_py.etcd.client import EtcdClient
from gazette_py.pb import etcd_pb2 as pb

BROKEN = grpc.aio.AioRpcError(
    grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata(), "no leader"
)
DENIED = grpc.aio.AioRpcError(
    grpc.StatusCode.PERMISSION_DENIED, grpc.aio.Metadata(), grpc.aio.Metadata(), "go away"
)
CREATED = pb.WatchResponse(created=True)

Step = pb.WatchResponse | Exception


def events(*revisions: int, fragment: bool = False) -> pb.WatchResponse:
    return pb.WatchResponse(
        header=pb.ResponseHeader(revision=max(revisions)),
        events=[pb.Event(kv=pb.KeyValue(key=b"/a", mod_revision=r)) for r in revisions],
        fragment=fragment,
    )


def progress(revision: int) -> pb.WatchResponse:
    return pb.WatchResponse(header=pb.ResponseHeader(revision=revision))


class ScriptedCall:
    """A stream which answers as scripted, and then ends."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.requests: list[pb.WatchRequest] = []
        self.is_cancelled = False
        self._steps = steps

    async def write(self, request: pb.WatchRequest) -> None:
        self.requests.append(request)

    def cancel(self) -> None:
        self.is_cancelled = True

    async def __aiter__(self) -> AsyncGenerator[pb.WatchResponse, None]:
        for step in self._steps:
            if isinstance(step, Exception):
                raise step
            await asyncio.sleep(0)  # Whoever writes goes first.
            yield step


class NoWaiting(SystemClock):
    """A clock whose sleeps are noted and end at once, and which moves on with every look."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.time = 0.0
        self.step_s = 10.0

    def monotonic(self) -> float:
        self.time += self.step_s
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


class Scripts:
    """A client whose watches meet one scripted stream after the other."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *scripts: Sequence[Step]) -> None:
        self.clock = NoWaiting()
        access = wire.Access(endpoints=("http://127.0.0.1:1",))
        self.client = EtcdClient(access, timeout_s=1.0, clock=self.clock)
        self.calls = [ScriptedCall(steps) for steps in scripts]
        ahead = iter(self.calls)
        monkeypatch.setattr(self.client, "_open_watch", lambda endpoint: next(ahead))

    async def take(self, count: int, start: int = 5) -> list[tuple[int, list[int]]]:
        """Return header revision and events' revisions of as many batches."""
        batches = self.client.watch_prefix(b"/a", start)
        assert isinstance(batches, AsyncGenerator)
        try:
            async with aclosing(batches):
                taken: list[WatchBatch] = [await anext(batches) for _ in range(count)]
        finally:
            await self.client.close()
        return [(b.header.revision, [e.kv.mod_revision for e in b.events]) for b in taken]

    def starts(self) -> list[int]:
        """Return from where each stream was asked to begin."""
        return [call.requests[0].create_request.start_revision for call in self.calls]


async def test_the_request_of_a_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    scripts = Scripts(monkeypatch, [CREATED, events(5)])
    await scripts.take(1)
    (call,) = scripts.calls
    assert call.requests == [
        pb.WatchRequest(
            create_request=pb.WatchCreateRequest(
                key=b"/a", range_end=b"/b", start_revision=5, progress_notify=True, fragment=True
            )
        )
    ]
    assert call.is_cancelled


async def test_a_watch_asks_for_a_server_which_has_a_leader(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One which is cut off from the others would be silent for ever."""
    given: list[tuple[str, str]] = []

    class Channel:
        def stream_stream(self, *_: object, **__: object) -> Callable[..., None]:
            return lambda metadata: given.extend(metadata)

    client = EtcdClient(
        wire.Access(endpoints=("http://127.0.0.1:1",)), timeout_s=1.0, clock=NoWaiting()
    )
    with monkeypatch.context() as patch:
        patch.setattr(client, "_channels", [Channel()])
        client._open_watch(0)
    await client.close()
    assert ("hasleader", "true") in given


async def test_fragments_are_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    scripts = Scripts(
        monkeypatch,
        [CREATED, events(5, 6, fragment=True), events(6, fragment=True), events(6), events(7)],
    )
    assert await scripts.take(2) == [(6, [5, 6, 6, 6]), (7, [7])]


async def test_fragments_of_a_stream_which_broke_are_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scripts = Scripts(
        monkeypatch,
        [CREATED, events(5), events(6, fragment=True), BROKEN],
        [CREATED, events(6, 6)],
    )
    assert await scripts.take(2) == [(5, [5]), (6, [6, 6])]
    assert scripts.starts() == [5, 6]


async def test_an_event_which_came_after_its_progress_is_not_lost_with_the_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Servers before 3.4.25 and 3.5.8 may let progress overtake events."""
    scripts = Scripts(
        monkeypatch,
        [CREATED, progress(8), progress(9), BROKEN],
        [CREATED, events(9)],
    )
    assert await scripts.take(3) == [(8, []), (9, []), (9, [9])]
    assert scripts.starts() == [5, 9]


async def test_progress_of_a_watch_which_has_just_begun_is_not_believed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Such servers count what they have yet to send to a watch which is behind."""
    scripts = Scripts(monkeypatch, [CREATED, progress(9), events(8, 9), progress(9)])
    scripts.clock.step_s = 0.2
    assert await scripts.take(2) == [(9, [8, 9]), (9, [])]


async def test_back_off_grows_until_something_is_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[Step] = [CREATED]
    scripts = Scripts(
        monkeypatch, *[[BROKEN]] * 4, ended, [CREATED, events(5), BROKEN], [CREATED, events(6)]
    )
    await scripts.take(2)
    assert scripts.clock.slept == [0.0, 0.0, 0.005, 2.0, 3.0, 0.0]


@pytest.mark.parametrize(
    "reason", ["etcdserver: no leader", "etcdserver: invalid auth token", "auth store is old"]
)
async def test_a_watch_which_etcd_cancels_for_now_goes_on(
    monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    canceled = pb.WatchResponse(created=True, canceled=True, cancel_reason=reason)
    scripts = Scripts(monkeypatch, [canceled], [CREATED, events(5)])
    assert await scripts.take(1) == [(5, [5])]


async def test_a_compacted_watch_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    canceled = pb.WatchResponse(canceled=True, compact_revision=7)
    scripts = Scripts(monkeypatch, [CREATED, canceled])
    with pytest.raises(EtcdCompactedError, match=r"etcd http://127\.0\.0\.1:1: .* revision 7"):
        await scripts.take(1)


async def test_a_watch_which_is_refused_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = pb.WatchResponse(canceled=True, cancel_reason="permission denied")
    with pytest.raises(EtcdError, match=r"watch refused: permission denied"):
        await Scripts(monkeypatch, [refused]).take(1)
    with pytest.raises(EtcdError, match=r"go away"):
        await Scripts(monkeypatch, [DENIED]).take(1)


async def test_requests_for_progress_which_wait_to_be_sent_are_joined(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scripts = Scripts(monkeypatch, [CREATED, events(5), events(6), progress(6)])
    batches = scripts.client.watch_prefix(b"/a", 5)
    assert isinstance(batches, AsyncGenerator)
    async with aclosing(batches):
        await anext(batches)
        for _ in range(3):
            await scripts.client.request_progress()
        await anext(batches)
        await anext(batches)
    kinds = [request.WhichOneof("request_union") for request in scripts.calls[0].requests]
    assert kinds == ["create_request", "progress_request"]
    await scripts.client.close()
