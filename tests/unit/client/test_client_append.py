"""Appends of the client against a broker which follows a script, over a real connection."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest

from gazette_py import errors
from gazette_py.client import Change, Client, connect
from gazette_py.client.append import TOO_SLOW_TRIES_MAX
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.pb.protocol_pb2_grpc import JournalServicer, add_JournalServicer_to_server

JOURNAL = "acme/orders"

Answer = Callable[[Any], Awaitable[pb.AppendResponse]]


class ScriptedBroker(JournalServicer):
    """Answers each Append by the next step of a script, once it has read all messages."""

    def __init__(self, *script: Answer) -> None:
        self._script = list(script)
        self.appends: list[list[pb.AppendRequest]] = []

    async def Append(self, request_iterator: Any, context: Any) -> pb.AppendResponse:  # type: ignore[override]  # noqa: N802
        self.appends.append([message async for message in request_iterator])
        return await self._script.pop(0)(context)


@asynccontextmanager
async def served(broker: ScriptedBroker, **options: Any) -> AsyncIterator[Client]:
    server = grpc.aio.server()
    add_JournalServicer_to_server(broker, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with connect(f"http://127.0.0.1:{port}", **options) as client:
            yield client
    finally:
        await server.stop(0)


def header() -> pb.Header:
    return pb.Header(
        process_id=pb.ProcessSpec.ID(zone="a", suffix="broker"),
        route=pb.Route(primary=-1),
        etcd=pb.Header.Etcd(cluster_id=1, member_id=1, revision=1, raft_term=1),
    )


def done(end: int) -> Answer:
    async def answer(_: Any) -> pb.AppendResponse:
        commit = pb.Fragment(journal=JOURNAL, begin=0, end=end)
        return pb.AppendResponse(status=pb.OK, header=header(), commit=commit)

    return answer


def refused(status: pb.Status.ValueType) -> Answer:
    async def answer(_: Any) -> pb.AppendResponse:
        return pb.AppendResponse(status=status, header=header())

    return answer


def failed(code: grpc.StatusCode, *metadata: tuple[str, str]) -> Answer:
    async def answer(context: Any) -> pb.AppendResponse:
        await context.abort(code, "as the script says", metadata)
        raise AssertionError("abort raises")

    return answer


async def test_content_is_followed_by_the_request_to_commit() -> None:
    broker = ScriptedBroker(done(5))
    async with served(broker) as client:
        result = await client.append(JOURNAL, [b"he", b"", b"llo"])
    assert result.commit.end == 5
    first, *rest = broker.appends[0]
    assert first.journal == JOURNAL
    assert [message.content for message in rest] == [b"he", b"llo", b""], "W2: one empty, the last"


async def test_what_follows_a_semicolon_is_not_sent() -> None:
    """A broker of the reference dies of it in an append, and in what shall be deleted."""
    broker = ScriptedBroker(done(0))
    async with served(broker) as client:
        await client.append(f"{JOURNAL};about/it")
        with pytest.raises(errors.ValidationError, match="Delete"):
            await client.apply([Change(delete=f"{JOURNAL};about/it", expect_mod_revision=-1)])
    assert broker.appends[0][0].journal == JOURNAL


async def test_an_append_whose_outcome_is_unknown_is_not_repeated() -> None:
    """The broker took the request to commit, and vanished: a second attempt might double it."""
    broker = ScriptedBroker(failed(grpc.StatusCode.UNAVAILABLE), done(5))
    async with served(broker) as client:
        with pytest.raises(errors.AppendOutcomeUnknownError):
            await client.append(JOURNAL, b"hello")
    assert len(broker.appends) == 1


async def test_a_barrier_which_is_not_answered_in_time_is_late_and_no_more() -> None:
    """It has no content which could be in the journal, or not."""

    async def never(_: Any) -> pb.AppendResponse:
        await asyncio.sleep(60)
        raise AssertionError("cancelled before")

    async with served(ScriptedBroker(never)) as client:
        with pytest.raises(errors.RpcDeadlineError):
            await client.append(JOURNAL, timeout_s=0.3)


async def test_a_barrier_is_repeated_whatever_became_of_it() -> None:
    broker = ScriptedBroker(failed(grpc.StatusCode.UNAVAILABLE), done(0))
    async with served(broker) as client:
        await client.append(JOURNAL)
    assert len(broker.appends) == 2


async def test_an_append_which_a_proxy_did_not_pass_on_is_repeated() -> None:
    marked = failed(grpc.StatusCode.UNAVAILABLE, ("gazette-py-append", "not-committed"))
    broker = ScriptedBroker(marked, done(5))
    async with served(broker) as client:
        await client.append(JOURNAL, b"hello")
    contents = [[message.content for message in append[1:]] for append in broker.appends]
    assert contents == [[b"hello", b""], [b"hello", b""]]


async def too_slow(context: Any) -> pb.AppendResponse:
    text = "append stream: client stream didn't sustain the minimum append data rate"
    await context.abort(grpc.StatusCode.UNKNOWN, text)
    raise AssertionError("abort raises")


async def test_an_append_which_was_held_up_is_repeated() -> None:
    """Also if it asked to commit meanwhile: the broker had given up before."""
    broker = ScriptedBroker(too_slow, done(5))
    async with served(broker) as client:
        await client.append(JOURNAL, b"hello")
    assert len(broker.appends) == 2


async def test_an_append_which_is_always_too_slow_is_told_as_such() -> None:
    broker = ScriptedBroker(*[too_slow] * TOO_SLOW_TRIES_MAX)
    async with served(broker) as client:
        with pytest.raises(errors.AppendTooSlowError, match="minimum append data rate"):
            await client.append(JOURNAL, b"hello")
    assert len(broker.appends) == TOO_SLOW_TRIES_MAX


@pytest.mark.parametrize(
    "status",
    [pb.NO_JOURNAL_PRIMARY_BROKER, pb.NOT_JOURNAL_PRIMARY_BROKER, pb.INSUFFICIENT_JOURNAL_BROKERS],
)
async def test_a_refusal_which_passes_is_tried_again(status: pb.Status.ValueType) -> None:
    broker = ScriptedBroker(refused(status), done(5))
    async with served(broker) as client:
        await client.append(JOURNAL, b"hello")
    assert len(broker.appends) == 2


async def test_an_iterator_is_sent_once() -> None:
    """Its pieces cannot be had again: the refusal is the caller's to handle."""
    broker = ScriptedBroker(refused(pb.NO_JOURNAL_PRIMARY_BROKER), done(5))
    async with served(broker) as client:
        with pytest.raises(errors.NoPrimaryError):
            await client.append(JOURNAL, iter([b"hello"]))
    assert len(broker.appends) == 1


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (pb.JOURNAL_NOT_FOUND, errors.JournalNotFoundError),
        (pb.NOT_ALLOWED, errors.NotAllowedError),
        (pb.WRONG_APPEND_OFFSET, errors.WrongAppendOffsetError),
        (pb.INDEX_HAS_GREATER_OFFSET, errors.IndexHasGreaterOffsetError),
        (pb.REGISTER_MISMATCH, errors.RegisterMismatchError),
        (pb.SUSPENDED, errors.SuspendedError),
        (pb.FRAGMENT_STORE_UNHEALTHY, errors.StoreUnhealthyError),
    ],
)
async def test_other_refusals_are_raised_at_once(
    status: pb.Status.ValueType, error: type[errors.GazetteError]
) -> None:
    broker = ScriptedBroker(refused(status))
    async with served(broker) as client:
        with pytest.raises(error):
            await client.append(JOURNAL, b"hello")
    assert len(broker.appends) == 1


