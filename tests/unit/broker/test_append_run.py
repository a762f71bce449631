"""An append against peers which a test scripts: what it sends, and what is left behind."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import grpc.aio
import pytest
from broker_harness import JOURNAL, Broker, Cluster, ScriptedPeer, Stream, new_cluster, until
from keyspaces import spec

from gazette_py.broker import pipeline
from gazette_py.errors import RpcDeadlineError, RpcError, RpcUnavailableError
from gazette_py.etcd.base import Put
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.protocol.enums import Status


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with new_cluster(tmp_path) as made:
        yield made


async def agree(stream: Stream) -> None:
    """Answer the first proposal of a pipeline."""
    greeting = await stream.receive()
    assert greeting is not None
    assert greeting.HasField("header")
    await stream.reply(header=greeting.header)


async def synchronised(cluster: Cluster) -> tuple[Broker, ScriptedPeer, Stream]:
    """Return a primary and a peer which have agreed on an empty spool."""
    broker, peer = await cluster.broker("a"), await cluster.peer("b")
    await cluster.serve(broker, peer)
    pulse = broker.pulse()
    stream = await peer.stream()
    await agree(stream)
    await accept(stream)
    assert (await pulse).status is Status.OK
    return broker, peer, stream


async def accept(stream: Stream) -> pb.ReplicateRequest:
    """Accept the next proposal which asks for a reply."""
    message = await until_commit(stream)
    await stream.reply()
    return message


async def refuse_for_ever(stream: Stream) -> None:
    """Answer each proposal as a peer whose registers differ."""
    for _ in range(8):
        proposal = await stream.receive_proposal()
        assert proposal.acknowledge
        await stream.reply(
            Status.PROPOSAL_MISMATCH,
            header=proposal.header,
            fragment=pb.Fragment(journal=JOURNAL, begin=7, end=7, compression_codec=pb.NONE),
            registers=pb.LabelSet(labels=[pb.Label(name="author", value="x")]),
        )


class TestTokens:
    async def test_a_member_without_endpoint_costs_no_spool(self, cluster: Cluster) -> None:
        """Its assignment is there, its member key is not: nothing can be opened."""
        broker = await cluster.broker("a")
        peer = await cluster.peer("b")
        await cluster.serve(broker, peer)
        del broker.service.keyspace.members[peer.id]
        with pytest.raises(RpcUnavailableError, match="has left the cluster"):
            await broker.pulse()
        assert await broker.is_idle()

    async def test_a_status_of_no_meaning_breaks_the_pipeline(self, cluster: Cluster) -> None:
        broker, peer = await cluster.broker("a"), await cluster.peer("b")
        await cluster.serve(broker, peer)
        pulse = broker.pulse()
        stream = await peer.stream()
        assert await stream.receive()
        await stream.reply(99)  # type: ignore[arg-type]
        with pytest.raises(RpcError, match="99"):
            await pulse
        assert await stream.receive() is None
        assert await broker.is_idle()

    async def test_a_pipeline_without_agreement_is_not_used_again(self, cluster: Cluster) -> None:
        """Its peer's registers differ. An append must not go there, on no account."""
        broker, peer = await cluster.broker("a"), await cluster.peer("b")
        await cluster.serve(broker, peer)
        pulse = broker.pulse()
        stream = await peer.stream()
        await refuse_for_ever(stream)
        with pytest.raises(RpcError, match="their registers differ"):
            await pulse
        again = asyncio.create_task(broker.append(b"content"))
        assert await stream.receive() is None, "content is sent without agreement"
        other = await peer.stream()
        other.end((grpc.StatusCode.UNAVAILABLE, "gone"))
        stream.end()
        with pytest.raises(grpc.aio.AioRpcError):
            await again

    async def test_a_peer_which_never_answers_is_given_up(
        self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pipeline, "SYNCHRONISE_TIMEOUT_S", 0.1)
        broker, peer = await cluster.broker("a"), await cluster.peer("b")
        await cluster.serve(broker, peer)
        with pytest.raises(RpcDeadlineError, match="no reply within"):
            await broker.pulse()
        assert await broker.is_idle()

    @pytest.mark.parametrize(
        "fragment",
        [
            pb.Fragment(journal="another/journal", begin=7, end=7, compression_codec=pb.NONE),
            pb.Fragment(journal=JOURNAL, begin=9, end=7, compression_codec=pb.NONE),
            pb.Fragment(journal=JOURNAL, begin=7, end=7),
        ],
        ids=["of another journal", "ends before it begins", "without codec"],
    )
    async def test_a_fragment_which_is_none_is_not_adopted(
        self, cluster: Cluster, fragment: pb.Fragment
    ) -> None:
        broker, peer = await cluster.broker("a"), await cluster.peer("b")
        await cluster.serve(broker, peer)
        pulse = broker.pulse()
        stream = await peer.stream()
        greeting = await stream.receive_proposal()
        await stream.reply(
            Status.PROPOSAL_MISMATCH,
            header=greeting.header,
            fragment=fragment,
            registers=pb.LabelSet(),
        )
        with pytest.raises(RpcError, match="bad reply"):
            await pulse
        assert await broker.is_idle()
        spool = await broker.replica().spool_slot.take()
        assert spool is not None
        assert spool[0].fragment.end == 0


