"""The side of an Append which reads the client's stream."""

import asyncio
from typing import Any

from gazette_py.broker.append_api import _UntilDone


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
