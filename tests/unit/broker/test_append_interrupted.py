"""An append which is interrupted after any step of the event loop, against a peer of this process.

Whatever happened, both tokens are in their slots afterwards, the next append goes through, and the
journal holds the appends which were acknowledged, each whole and once, and of the interrupted one
all or nothing.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from broker_harness import JOURNAL, Broker, Cluster, new_cluster, until

from gazette_py.broker.append_run import (
    AppendOutcome,
    AppendRequest,
    AppendRun,
    ClientGoneError,
)
from gazette_py.broker.token import Signal
from gazette_py.core.append import AppendOptions
from gazette_py.core.append_stream import RegisterChange
from gazette_py.core.flow_control import FlowControl
from gazette_py.errors import GazetteError
from gazette_py.protocol.enums import Status

pytestmark = pytest.mark.slow

STEPS_MAX = 400
"""More than an append of two brokers of this process takes, even a first one."""


class Content:
    """Content of two chunks. A client which has gone gives no more."""

    delayed_chunks = 0

    def __init__(self, content: bytes, gone: Signal) -> None:
        self._chunks: list[bytes | None] = [content[:3], content[3:], b"", None]
        self._gone = gone

    def begin(self, flow: FlowControl, max_append_rate: int) -> None:
        """Do nothing: there are no rates."""

    async def receive(self, invalidated: Signal) -> bytes | None:
        await asyncio.sleep(0)
        if self._gone.is_fired:
            raise ClientGoneError("the client has gone")
        return self._chunks.pop(0)


def begin_append(broker: Broker, content: bytes) -> "tuple[asyncio.Task[AppendOutcome], Signal]":
    gone = Signal()
    request = AppendRequest(
        journal=JOURNAL, options=AppendOptions(), may_proxy=False, change=RegisterChange()
    )
    run = AppendRun(broker.service, request, gone)
    return asyncio.create_task(run.run(Content(content, gone))), gone


Interrupt = Callable[[Broker, "asyncio.Task[AppendOutcome]", Signal], object]

INTERRUPTS: dict[str, Interrupt] = {
    "the client leaves": lambda broker, task, gone: gone.fire(),
    "the task is cancelled": lambda broker, task, gone: task.cancel(),
    "the resolution is invalidated": lambda broker, task, gone: broker.replica().invalidate(),
    "a stream breaks": lambda broker, task, gone: break_streams(broker),
}


def break_streams(broker: Broker) -> None:
    """End the tasks which move messages, as a lost connection does."""
    for task in list(broker.replica()._tasks):
        task.cancel()


async def interrupted(broker: Broker, content: bytes, steps: int, interrupt: Interrupt) -> bool:
    """Append, and interrupt it after a number of steps. Return whether it ended before that."""
    task, gone = begin_append(broker, content)
    for _ in range(steps):
        if task.done():
            break
        await asyncio.sleep(0)
    is_over = task.done()
    if not is_over:
        interrupt(broker, task, gone)
    try:
        assert (await task).status is Status.OK
    except (GazetteError, asyncio.CancelledError):
        return is_over
    acknowledged.append(content)
    return is_over


acknowledged: list[bytes] = []


async def check(broker: Broker, peer: Broker, sent: list[bytes], *, has_holes: bool) -> None:
    """Check tokens and content of both brokers."""
    for _ in range(20):  # A broken pipeline may cost an append or two.
        try:
            last, _ = begin_append(broker, b"<check>")
            await last
            break
        except GazetteError:
            continue
    else:
        raise AssertionError("no append goes through any more")
    assert await broker.is_idle()
    head = broker.replica().index.summary().end
    await until(lambda: peer.replica().index.summary().end == head, "replicated")
    content = await broker.read()
    # A peer which did not get a commit has a hole there, until it is in a store.
    whole = await peer.read()
    assert content.startswith(whole)
    assert has_holes or whole == content
    records = content.decode().replace("<", " <").split()
    assert all(record.encode() in {*sent, b"<check>"} for record in records), records
    for each in sent:
        assert records.count(each.decode()) <= 1
    assert all(records.count(each.decode()) == 1 for each in acknowledged)
    assert [r for r in records if r.encode() in acknowledged] == [r.decode() for r in acknowledged]


async def cluster_of_two(cluster: Cluster) -> tuple[Broker, Broker]:
    broker, peer = await cluster.broker("a"), await cluster.broker("b")
    await cluster.serve(broker, peer)
    return broker, peer


@pytest.mark.parametrize("name", INTERRUPTS)
async def test_nothing_is_lost_or_left_over(tmp_path: Path, name: str) -> None:
    """Of appends which find the pipeline built, or must build it: whatever the last one left."""
    acknowledged.clear()
    has_holes = name == "a stream breaks"
    async with new_cluster(tmp_path) as cluster:
        broker, peer = await cluster_of_two(cluster)
        sent: list[bytes] = []
        steps, over = 0, 0
        while over < 3:
            assert steps < STEPS_MAX, "the append never ends before it is interrupted"
            sent.append(b"<%d:%s>" % (steps, b"x" * (steps % 7)))
            over = over + 1 if await interrupted(broker, sent[-1], steps, INTERRUPTS[name]) else 0
            steps += 1
            if steps % 10 == 0:
                await check(broker, peer, sent, has_holes=has_holes)
        await check(broker, peer, sent, has_holes=has_holes)
        assert acknowledged