class TestWaiting:
    async def test_a_surplus_of_replicas_is_waited_out(self, cluster: Cluster) -> None:
        """Though etcd goes on meanwhile: by keys of others, of which we hear as progress."""
        broker, peer = await cluster.broker("a"), await cluster.peer("b")
        await cluster.put_item(spec(JOURNAL, 1))
        await cluster.assign([broker, peer])
        pulse = broker.pulse()
        await agree(await peer.stream())
        replica = broker.replica()
        await until(lambda: any("Advertise" in step for step in replica.story()), "agreed")
        await cluster.etcd.txn([], [Put(b"/elsewhere", b"")])
        await cluster.etcd.request_progress()
        await until(lambda: broker.mirror.read_through > broker.mirror.header.revision, "told")
        assert not pulse.done()
        await cluster.assign([broker])
        assert (await pulse).status is Status.OK

    async def test_a_broker_which_stops_does_not_wait_for_etcd(self, cluster: Cluster) -> None:
        """An append which holds the pipeline waits for a revision that will never be seen."""
        broker, peer = await cluster.broker("a"), await cluster.peer("b")
        await cluster.serve(broker, peer)
        pulse = broker.pulse()
        stream = await peer.stream()
        greeting = await stream.receive_proposal()
        greeting.header.etcd.revision += 1000
        greeting.header.route.members[1].suffix = "member-c"
        await stream.reply(Status.WRONG_ROUTE, header=greeting.header)
        stream.end()
        await until(lambda: "SyncPipeline" in str(broker.replica().story()[-1:]), "refused")
        async with asyncio.timeout(5):
            await broker.service.stop_local()
        assert not pulse.done()
        pulse.cancel()

    async def test_a_broker_which_stops_does_not_wait_for_the_allocator(
        self, cluster: Cluster
    ) -> None:
        broker, peer = await cluster.broker("a"), await cluster.peer("b")
        await cluster.put_item(spec(JOURNAL, 1))
        await cluster.assign([broker, peer])
        pulse = broker.pulse()
        await agree(await peer.stream())
        replica = broker.replica()
        await until(lambda: any("Advertise" in step for step in replica.story()), "agreed")
        async with asyncio.timeout(8):
            await broker.service.stop_local()
        with pytest.raises(RpcUnavailableError, match="stopped serving"):
            await pulse


