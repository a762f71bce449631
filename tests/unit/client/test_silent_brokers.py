"""Brokers which fell asleep, or were cut off: their connections are up, and nothing comes."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from broker_harness import until

from gazette_py.client import Client, connect, dispatch, reader
from gazette_py.errors import AppendOutcomeUnknownError, RpcUnavailableError

SETTINGS = b"\0\0\0\4\0\0\0\0\0"
"""The first frame of a server of HTTP/2. Without it gRPC does not take a connection for one."""


class SilentBroker(asyncio.Protocol):
    """Counts who came."""

    def __init__(self) -> None:
        self.visitors = 0
        self._server: asyncio.Server | None = None
        self._transports: list[asyncio.WriteTransport] = []

    async def start(self) -> str:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: self, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.visitors += 1
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(SETTINGS)
        self._transports.append(transport)

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for transport in self._transports:
            transport.abort()
        await asyncio.sleep(0)  # Where the loop closes their sockets.


@pytest.fixture
async def brokers() -> AsyncIterator[list[SilentBroker]]:
    made = [SilentBroker(), SilentBroker()]
    yield made
    for broker in made:
        await broker.stop()


@pytest.fixture
async def client(
    brokers: list[SilentBroker], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Client]:
    monkeypatch.setattr(dispatch, "PROBE_AFTER_S", 0.05)
    monkeypatch.setattr(dispatch, "PROBE_TIMEOUT_S", 0.1)
    addresses = [await broker.start() for broker in brokers]
    async with connect(",".join(addresses), timeout_s=20) as made:
        yield made


async def test_an_append_is_not_left_waiting_for_a_silent_broker(client: Client) -> None:
    with pytest.raises((RpcUnavailableError, AppendOutcomeUnknownError)) as caught:
        await client.append("a/journal", b"content", retry=False)
    assert "does not answer" in str(caught.value)


async def test_a_reader_does_not_wait_for_a_silent_broker_for_ever(
    client: Client, brokers: list[SilentBroker], monkeypatch: pytest.MonkeyPatch
) -> None:
    """R5. Who waits at the write head would not be told of an append, nor that he is not."""
    monkeypatch.setattr(reader, "PROBE_AFTER_S", 0.05)
    async with client.reader("a/journal", block=True) as reading:
        waiting = asyncio.ensure_future(reading.next_batch())
        await until(lambda: [broker.visitors for broker in brokers] == [1, 1], "asked elsewhere")
        assert "does not answer" in str(reading.health().last_error)
        assert not waiting.done()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_a_silent_broker_is_avoided_afterwards(
    client: Client, brokers: list[SilentBroker]
) -> None:
    for _ in range(2):
        with pytest.raises((RpcUnavailableError, AppendOutcomeUnknownError)):
            await client.append("a/journal", b"content", retry=False)
    assert [broker.visitors for broker in brokers] == [1, 1]
