"""Calls from within the process: the services' own answers and errors, and nothing left behind."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from broker_harness import DEADLINE_S, JOURNAL, Broker, Cluster, new_cluster

from gazette_py.broker import local_calls
from gazette_py.broker.calls import Calls
from gazette_py.broker.local_calls import LocalCalls
from gazette_py.broker.stored_fragment import StoredFragments
from gazette_py.errors import AppendOutcomeUnknownError, RpcError, RpcUnavailableError
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.rpc.errors import NOT_COMMITTED
from gazette_py.rpc.stream import receive
from gazette_py.rpc.tokens import Verifier
from gazette_py.telemetry.metrics import Metrics


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with new_cluster(tmp_path) as made:
        yield made


@pytest.fixture
async def broker(cluster: Cluster) -> Broker:
    served = await cluster.broker("a")
    await cluster.serve(served)
    await served.read_through()
    return served


def calls_of(broker: Broker) -> LocalCalls:
    calls = Calls(Metrics(), Verifier())
    calls.start(broker.service)
    fragments = StoredFragments(broker.spools, ThreadPoolExecutor(1))
    return LocalCalls(calls, fragments, broker.spools, broker.service)


async def content(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def under_way() -> list[str]:
    return [task.get_name() for task in asyncio.all_tasks() if "over HTTP" in task.get_name()]


async def test_what_is_appended_is_read(broker: Broker) -> None:
    calls = calls_of(broker)
    response = await calls.append(pb.AppendRequest(journal=JOURNAL), content(b"he", b"llo"), "")
    assert (response.status, response.commit.end) == (pb.OK, 5)
    read = [r async for r in calls.read(pb.ReadRequest(journal=JOURNAL), "")]
    assert [r.content for r in read] == [b"", b"hello", b""]
    (listed,) = [r async for r in calls.list(pb.ListRequest(), "")]
    assert [journal.spec.name for journal in listed.journals] == [JOURNAL]
    assert under_way() == []


async def test_another_broker_forwards(cluster: Cluster, broker: Broker) -> None:
    other = await cluster.broker("b")
    await other.read_through()
    calls = calls_of(other)
    await calls.append(pb.AppendRequest(journal=JOURNAL), content(b"hello"), "")
    read = [r.content async for r in calls.read(pb.ReadRequest(journal=JOURNAL), "")]
    assert b"".join(read) == b"hello"


async def test_a_read_which_is_closed_ends_its_call(broker: Broker) -> None:
    await broker.append(b"hello")
    request = pb.ReadRequest(journal=JOURNAL, block=True)
    async with aclosing(calls_of(broker).read(request, "")) as responses:
        assert (await anext(responses)).write_head == 5
        assert under_way() == ["Read over HTTP"]
    assert under_way() == []


async def test_a_reader_who_is_cancelled_ends_its_call(broker: Broker) -> None:
    request = pb.ReadRequest(journal=JOURNAL, block=True)

    async def read() -> None:
        async with aclosing(calls_of(broker).read(request, "")) as responses:
            await anext(responses)

    reading = asyncio.create_task(read())
    await asyncio.wait([reading], timeout=0.01)
    assert under_way() == ["Read over HTTP"]
    reading.cancel()
    await asyncio.wait([reading])
    assert under_way() == []


async def test_errors_are_those_of_grpc(broker: Broker) -> None:
    with pytest.raises(RpcError, match="invalid Offset") as failed:
        [r async for r in calls_of(broker).read(pb.ReadRequest(journal=JOURNAL, offset=-2), "")]
    assert failed.value.code == "UNKNOWN"


async def test_an_append_which_came_to_nothing_is_known_to(broker: Broker) -> None:
    broker.lease_until = 0.0
    with pytest.raises(RpcUnavailableError, match="lease has expired"):
        await calls_of(broker).append(pb.AppendRequest(journal=JOURNAL), content(b"hello"), "")


@pytest.mark.parametrize("is_known", [True, False])
async def test_an_append_which_broke_off_may_be_there(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, is_known: bool
) -> None:
    """As the service tells; see the tests of appends for when it does."""

    async def serve(_: object, context: Any, visible: object) -> pb.AppendResponse:
        while await receive(context, pb.AppendRequest) is not None:
            pass
        if is_known:
            context.set_trailing_metadata((NOT_COMMITTED,))
        raise RpcUnavailableError("peer", "UNAVAILABLE", "gone")

    monkeypatch.setattr(local_calls, "serve_append", serve)
    with pytest.raises(RpcError, match="gone") as failed:
        await calls_of(broker).append(pb.AppendRequest(journal=JOURNAL), content(b"x"), "")
    expected = RpcUnavailableError if is_known else AppendOutcomeUnknownError
    assert type(failed.value) is expected


@pytest.mark.parametrize(
    ("header", "metadata"), [("", ()), ("Bearer x", (("authorization", "Bearer x"),))]
)
async def test_the_header_is_the_metadata_of_the_call(
    broker: Broker,
    monkeypatch: pytest.MonkeyPatch,
    header: str,
    metadata: tuple[tuple[str, str], ...],
) -> None:
    """Whoever verifies tokens of gRPC's calls verifies these."""
    found = []

    async def serve(*arguments: Any) -> int:
        found.append(arguments[-2].invocation_metadata())
        return 0

    monkeypatch.setattr(local_calls, "serve_read", serve)
    monkeypatch.setattr(local_calls, "serve_list", serve)
    calls = calls_of(broker)
    assert [r async for r in calls.read(pb.ReadRequest(), header)] == []
    assert [r async for r in calls.list(pb.ListRequest(), header)] == []
    assert found == [metadata, metadata]


async def test_it_tells_that_the_broker_stops(broker: Broker) -> None:
    waiting = asyncio.create_task(calls_of(broker).wait_stopping())
    await asyncio.wait([waiting], timeout=0.01)
    assert not waiting.done()
    broker.service.stopping.fire()
    await asyncio.wait_for(waiting, DEADLINE_S)


def test_a_journal_without_a_label_has_no_type(broker: Broker) -> None:
    assert calls_of(broker).content_type(JOURNAL) == ""
    assert calls_of(broker).content_type("a/missing") == ""