class TestContent:
    async def test_a_peer_lost_before_the_intent_leaves_no_trace_elsewhere(
        self, cluster: Cluster
    ) -> None:
        """The append is bound to fail: the others roll it back rather than keep its bytes."""
        broker = await cluster.broker("a")
        one, two = await cluster.peer("b"), await cluster.peer("c")
        await cluster.serve(broker, one, two)
        pulse = broker.pulse()
        first, second = await one.stream(), await two.stream()
        for stream in (first, second):
            await agree(stream)
        for stream in (first, second):
            await accept(stream)
        assert (await pulse).status is Status.OK
        call = broker.stub.Append()
        await call.write(pb.AppendRequest(journal=JOURNAL))
        await call.write(pb.AppendRequest(content=b"content"))
        assert (await received_content(second)) == b"content"
        first.end((grpc.StatusCode.UNAVAILABLE, "lost"))
        replica = broker.replica()
        await until(lambda: len(replica._tasks) == 1, "noticed")
        await call.write(pb.AppendRequest())
        await call.done_writing()
        ending = await second.receive_proposal()
        assert (ending.proposal.begin, ending.proposal.end) == (0, 0)
        await second.reply()
        with pytest.raises(grpc.aio.AioRpcError, match="lost"):
            await call

    async def test_a_lost_lease_leaves_no_trace(self, cluster: Cluster) -> None:
        broker, _, stream = await synchronised(cluster)
        call = broker.stub.Append()
        await call.write(pb.AppendRequest(journal=JOURNAL))
        await call.write(pb.AppendRequest(content=b"content"))
        assert (await received_content(stream)) == b"content"
        broker.lease_until = 0.0
        await call.write(pb.AppendRequest())
        await call.done_writing()
        ending = await stream.receive_proposal()
        assert (ending.proposal.begin, ending.proposal.end) == (0, 0)
        await stream.reply()
        with pytest.raises(grpc.aio.AioRpcError, match="lease has expired"):
            await call

    async def test_a_commit_is_shown_once_every_peer_has_it(self, cluster: Cluster) -> None:
        broker, _, stream = await synchronised(cluster)
        append = asyncio.create_task(broker.append(b"content"))
        await until_commit(stream)
        assert await broker.read() == b""
        assert not append.done()
        await stream.reply()
        assert (await append).commit.end == 7
        assert await broker.read() == b"content"

    async def test_a_commit_which_a_peer_refuses_is_not_shown(self, cluster: Cluster) -> None:
        broker, peer, stream = await synchronised(cluster)
        append = asyncio.create_task(broker.append(b"content"))
        await until_commit(stream)
        await stream.reply(
            Status.PROPOSAL_MISMATCH,
            fragment=pb.Fragment(journal=JOURNAL, compression_codec=pb.NONE),
            registers=pb.LabelSet(),
        )
        with pytest.raises(grpc.aio.AioRpcError, match="PROPOSAL_MISMATCH"):
            await append
        assert await broker.read() == b""
        # The next append builds a pipeline anew; once the peer has gone forward, all is shown.
        stream.end()
        again = asyncio.create_task(broker.append(b"more"))
        stream = await peer.stream()
        proposal = await stream.receive_proposal()
        assert (proposal.proposal.begin, proposal.proposal.end) == (0, 7)
        await stream.reply(
            Status.PROPOSAL_MISMATCH,
            header=proposal.header,
            fragment=pb.Fragment(journal=JOURNAL, begin=7, end=7, compression_codec=pb.NONE),
            registers=pb.LabelSet(),
        )
        rolled = await accept(stream)
        assert (rolled.proposal.begin, rolled.proposal.end) == (7, 7)
        await accept(stream)
        assert (await again).commit.begin == 7
        assert broker.persister.spans == [(0, 7)]

    async def test_replies_come_back_in_the_order_of_their_appends(self, cluster: Cluster) -> None:
        broker, _, stream = await synchronised(cluster)
        first = asyncio.create_task(broker.append(b"one"))
        await until_commit(stream)
        second = asyncio.create_task(broker.append(b"three"))
        await until_commit(stream)
        assert not first.done()
        assert not second.done()
        await stream.reply()
        assert (await first).commit.end == 3
        assert await broker.read() == b"one"
        assert not second.done()
        await stream.reply()
        assert (await second).commit.end == 8
        assert await broker.read() == b"onethree"

    async def test_large_content_fits_into_every_receiver(self, cluster: Cluster) -> None:
        """A chunk just below 4 MiB would exceed it with the fields of Replicate."""
        broker, _, stream = await synchronised(cluster)
        chunk = bytes((4 << 20) - 16)
        append = asyncio.create_task(broker.append(chunk))
        length, sizes = 0, []
        while length < len(chunk):
            message = await stream.receive()
            assert message is not None
            if not message.HasField("proposal"):
                assert message.content_delta == length
                length += len(message.content)
                sizes.append(message.ByteSize())
        assert max(sizes) < 4 << 20
        await accept(stream)
        assert (await append).commit.end == len(chunk)


async def until_commit(stream: Stream) -> pb.ReplicateRequest:
    """Receive up to the next proposal which asks for a reply, and do not answer it."""
    while not (message := await stream.receive_proposal()).acknowledge:
        pass
    return message


async def received_content(stream: Stream) -> bytes:
    while (message := await stream.receive()) is not None:
        if not message.HasField("proposal"):
            return message.content
    raise AssertionError("the stream has ended")
