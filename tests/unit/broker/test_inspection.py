"""What a broker tells its operator of a journal, over the wire."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from broker_in_process import InProcess, broker_in_process

from gazette_py.client import connect
from gazette_py.pb import inspection_pb2 as pb
from gazette_py.pb.inspection_pb2_grpc import InspectionStub
from gazette_py.pb.protocol_pb2 import JOURNAL_NOT_FOUND, OK
from gazette_py.protocol import convert
from gazette_py.protocol.fragment import Fragment

JOURNAL = "a/journal"


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[InProcess]:
    async with broker_in_process(tmp_path) as started:
        yield started


async def inspect(broker: InProcess) -> pb.InspectJournalResponse:
    stub = InspectionStub(broker.channel)
    response: pb.InspectJournalResponse = await stub.InspectJournal(
        pb.InspectJournalRequest(journal=JOURNAL), timeout=5
    )
    return response


async def test_a_journal_which_does_not_exist(broker: InProcess) -> None:
    response = await inspect(broker)
    assert response.status == JOURNAL_NOT_FOUND
    assert not response.HasField("replica")


async def test_a_journal_which_is_not_served_here(broker: InProcess) -> None:
    await broker.put(JOURNAL)
    response = await inspect(broker)
    assert response.status == OK
    assert convert.header_from_pb(response.header).process_id == broker.service.self_id
    assert not response.HasField("replica")
    assert response.limit == "members"
    assert response.limit_reason.endswith("wants 3 replicas, and there are 1 brokers")


async def test_the_extent_of_a_replica_and_what_is_in_no_store(broker: InProcess) -> None:
    replica = await broker.serve(JOURNAL, replication=1)
    listed = (await inspect(broker)).replica
    assert not listed.is_listed
    broker.commit(replica, 0, b"hello")
    broker.commit(replica, 5, b"world!")
    response = await inspect(broker)
    assert (response.limit, response.limit_reason) == ("", "")
    assert not response.is_consistent  # Nobody has written its route yet.
    seen = response.replica
    assert (seen.begin, seen.end, seen.fragments, seen.unpersisted_bytes) == (0, 11, 2, 11)
    assert seen.is_listed


async def test_what_the_last_listing_of_the_stores_found(broker: InProcess) -> None:
    replica = await broker.serve(JOURNAL, replication=1)
    replica.listing_error = "the store is away"
    one, other = (
        Fragment(journal=JOURNAL, begin=0, end=5, sum=bytes([n]) * 20, mod_time=1) for n in (1, 2)
    )
    replica.conflicts = ((one, other),)
    seen = (await inspect(broker)).replica
    assert seen.listing_error == "the store is away"
    (conflict,) = seen.conflicts
    assert [convert.fragment_from_pb(each) for each in conflict.fragments] == [one, other]


async def test_how_the_broker_is(broker: InProcess) -> None:
    await broker.serve(JOURNAL, replication=1)
    replica = await broker.serve("another/journal", replication=1)
    broker.commit(replica, 0, b"hello")
    async with connect(broker.endpoint, metrics=False) as client:
        seen = await client.inspect_broker()
        same = await client.inspect_broker(broker.endpoint)
    assert (seen.refusal, seen.broker) == ("", broker.service.self_id)
    assert (seen.spool_used_bytes, seen.spool_max_bytes) == (5, broker.spools.bytes_max)
    assert seen.disk_free_bytes > 0
    assert seen.max_replication == broker.service.max_replication
    assert abs(seen.clock_ahead_s) <= seen.clock_error_s + 0.002
    (member,) = seen.members
    assert (member.broker.id, member.broker.journal_limit) == (seen.broker, 10)
    assert (member.assignments, member.primaries) == (2, 2)
    assert (same.endpoint, same.members) == (broker.endpoint, seen.members)


async def test_a_broker_which_is_not_there_is_told() -> None:
    async with connect("http://127.0.0.1:1", metrics=False) as client:
        seen = await client.inspect_broker("http://127.0.0.1:2", timeout_s=5)
        other = await client.inspect_broker("ftp://nowhere")
    assert "http://127.0.0.1:2: UNAVAILABLE" in seen.refusal
    assert "ftp" in other.refusal