async def test_a_commit_which_is_not_answered_in_time_is_of_unknown_outcome() -> None:
    is_over = asyncio.Event()

    async def hang(_: Any) -> pb.AppendResponse:
        await is_over.wait()
        return pb.AppendResponse(header=header())

    async with served(ScriptedBroker(hang)) as client:
        with pytest.raises(errors.AppendOutcomeUnknownError):
            await client.append(JOURNAL, b"hello", timeout_s=0.3)
        is_over.set()


async def test_nobody_at_the_address_is_told_as_such() -> None:
    async with connect("http://127.0.0.1:1") as client:
        with pytest.raises(errors.RpcUnavailableError):
            await client.append(JOURNAL, b"hello", timeout_s=0.3)


async def test_a_source_which_fails_commits_nothing() -> None:
    async def source() -> AsyncIterator[bytes]:
        yield b"half"
        raise OSError("the disk is gone")

    broker = ScriptedBroker(done(4))
    async with served(broker) as client:
        with pytest.raises(OSError, match="the disk is gone"):
            await client.append(JOURNAL, source())
    assert all(message.content or message.journal for call in broker.appends for message in call)


async def test_of_several_addresses_one_which_answers_is_used() -> None:
    broker = ScriptedBroker(done(5))
    server = grpc.aio.server()
    add_JournalServicer_to_server(broker, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with connect(f"http://127.0.0.1:1, http://127.0.0.1:{port}") as client:
        await client.append(JOURNAL, b"hello", timeout_s=10.0)
    await server.stop(0)
    assert len(broker.appends) == 1
