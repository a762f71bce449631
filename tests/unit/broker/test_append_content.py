"""The side of an Append which reads the client's stream."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any, cast

from gazette_py.broker.append_api import ClientContent, _UntilDone
from gazette_py.broker.service import Service
from gazette_py.broker.token import Signal
from gazette_py.core.flow_control import FlowControl
from gazette_py.pb import protocol_pb2 as pb


async def test_an_append_which_ends_as_its_stream_does_raises_nothing() -> None:
    """Its end may be on the way to us at the moment at which we leave."""
    unhandled: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: unhandled.append(context))
    append: asyncio.Future[Any] = loop.create_future()
    async with _UntilDone(append):
        append.set_result(None)
    await asyncio.sleep(0)
    assert unhandled == []


async def test_an_append_which_ends_ends_the_reading() -> None:
    append: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    async with _UntilDone(append) as until:
        asyncio.get_running_loop().call_soon(append.set_result, None)
        await asyncio.get_running_loop().create_future()
    assert until.is_done


async def test_a_rate_is_kept_though_the_wall_clock_is_set_back() -> None:
    """Else the balance would not grow until the clock is where it was."""
    clock = SimpleNamespace(now=iter(range(10_000, 0, -1)).__next__, monotonic=time.monotonic)
    content = ClientContent(cast("Service", SimpleNamespace(clock=clock)))
    content.begin(FlowControl(min_rate=0, max_rate=1000), 0)
    for piece in (b"x" * 1000, b"y" * 100):  # The first is in advance, the second takes 100 ms.
        await content.feed(pb.AppendRequest(content=piece))
    async with asyncio.timeout(5):
        assert await content.receive(Signal()) == b"x" * 1000
        assert await content.receive(Signal()) == b"y" * 100
