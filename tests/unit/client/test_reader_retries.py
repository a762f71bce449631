"""Which outcomes of calls end a read, against a broker which follows a script."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest

from gazette_py import errors
from gazette_py.client import Client, Reader, connect
from gazette_py.clock import SystemClock
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.pb.protocol_pb2_grpc import JournalServicer, add_JournalServicer_to_server

JOURNAL = "acme/orders"

Step = pb.ReadResponse | grpc.StatusCode


class NoWaiting(SystemClock):
    """Notes for how long somebody meant to wait."""

    def __init__(self) -> None:
        self.waited: list[float] = []

    def monotonic(self) -> float:
        return sum(self.waited)

    async def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)
        await asyncio.sleep(0)


class ScriptedBroker(JournalServicer):
    """Answers each Read by the next script: messages, then an end or a failure."""

    def __init__(self, *scripts: list[Step]) -> None:
        self._scripts = list(scripts)
        self.reads: list[pb.ReadRequest] = []

    async def Read(self, request: Any, context: Any) -> AsyncIterator[pb.ReadResponse]:  # type: ignore[override]  # noqa: N802
        self.reads.append(request)
        for step in self._scripts.pop(0):
            if isinstance(step, grpc.StatusCode):
                await context.abort(step, "as the script says")
            yield step


@asynccontextmanager
async def served(broker: ScriptedBroker, **options: Any) -> AsyncIterator[tuple[Client, NoWaiting]]:
    server = grpc.aio.server()
    add_JournalServicer_to_server(broker, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    clock = NoWaiting()
    try:
        async with connect(f"http://127.0.0.1:{port}", clock=clock, **options) as client:
            yield client, clock
    finally:
        await server.stop(0)


def header() -> pb.Header:
    return pb.Header(
        process_id=pb.ProcessSpec.ID(zone="a", suffix="broker"),
        route=pb.Route(primary=-1),
        etcd=pb.Header.Etcd(cluster_id=1, member_id=1, revision=1, raft_term=1),
    )


def metadata(offset: int, end: int) -> pb.ReadResponse:
    fragment = pb.Fragment(
        journal=JOURNAL, begin=0, end=end, compression_codec=pb.CompressionCodec.NONE
    )
    return pb.ReadResponse(header=header(), offset=offset, write_head=end, fragment=fragment)


def content(offset: int, data: bytes) -> pb.ReadResponse:
    return pb.ReadResponse(offset=offset, content=data)


def refused(status: pb.Status.ValueType, offset: int = 0, head: int = 0) -> pb.ReadResponse:
    return pb.ReadResponse(status=status, header=header(), offset=offset, write_head=head)


def at_head(head: int) -> pb.ReadResponse:
    return refused(pb.OFFSET_NOT_YET_AVAILABLE, head, head)


async def all_of(reader: Reader) -> bytes:
    return b"".join([bytes(batch) async for batch in reader.batches()])


async def test_a_call_which_fails_is_taken_up_where_it_was() -> None:
    broker = ScriptedBroker(
        [metadata(0, 6), content(0, b"foo"), grpc.StatusCode.UNAVAILABLE],
        [metadata(3, 6), content(3, b"bar"), at_head(6)],
    )
    async with served(broker) as (client, clock), client.reader(JOURNAL) as reader:
        assert await all_of(reader) == b"foobar"
        assert isinstance(reader.health().last_error, errors.RpcUnavailableError)
        assert reader.health().failing_s == 0
    assert [request.offset for request in broker.reads] == [0, 3]
    assert clock.waited == []  # There was progress.


async def test_failures_in_a_row_are_further_and_further_apart() -> None:
    failing = [[grpc.StatusCode.UNAVAILABLE] for _ in range(8)]
    broker = ScriptedBroker(*failing, [at_head(0)])
    async with served(broker) as (client, clock), client.reader(JOURNAL) as reader:
        assert await reader.next_batch() is None
    assert clock.waited == [0.05, 0.05, 0.1, 0.1, 1.0, 1.0, 5.0, 5.0]


async def test_an_end_without_an_answer_backs_off_and_one_after_content_does_not() -> None:
    """Brokers end calls when they change, or tokens expire."""
    broker = ScriptedBroker([], [metadata(0, 3), content(0, b"foo")], [], [at_head(3)])
    async with served(broker) as (client, clock), client.reader(JOURNAL) as reader:
        assert await all_of(reader) == b"foo"
    assert clock.waited == [0.05, 0.05]


@pytest.mark.parametrize(
    "step",
    [
        refused(pb.NOT_JOURNAL_BROKER),
        refused(pb.INSUFFICIENT_JOURNAL_BROKERS),
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    ],
    ids=str,
)
async def test_what_time_mends_is_tried_again(step: Step) -> None:
    broker = ScriptedBroker([step], [at_head(0)])
    async with served(broker) as (client, _), client.reader(JOURNAL) as reader:
        assert await reader.next_batch() is None


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (refused(pb.SUSPENDED), errors.SuspendedError),
        (refused(pb.NOT_ALLOWED), errors.NotAllowedError),
        (grpc.StatusCode.UNAUTHENTICATED, errors.RpcUnauthenticatedError),
        (grpc.StatusCode.PERMISSION_DENIED, errors.RpcUnauthenticatedError),
        (grpc.StatusCode.UNIMPLEMENTED, errors.RpcError),
        (content(7, b"of elsewhere"), errors.ReadError),
    ],
)
async def test_what_time_does_not_mend_is_raised(
    step: Step, kind: type[errors.GazetteError]
) -> None:
    broker = ScriptedBroker([step])
    async with served(broker) as (client, _), client.reader(JOURNAL, block=True) as reader:
        with pytest.raises(kind):
            await reader.next_batch()


async def test_an_answer_from_before_is_raised() -> None:
    broker = ScriptedBroker([metadata(3, 6)])
    async with served(broker) as (client, _), client.reader(JOURNAL, offset=5) as reader:
        with pytest.raises(errors.ReadError, match="answered from before"):
            await reader.next_batch()


async def test_a_journal_which_is_new_may_not_be_known_yet() -> None:
    unknown = [refused(pb.JOURNAL_NOT_FOUND)]
    broker = ScriptedBroker(unknown, unknown, unknown, [at_head(0)])
    async with served(broker) as (client, _), client.reader(JOURNAL) as reader:
        assert await reader.next_batch() is None
    broker = ScriptedBroker(*[unknown] * 4)
    async with served(broker) as (client, _), client.reader(JOURNAL) as reader:
        with pytest.raises(errors.JournalNotFoundError):
            await reader.next_batch()


async def test_failures_end_a_read_after_its_timeout() -> None:
    broker = ScriptedBroker(*[[grpc.StatusCode.UNAVAILABLE] for _ in range(20)])
    async with served(broker, timeout_s=3) as (client, clock), client.reader(JOURNAL) as reader:
        with pytest.raises(errors.RpcUnavailableError):
            await reader.next_batch()
        assert reader.health().failing_s >= 3
    assert 3 <= sum(clock.waited) < 10


async def test_the_head_of_a_read_from_there_is_asked_for_once() -> None:
    """R4."""
    broker = ScriptedBroker(
        [grpc.StatusCode.UNAVAILABLE],
        [at_head(7)],
        [grpc.StatusCode.UNAVAILABLE],
        [metadata(7, 10), content(7, b"new")],
    )
    async with (
        served(broker) as (client, clock),
        client.reader(JOURNAL, offset=-1, block=True, end_offset=10) as reader,
    ):
        assert await all_of(reader) == b"new"
    assert clock.waited == [0.05, 0.05]  # After each failure; what was asked for came between.
    asked = [(read.offset, read.block, read.metadata_only) for read in broker.reads]
    assert asked == [(-1, False, True), (-1, False, True), (7, True, False), (7, True, False)]


async def test_a_head_which_moved_is_a_jump() -> None:
    broker = ScriptedBroker([metadata(4, 6), content(4, b"ok")], [at_head(6)])
    async with served(broker) as (client, _), client.reader(JOURNAL) as reader:
        with pytest.raises(errors.OffsetJumpError) as caught:
            await reader.next_batch()
        assert (caught.value.offset, caught.value.to) == (0, 4)
        assert await all_of(reader) == b"ok"


async def test_a_read_of_metadata_ends_with_the_first_answer() -> None:
    broker = ScriptedBroker([metadata(0, 3)], *[[] for _ in range(200)])
    async with (
        served(broker) as (client, _),
        client.reader(JOURNAL, metadata_only=True, timeout_s=0.2) as reader,
    ):
        assert await reader.next_batch() is None
        assert reader.write_head == 3
