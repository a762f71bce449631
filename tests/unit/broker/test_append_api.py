"""What becomes of an append whose client, or whose way to the primary, breaks off."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from broker_harness import DEADLINE_S, JOURNAL, Broker, Cluster, new_cluster, until

from gazette_py.pb import protocol_pb2 as pb
from gazette_py.pb import protocol_pb2_grpc
from gazette_py.protocol.enums import Status
from gazette_py.rpc.channel import dial
from gazette_py.rpc.errors import is_not_committed

APPENDS = 20
"""Of a client which breaks off, each time: whether it is seen to was a matter of chance."""


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with new_cluster(tmp_path) as made:
        yield made


async def begin(stub: Any, *messages: pb.AppendRequest, journal: str = JOURNAL) -> Any:
    call = stub.Append(timeout=DEADLINE_S)
    for message in (pb.AppendRequest(journal=journal), *messages):
        await call.write(message)
    return call


CONTENT = pb.AppendRequest(content=b"content")
INTENT = pb.AppendRequest()


async def is_streaming(broker: Broker) -> None:
    """Wait until an append has content in the spool."""
    replica = broker.replica()
    await until(lambda: replica.pipeline_slot._held is None, "streaming")


class TestTheClient:
    @pytest.mark.parametrize("is_proxied", [False, True])
    async def test_one_which_cancels_after_its_intent_leaves_no_trace(
        self, cluster: Cluster, is_proxied: bool
    ) -> None:
        """grpc.aio tells its end as that of a client which has half-closed."""
        broker, other = await cluster.broker("a"), await cluster.broker("b")
        await cluster.serve(broker)
        await other.read_through()
        stub = other.stub if is_proxied else broker.stub
        for _ in range(APPENDS):
            call = await begin(stub, CONTENT, INTENT)
            await is_streaming(broker)
            call.cancel()
            assert await broker.is_idle()
        assert await broker.read() == b""
        assert (await broker.append(b"after")).commit.begin == 0

    async def test_one_whose_connection_breaks_after_its_intent_leaves_no_trace(
        self, cluster: Cluster
    ) -> None:
        broker = await cluster.broker("a")
        await cluster.serve(broker)
        for _ in range(APPENDS):
            channel = dial(broker.endpoint)
            await begin(protocol_pb2_grpc.JournalStub(channel), CONTENT, INTENT)
            await is_streaming(broker)
            await channel.close()
            assert await broker.is_idle()
        assert await broker.read() == b""

    async def test_one_which_sends_garbage_gives_the_pipeline_back(self, cluster: Cluster) -> None:
        """With no minimum rate, nothing else would end its append."""
        broker = await cluster.broker("a", min_append_rate=0)
        await cluster.serve(broker)
        async with grpc.aio.insecure_channel(broker.endpoint.removeprefix("http://")) as channel:
            call = channel.stream_unary("/protocol.Journal/Append")()
            await call.write(pb.AppendRequest(journal=JOURNAL).SerializeToString())
            await call.write(CONTENT.SerializeToString())
            await is_streaming(broker)
            await call.write(b"\xff\xff")
            with pytest.raises(grpc.aio.AioRpcError):
                await call
        assert await broker.is_idle()
        assert (await broker.append(b"after")).commit.begin == 0

    async def test_one_which_half_closes_early_leaves_no_trace(self, cluster: Cluster) -> None:
        broker = await cluster.broker("a")
        await cluster.serve(broker)
        call = await begin(broker.stub, CONTENT)
        await call.done_writing()
        with pytest.raises(grpc.aio.AioRpcError, match="append stream: unexpected EOF"):
            await call
        assert (await broker.append(b"after")).commit.begin == 0
        assert await broker.read() == b"after"


class TestWhatIsKnown:
    """Trailing metadata tells a client whose append failed that nothing was appended."""

    async def test_an_append_which_failed_before_its_commit_is_known(
        self, cluster: Cluster
    ) -> None:
        broker = await cluster.broker("a")
        await cluster.serve(broker)
        call = await begin(broker.stub, CONTENT)
        await call.done_writing()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert is_not_committed(caught.value)

    @pytest.mark.parametrize("is_proxied", [False, True])
    async def test_an_append_whose_peer_breaks_off_is_known_until_it_commits(
        self, cluster: Cluster, is_proxied: bool
    ) -> None:
        primary, peer = await cluster.broker("a"), await cluster.peer("b")
        asked = await cluster.broker("c") if is_proxied else primary
        await cluster.serve(primary, peer)
        await asked.read_through()
        for commits in (False, True):
            call = await begin(asked.stub, CONTENT, INTENT)
            await call.done_writing()
            stream = await peer.stream()
            await stream.receive_proposal()
            if commits:
                await stream.reply()
                while not (await stream.receive_proposal()).proposal.end:
                    pass
            stream.end((grpc.StatusCode.UNAVAILABLE, "gone"))
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            assert is_not_committed(caught.value) is not commits


class TestTheProxy:
    async def test_an_answer_is_passed_on_though_the_client_is_idle(self, cluster: Cluster) -> None:
        proxy, primary = await cluster.broker("a"), await cluster.peer("b")
        await cluster.serve(primary)
        await proxy.read_through()
        call = await begin(proxy.stub)
        context, answer = await primary.appends.get()
        assert (await context.read()).journal == JOURNAL
        header = pb.Header(route=pb.Route(primary=-1))
        answer.set_result(pb.AppendResponse(status=Status.WRONG_APPEND_OFFSET, header=header))
        async with asyncio.timeout(DEADLINE_S / 2):
            assert (await call).status == Status.WRONG_APPEND_OFFSET

    async def test_a_primary_which_leaves_is_told_to_the_client(self, cluster: Cluster) -> None:
        """It hangs, its lease expires, and its channel is closed under the call."""
        proxy, primary = await cluster.broker("a"), await cluster.peer("b")
        await cluster.serve(primary)
        await proxy.read_through()
        call = await begin(proxy.stub, CONTENT, INTENT)
        await call.done_writing()
        await primary.appends.get()
        cluster.expire(primary)
        with pytest.raises(grpc.aio.AioRpcError, match="has left the cluster") as caught:
            async with asyncio.timeout(DEADLINE_S / 2):
                await call
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE

    async def test_a_primary_which_ends_calls_as_it_stops_is_told_to_the_client(
        self, cluster: Cluster
    ) -> None:
        """CANCELLED says that the client did not want its call any more, and it did."""
        proxy, primary = await cluster.broker("a"), await cluster.peer("b")
        await cluster.serve(primary)
        await proxy.read_through()
        call = await begin(proxy.stub, CONTENT, INTENT)
        await call.done_writing()
        context, answer = await primary.appends.get()
        while await context.read() is not grpc.aio.EOF:
            pass
        with pytest.raises(grpc.aio.AbortError):
            await context.abort(grpc.StatusCode.CANCELLED, "CANCELLED")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async with asyncio.timeout(DEADLINE_S / 2):
                await call
        answer.cancel()
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
