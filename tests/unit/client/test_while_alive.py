"""A call is given up when its broker does not answer, however gRPC tells of the cancellation."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
from grpc.aio import AioRpcError, Metadata

from gazette_py.client.dispatch import Connection, WhileAlive
from gazette_py.clock import SYSTEM
from gazette_py.errors import RpcUnavailableError
from gazette_py.rpc.channel import dial
from gazette_py.rpc.tokens import Tokens


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    channel = dial("http://127.0.0.1:1")
    yield Connection("http://127.0.0.1:1", channel, Tokens())
    await channel.close()


def ended(code: grpc.StatusCode) -> AioRpcError:
    return AioRpcError(code, Metadata(), Metadata(), details=code.name)


async def call(*, as_an_end: bool) -> None:
    """Wait for an answer; tell of a cancellation as grpc.aio does, or as it does at other times."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        if as_an_end:
            raise ended(grpc.StatusCode.CANCELLED) from None
        raise


@pytest.mark.parametrize("as_an_end", [False, True])
async def test_a_broker_which_is_silent(connection: Connection, as_an_end: bool) -> None:
    with pytest.raises(RpcUnavailableError, match="the broker does not answer"):
        async with WhileAlive(connection, SYSTEM, 0.01):
            await call(as_an_end=as_an_end)
    assert connection.avoid_until > 0


@pytest.mark.parametrize("as_an_end", [False, True])
async def test_a_caller_which_runs_out_of_time(connection: Connection, as_an_end: bool) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01), WhileAlive(connection, SYSTEM, 60):
            await call(as_an_end=as_an_end)
    assert connection.avoid_until == 0


async def test_a_broker_which_cancels_the_call(connection: Connection) -> None:
    """Nobody else did: that is its answer."""
    with pytest.raises(AioRpcError):
        async with WhileAlive(connection, SYSTEM, 60):
            raise ended(grpc.StatusCode.CANCELLED)
