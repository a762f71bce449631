"""Replicate: the reference's own sequence of a replica, and streams which are broken."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from broker_in_process import InProcess, broker_in_process

from gazette_py.pb import protocol_pb2 as pb
from gazette_py.protocol import convert
from gazette_py.protocol.fragment import Fragment
from gazette_py.protocol.labels import LabelSet

JOURNAL = "a/journal"


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[InProcess]:
    async with broker_in_process(tmp_path) as started:
        await started.serve(JOURNAL)
        yield started


def registers(*pairs: tuple[str, str]) -> pb.LabelSet:
    return convert.labels_to_pb(LabelSet.of(*pairs))


def fragment(begin: int, end: int, content: bytes = b"") -> pb.Fragment:
    message = pb.Fragment(journal=JOURNAL, begin=begin, end=end, compression_codec=pb.NONE)
    if content:
        message.sum.CopyFrom(convert.sum_to_pb(hashlib.sha1(content).digest()))
    return message


def first(broker: InProcess, proposal: pb.Fragment | None = None) -> pb.ReplicateRequest:
    """Return a first message, as a primary which agrees with us would send it."""
    header = convert.header_to_pb(broker.service.unrouted_header())
    header.route.CopyFrom(convert.route_to_pb(broker.mirror.keyspace.route_of(JOURNAL)))
    return pb.ReplicateRequest(
        header=header,
        proposal=proposal or fragment(0, 0),
        registers=pb.LabelSet(),
        acknowledge=True,
    )


async def test_content_is_committed_by_a_proposal(broker: InProcess) -> None:
    call = broker.stub.Replicate(timeout=10)
    await call.write(first(broker))
    opened = await call.read()
    assert (opened.status, opened.HasField("header")) == (pb.OK, True)
    await call.write(pb.ReplicateRequest(content=b"foobar"))
    await call.write(pb.ReplicateRequest(content=b"bazbing", content_delta=6))
    await call.write(
        pb.ReplicateRequest(
            proposal=fragment(0, 13, b"foobarbazbing"),
            registers=registers(("reg", "value")),
            acknowledge=True,
        )
    )
    assert await call.read() == pb.ReplicateResponse(status=pb.OK)
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    read = broker.stub.Read(pb.ReadRequest(journal=JOURNAL, end_offset=13))
    assert b"".join([r.content async for r in read]) == b"foobarbazbing"


async def test_a_proposal_which_cannot_be_applied(broker: InProcess) -> None:
    call = broker.stub.Replicate(timeout=10)
    await call.write(first(broker, fragment(1234, 5678)))
    refused = await call.read()
    at_end = Fragment(journal=JOURNAL, begin=5678, end=5678)
    assert refused.status == pb.PROPOSAL_MISMATCH
    assert convert.fragment_from_pb(refused.fragment) == at_end
    assert (refused.HasField("registers"), refused.registers) == (True, pb.LabelSet())
    wrong = pb.ReplicateRequest(
        proposal=fragment(5678, 5678),
        registers=registers(("wrong", "register")),
        acknowledge=True,
    )
    await call.write(wrong)
    again = await call.read()
    assert (again.status, again.HasField("header")) == (pb.PROPOSAL_MISMATCH, False)
    assert convert.fragment_from_pb(again.fragment) == at_end
    wrong.acknowledge = False
    await call.write(wrong)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert caught.value.code() is grpc.StatusCode.UNKNOWN


async def test_another_route_is_answered_with_ours(broker: InProcess) -> None:
    message = first(broker)
    message.header.route.CopyFrom(pb.Route(primary=-1))
    (response,) = [r async for r in broker.stub.Replicate(iter([message]), timeout=10)]
    assert response.status == pb.WRONG_ROUTE
    assert response.header.route.members == [pb.ProcessSpec.ID(zone="a", suffix="broker-0")]


@pytest.mark.parametrize(
    ("message", "code", "expected"),
    [
        (b"\xff\xff", grpc.StatusCode.INTERNAL, "Error parsing message"),
        (pb.ReplicateRequest(), grpc.StatusCode.UNKNOWN, "expected Content or Proposal"),
        (
            pb.ReplicateRequest(content=b"x", content_delta=5),
            grpc.StatusCode.UNKNOWN,
            "invalid ContentDelta (5; expected 4)",
        ),
        (
            pb.ReplicateRequest(
                proposal=pb.Fragment(journal="another/journal", compression_codec=pb.NONE)
            ),
            grpc.StatusCode.UNKNOWN,
            "Proposal.Journal: must be a/journal",
        ),
    ],
    ids=["no message", "empty", "a gap", "another journal"],
)
async def test_a_broken_stream_gives_its_spool_back_as_it_was(
    broker: InProcess, message: Any, code: grpc.StatusCode, expected: str
) -> None:
    call: Any = broker.channel.stream_stream("/protocol.Journal/Replicate")(timeout=10)
    await call.write(first(broker).SerializeToString())
    await call.read()
    await call.write(pb.ReplicateRequest(content=b"lost").SerializeToString())
    await call.write(message if isinstance(message, bytes) else message.SerializeToString())
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert caught.value.code() is code
    assert expected in (caught.value.details() or "")
    # The next primary finds the spool at its last commit, without what was not committed.
    (response,) = [r async for r in broker.stub.Replicate(iter([first(broker)]), timeout=10)]
    assert response.status == pb.OK


async def test_who_leaves_does_not_wait_for_other_primaries(broker: InProcess) -> None:
    """Its spool is theirs until they hear that it has left; no append of its own is under way."""
    call: Any = broker.stub.Replicate(timeout=10)
    await call.write(first(broker))
    assert (await call.read()).status == pb.OK
    stopping = asyncio.create_task(broker.service.stop_local())
    async with asyncio.timeout(5):
        await asyncio.create_task(broker.service.wait_appends_over())
    assert not stopping.done()
    await call.done_writing()
    async with asyncio.timeout(5):
        await stopping
