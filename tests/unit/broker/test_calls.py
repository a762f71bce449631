"""What calls answer, over the wire: listings, watches, and messages which are none."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from broker_in_process import InProcess, broker_in_process
from google.protobuf.duration_pb2 import Duration

from gazette_py.broker.list_api import serve_list
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.protocol import convert
from gazette_py.protocol.labels import LabelSelector

METHODS = ("List", "Apply", "Read", "Append", "Replicate", "ListFragments", "FragmentStoreHealth")
TAKING_ONE = ("List", "Apply", "Read", "ListFragments", "FragmentStoreHealth")


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[InProcess]:
    async with broker_in_process(tmp_path) as started:
        yield started


async def raw(broker: InProcess, method: str, *messages: bytes) -> tuple[grpc.StatusCode, str]:
    """Call with bytes as they are; return what the call ended with."""
    call: Any = broker.channel.stream_stream(f"/protocol.Journal/{method}")(
        iter(messages), timeout=5
    )
    try:
        async for _ in call:
            pass
    except grpc.aio.AioRpcError as exc:
        return exc.code(), exc.details() or ""
    return grpc.StatusCode.OK, ""


def names(response: pb.ListResponse) -> list[str]:
    return [journal.spec.name for journal in response.journals]


class SlowReader:
    """A client which takes a message only when it is told to."""

    def __init__(self) -> None:
        self.messages: list[pb.ListResponse] = []
        self._taken = asyncio.Semaphore(0)

    async def write(self, message: pb.ListResponse) -> None:
        await self._taken.acquire()
        copy = pb.ListResponse()
        copy.CopyFrom(message)
        self.messages.append(copy)

    async def take(self, count: int) -> None:
        wanted = len(self.messages) + count
        for _ in range(count):
            self._taken.release()
        async with asyncio.timeout(5):
            while len(self.messages) < wanted:
                await asyncio.sleep(0)


class TestList:
    async def test_a_listing_is_of_25_journals_a_message_and_one_header(
        self, broker: InProcess
    ) -> None:
        await broker.put(*(f"a/journal-{i:03}" for i in range(51)))
        responses = [r async for r in broker.stub.List(pb.ListRequest())]
        assert [len(r.journals) for r in responses] == [25, 25, 1]
        assert [r.HasField("header") for r in responses] == [True, False, False]
        assert responses[0].header.route.primary == -1
        assert [n for r in responses for n in names(r)] == [f"a/journal-{i:03}" for i in range(51)]

    async def test_an_empty_listing_is_one_message(self, broker: InProcess) -> None:
        responses = [r async for r in broker.stub.List(pb.ListRequest())]
        assert len(responses) == 1
        assert not responses[0].journals
        assert responses[0].header.etcd.revision > 0

    async def test_the_old_pseudo_label_selects_by_prefix(self, broker: InProcess) -> None:
        await broker.put("a/one", "a/two", "ab/three")
        include = pb.LabelSet(labels=[pb.Label(name="prefix", value="a/")])
        for selector, expected in (
            (pb.LabelSelector(include=include), ["a/one", "a/two"]),
            (pb.LabelSelector(exclude=include), ["ab/three"]),
        ):
            (response,) = [r async for r in broker.stub.List(pb.ListRequest(selector=selector))]
            assert names(response) == expected

    async def test_a_watch_ends_each_snapshot_by_an_empty_message(self, broker: InProcess) -> None:
        call = broker.stub.List(pb.ListRequest(watch=True))
        first, end = await call.read(), await call.read()
        assert (names(first), first.HasField("header")) == ([], True)
        assert end == pb.ListResponse()
        await broker.put("a/one")
        second, end = await call.read(), await call.read()
        assert names(second) == ["a/one"]
        assert second.header.etcd.revision > first.header.etcd.revision
        assert end == pb.ListResponse()
        await broker.delete("a/one")
        assert names(await call.read()) == []
        call.cancel()

    async def test_what_changed_while_a_snapshot_was_sent_is_in_the_next(
        self, broker: InProcess
    ) -> None:
        """A slow client must not miss it for good: nothing else may ever change again."""
        await broker.put("a/one")
        reader: Any = SlowReader()
        watching = asyncio.create_task(
            serve_list(broker.service, pb.ListRequest(watch=True), reader, LabelSelector())
        )
        await reader.take(1)
        await broker.put("a/two")
        await reader.take(3)
        one, _, both, _ = reader.messages
        assert names(one) == ["a/one"]
        assert names(both) == ["a/one", "a/two"]
        assert both.header.etcd.revision > one.header.etcd.revision
        watching.cancel()

    async def test_a_watch_resumes_at_a_change_of_our_keys_only(self, broker: InProcess) -> None:
        """Clients refuse a snapshot whose revision does not exceed the one they resume from."""
        resumed = await broker.put("a/one")
        await broker.mirror.wait_revision(await other_tenant(broker))
        resume = pb.Header(etcd=pb.Header.Etcd(revision=resumed))
        call = broker.stub.List(pb.ListRequest(watch=True, watch_resume=resume))
        reading = asyncio.ensure_future(call.read())
        await broker.stub.Apply(pb.ApplyRequest())  # The watch has begun by now.
        assert not reading.done()
        changed = await broker.put("a/two")
        snapshot = await reading
        assert names(snapshot) == ["a/one", "a/two"]
        assert snapshot.header.etcd.revision == changed
        call.cancel()

    async def test_a_watch_ends_cleanly_with_the_broker(self, broker: InProcess) -> None:
        call = broker.stub.List(pb.ListRequest(watch=True))
        await call.read()
        await call.read()
        broker.service.stopping.fire()
        assert await call.read() is grpc.aio.EOF
        assert await call.code() is grpc.StatusCode.OK


async def other_tenant(broker: InProcess) -> int:
    """Write a key which is not ours; return the revision."""
    from gazette_py.etcd.base import Put

    return (await broker.etcd.txn([], [Put(b"/elsewhere", b"")])).header.revision


def upsert(name: str, revision: int = 0) -> pb.ApplyRequest.Change:
    from keyspaces import spec

    message = convert.journal_to_pb(spec(name))
    return pb.ApplyRequest.Change(upsert=message, expect_mod_revision=revision)


class TestApply:
    async def test_changes_are_made_together_or_not_at_all(self, broker: InProcess) -> None:
        await broker.put("a/one")
        both = pb.ApplyRequest(changes=[upsert("a/two"), upsert("a/one")])
        response = await broker.stub.Apply(both)
        assert response.status == pb.ETCD_TRANSACTION_FAILED
        assert broker.mirror.keyspace.item("a/two") is None
        removed = pb.ApplyRequest.Change(delete="a/one", expect_mod_revision=-1)
        response = await broker.stub.Apply(pb.ApplyRequest(changes=[upsert("a/two"), removed]))
        assert response.status == pb.OK
        # Who asks this broker after the answer sees the change.
        (listed,) = [r async for r in broker.stub.List(pb.ListRequest())]
        assert names(listed) == ["a/two"]
        assert listed.journals[0].mod_revision == response.header.etcd.revision

    async def test_a_revision_which_was_read_is_expected(self, broker: InProcess) -> None:
        revision = await broker.put("a/one")
        stale = pb.ApplyRequest(changes=[upsert("a/one", revision - 1)])
        assert (await broker.stub.Apply(stale)).status == pb.ETCD_TRANSACTION_FAILED
        current = pb.ApplyRequest(changes=[upsert("a/one", revision)])
        assert (await broker.stub.Apply(current)).status == pb.OK

    async def test_no_changes_succeed(self, broker: InProcess) -> None:
        response = await broker.stub.Apply(pb.ApplyRequest())
        assert response.status == pb.OK
        assert response.header.route.primary == -1

    async def test_deleting_what_is_not_there_does_not_wait_for_other_tenants(
        self, broker: InProcess
    ) -> None:
        await other_tenant(broker)
        change = pb.ApplyRequest.Change(delete="a/missing", expect_mod_revision=-1)
        response = await broker.stub.Apply(pb.ApplyRequest(changes=[change]), timeout=5)
        assert response.status == pb.OK

    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ([upsert("a/one"), upsert("a/one")], "Changes[1]: Changes[0] is of a/one, too"),
            ([upsert(f"a/journal-{i}") for i in range(129)], "too many operations"),
        ],
        ids=["a name twice", "too many"],
    )
    async def test_what_etcd_would_or_does_refuse_is_told(
        self, broker: InProcess, changes: list[pb.ApplyRequest.Change], expected: str
    ) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await broker.stub.Apply(pb.ApplyRequest(changes=changes))
        assert caught.value.code() is grpc.StatusCode.UNKNOWN
        assert expected in (caught.value.details() or "")

    async def test_fields_which_we_do_not_know_are_not_written(self, broker: InProcess) -> None:
        """One is `length`, of a wire type by which no broker of the reference could decode it."""
        change = upsert("a/one")
        wrong_type = b"\x22\x02\x0a\x00"  # fragment { length: "" }
        spec = pb.JournalSpec.FromString(change.upsert.SerializeToString() + wrong_type)
        assert wrong_type[2:] in spec.SerializeToString()
        change.upsert.CopyFrom(spec)
        await broker.stub.Apply(pb.ApplyRequest(changes=[change]))
        item = broker.mirror.keyspace.item("a/one")
        assert item is not None
        assert item.value == upsert("a/one").upsert.SerializeToString()


class TestWhatIsNoMessage:
    @pytest.mark.parametrize("method", METHODS)
    async def test_bytes_which_cannot_be_decoded(self, broker: InProcess, method: str) -> None:
        for message in (
            b"\xff\xff\xff",
            b"\x0a\x05a",
            b"\x0c",
            b"\x00\x00",
            b"\x18" + b"\xff" * 11,
        ):
            code, _ = await raw(broker, method, message)
            assert code is grpc.StatusCode.INTERNAL

    @pytest.mark.parametrize("method", TAKING_ONE)
    async def test_no_message_at_all(self, broker: InProcess, method: str) -> None:
        """Left to itself, grpc.aio would never answer."""
        assert await raw(broker, method) == (
            grpc.StatusCode.INTERNAL,
            "received no request message",
        )

    @pytest.mark.parametrize("method", ["Append", "Replicate"])
    async def test_an_empty_stream(self, broker: InProcess, method: str) -> None:
        assert await raw(broker, method) == (grpc.StatusCode.UNKNOWN, "unexpected EOF")

    @pytest.mark.parametrize("method", METHODS)
    async def test_messages_over_the_limit(self, broker: InProcess, method: str) -> None:
        code, _ = await raw(broker, method, bytes([0x12, 0x80, 0x80, 0x80, 2]) + bytes(4 << 20))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED

    async def test_a_text_which_is_no_utf_8(self, broker: InProcess) -> None:
        code, detail = await raw(broker, "Read", b"\x12\x05ab\xffcd")
        assert code is grpc.StatusCode.INTERNAL
        # What exactly is wrong is told by newer versions of protobuf only.
        bare = "Error parsing message with type 'protocol.ReadRequest'"
        assert "UTF-8" in detail or detail == bare

    async def test_a_duration_out_of_range(self, broker: InProcess) -> None:
        request = pb.FragmentsRequest(journal="a/one", signatureTTL=Duration(seconds=1, nanos=-1))
        code, detail = await raw(broker, "ListFragments", request.SerializeToString())
        assert code is grpc.StatusCode.INTERNAL
        assert detail == "duration of 1 s and -1 ns is out of range"

    async def test_a_long_text_is_cut_in_the_answer(self, broker: InProcess) -> None:
        """A header of its length would be refused by clients, and with it the whole connection."""
        request = pb.FragmentStoreHealthRequest(fragment_store="é" * 1_000_000)
        code, detail = await raw(broker, "FragmentStoreHealth", request.SerializeToString())
        assert code is grpc.StatusCode.UNKNOWN
        assert detail.startswith("FragmentStore: not absolute (éé")
        assert len(detail.encode()) <= 2048 + 3


class TestStatuses:
    async def test_a_journal_which_is_none(self, broker: InProcess) -> None:
        (read,) = [r async for r in broker.stub.Read(pb.ReadRequest(journal="a/missing"))]
        append = await broker.stub.Append(iter([pb.AppendRequest(journal="a/missing;meta")]))
        fragments = await broker.stub.ListFragments(pb.FragmentsRequest(journal="a/missing"))
        # A first message without a name is one of content, of no journal.
        nameless = await broker.stub.Append(iter([pb.AppendRequest()]))
        for response in (read, append, fragments, nameless):
            assert response.status == pb.JOURNAL_NOT_FOUND
            assert response.header.process_id == pb.ProcessSpec.ID(zone="a", suffix="broker-0")
            assert response.header.route == pb.Route(primary=-1)
            assert response.header.etcd.revision > 0

    async def test_a_journal_which_nobody_serves(self, broker: InProcess) -> None:
        await broker.put("a/one")
        (read,) = [r async for r in broker.stub.Read(pb.ReadRequest(journal="a/one"))]
        append = await broker.stub.Append(iter([pb.AppendRequest(journal="a/one")]))
        fragments = await broker.stub.ListFragments(pb.FragmentsRequest(journal="a/one"))
        assert read.status == pb.INSUFFICIENT_JOURNAL_BROKERS
        assert append.status == pb.NO_JOURNAL_PRIMARY_BROKER
        assert fragments.status == pb.INSUFFICIENT_JOURNAL_BROKERS

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            ({"cluster_id": 5}, "proxied request Etcd ClusterId doesn't match our own (5 vs 1"),
            ({"suffix": "other"}, "proxied request ProcessId doesn't match our own (a/other vs a/"),
        ],
        ids=["cluster", "process"],
    )
    async def test_a_request_which_was_meant_for_another(
        self, broker: InProcess, change: dict[str, Any], expected: str
    ) -> None:
        await broker.put("a/one")
        header = convert.header_to_pb(broker.service.unrouted_header())
        for field, value in change.items():
            part: Any = header.etcd if field == "cluster_id" else header.process_id
            setattr(part, field, value)
        proposal = pb.Fragment(journal="a/one", compression_codec=pb.NONE)
        for method, message in (
            ("Read", pb.ReadRequest(journal="a/one", header=header)),
            ("Append", pb.AppendRequest(journal="a/one", header=header)),
            ("ListFragments", pb.FragmentsRequest(journal="a/one", header=header)),
            (
                "Replicate",
                pb.ReplicateRequest(header=header, proposal=proposal, acknowledge=True),
            ),
        ):
            code, detail = await raw(broker, method, message.SerializeToString())
            assert code is grpc.StatusCode.UNKNOWN
            assert detail.startswith(expected)

    async def test_statuses_are_counted_by_name(self, broker: InProcess) -> None:
        _ = [r async for r in broker.stub.Read(pb.ReadRequest(journal="a/missing"))]
        await raw(broker, "Read", pb.ReadRequest(journal="/").SerializeToString())
        text = broker.metrics.expose().decode()
        for status in ("JOURNAL_NOT_FOUND", "<error>"):
            line = f'completed_totals{{operation="Read",status="{status}"}} 1.0'
            assert line in text
