"""Snapshots of journals, listed and watched, against a broker which follows a script."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest
from keyspaces import spec

from gazette_py import errors
from gazette_py.client import Client, ListResult, connect
from gazette_py.clock import SystemClock
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.pb.protocol_pb2_grpc import JournalServicer, add_JournalServicer_to_server
from gazette_py.protocol import convert

Step = pb.ListResponse | grpc.StatusCode

END = pb.ListResponse()
"""Ends a snapshot of a watch."""


class NoWaiting(SystemClock):
    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


class ScriptedBroker(JournalServicer):
    """Answers each List by the next script: messages, then an end or a failure."""

    def __init__(self, *scripts: list[Step]) -> None:
        self._scripts = list(scripts)
        self.lists: list[pb.ListRequest] = []

    async def List(self, request: Any, context: Any) -> AsyncIterator[pb.ListResponse]:  # type: ignore[override]  # noqa: N802
        self.lists.append(request)
        for step in self._scripts.pop(0):
            if isinstance(step, grpc.StatusCode):
                await context.abort(step, "as the script says")
            yield step


@asynccontextmanager
async def served(broker: ScriptedBroker) -> AsyncIterator[Client]:
    server = grpc.aio.server()
    add_JournalServicer_to_server(broker, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        address = f"http://127.0.0.1:{port}"
        async with connect(address, clock=NoWaiting(), timeout_s=5) as client:
            yield client
    finally:
        await server.stop(0)


def message(*names: str, revision: int = 0, status: pb.Status.ValueType = pb.OK) -> pb.ListResponse:
    """Return a message of a listing, with a header if it has a revision."""
    made = pb.ListResponse(status=status)
    if revision:
        made.header.process_id.CopyFrom(pb.ProcessSpec.ID(zone="a", suffix="broker"))
        made.header.etcd.CopyFrom(
            pb.Header.Etcd(cluster_id=1, member_id=1, revision=revision, raft_term=1)
        )
        made.header.route.primary = -1
    for name in names:
        route = pb.Route(primary=-1)
        made.journals.add(
            spec=convert.journal_to_pb(spec(name)), mod_revision=3, create_revision=2, route=route
        )
    return made


def names(of: ListResult) -> list[str]:
    return [journal.spec.name for journal in of.journals]


async def watched(client: Client, count: int) -> list[tuple[int, list[str]]]:
    """Return revisions and names of so many snapshots."""
    seen = []
    async with aclosing(client.watch()) as snapshots, asyncio.timeout(5):
        async for snapshot in snapshots:
            seen.append((snapshot.header.etcd.revision, names(snapshot)))
            if len(seen) == count:
                break
    return seen


class TestList:
    async def test_a_snapshot_is_joined_from_its_messages(self) -> None:
        broker = ScriptedBroker([message("a/1", "a/2", revision=7), message("a/3")])
        async with served(broker) as client:
            listed = await client.list()
        assert names(listed) == ["a/1", "a/2", "a/3"]
        assert listed.header.etcd.revision == 7
        assert listed.journals[0].mod_revision == 3
        assert listed.journals[0].route.members == ()

    async def test_there_may_be_none(self) -> None:
        async with served(ScriptedBroker([message(revision=7)])) as client:
            assert names(await client.list()) == []

    async def test_a_status_is_raised(self) -> None:
        broker = ScriptedBroker([message(revision=7, status=pb.NOT_ALLOWED)])
        async with served(broker) as client:
            with pytest.raises(errors.NotAllowedError):
                await client.list()

    async def test_no_answer_at_all_is_tried_again(self) -> None:
        """An empty stream is one which a broker closed as it left, and no empty listing."""
        broker = ScriptedBroker([], [grpc.StatusCode.UNAVAILABLE], [message("a/1", revision=7)])
        async with served(broker) as client:
            assert names(await client.list()) == ["a/1"]

    async def test_a_stream_which_fails_within_a_snapshot_gives_none_of_it(self) -> None:
        broken = [message("a/1", revision=7), grpc.StatusCode.UNAVAILABLE]
        broker = ScriptedBroker(broken, [message("a/1", "a/2", revision=8)])
        async with served(broker) as client:
            assert names(await client.list()) == ["a/1", "a/2"]


class TestWatch:
    async def test_a_snapshot_ends_with_a_message_without_journals(self) -> None:
        first = [message("a/1", revision=7), message("a/2"), END]
        broker = ScriptedBroker(
            [*first, message("a/2", revision=9), END, message(revision=10), END]
        )
        async with served(broker) as client:
            assert await watched(client, 3) == [(7, ["a/1", "a/2"]), (9, ["a/2"]), (10, [])]
        assert [request.watch for request in broker.lists] == [True]

    async def test_a_stream_which_ends_is_taken_up_behind_the_last_snapshot(self) -> None:
        broker = ScriptedBroker(
            [message("a/1", revision=7), END, grpc.StatusCode.UNAVAILABLE],
            [],
            [message("a/2", revision=9), END],
        )
        async with served(broker) as client:
            assert await watched(client, 2) == [(7, ["a/1"]), (9, ["a/2"])]
        resumed = [request.watch_resume.etcd.revision for request in broker.lists]
        assert resumed == [0, 7, 7]

    async def test_a_snapshot_which_is_cut_short_is_dropped(self) -> None:
        broker = ScriptedBroker(
            [message("a/1", revision=7), message("a/2")],
            [message("a/1", "a/2", revision=8), END],
        )
        async with served(broker) as client:
            assert await watched(client, 1) == [(8, ["a/1", "a/2"])]

    async def test_a_broker_which_is_behind_is_not_believed(self) -> None:
        broker = ScriptedBroker(
            [message("a/1", revision=7), END],
            [message("a/old", revision=7), END],
            [message("a/2", revision=8), END],
        )
        async with served(broker) as client:
            assert await watched(client, 2) == [(7, ["a/1"]), (8, ["a/2"])]

    async def test_who_is_not_let_in_is_told(self) -> None:
        broker = ScriptedBroker([grpc.StatusCode.UNAUTHENTICATED])
        async with served(broker) as client:
            with pytest.raises(errors.RpcUnauthenticatedError):
                await watched(client, 1)
