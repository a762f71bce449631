"""Brokers whose leases expire, and which join anew: alone, or all at once.

Nothing is ever stored here: what is read back is what the brokers still had.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from broker_harness import JOURNAL, Broker, Cluster, new_cluster, until

from gazette_py.core.spool import Spool
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.protocol import convert
from gazette_py.protocol.enums import Status
from gazette_py.protocol.labels import LabelSet

FENCE = LabelSet.of(("fence", "one"))


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with new_cluster(tmp_path) as made:
        yield made


async def join_anew(cluster: Cluster, *brokers: Broker) -> None:
    for broker in brokers:
        await cluster.announce(broker.id, broker.endpoint)


async def expire(cluster: Cluster, *brokers: Broker) -> None:
    for broker in brokers:
        cluster.expire(broker)
        await broker.read_through()


async def spool_of(broker: Broker) -> Spool:
    replica = broker.replica()
    taken = await replica.spool_slot.take()
    assert taken is not None
    replica.spool_slot.put(taken[0])
    return taken[0]


@pytest.mark.parametrize("first", [0, 1, 2])
async def test_all_lose_their_leases_and_the_journal_goes_on_where_it_was(
    cluster: Cluster, first: int
) -> None:
    """Whoever is primary then: also a broker which never had the journal."""
    a, b, c, d = [await cluster.broker(name) for name in "abcd"]
    await cluster.serve(a, b, c)
    await a.append(b"one,", union_registers=convert.labels_to_pb(FENCE))
    await expire(cluster, a, b, c)
    await join_anew(cluster, a, b, c)
    members = [d, b, c]
    await cluster.assign([*members[first:], *members[:first]])
    primary = members[first]
    response = await primary.append(b"two,")
    assert (response.commit.begin, response.commit.end) == (4, 8)
    assert convert.labels_from_pb(response.registers) == FENCE
    for broker in (b, c):
        assert await broker.read() == b"one,two,"


async def test_a_lease_which_expires_and_is_granted_in_one_breath(cluster: Cluster) -> None:
    """The broker may hear of both in one batch, and the assignment may look like the old one."""
    a, b = [await cluster.broker(name) for name in "ab"]
    await cluster.serve(a, b)
    await a.append(b"one,")
    before = a.replica(), b.replica()
    departure = b.service.departure_of(a.id)
    for broker in (a, b):
        cluster.expire(broker)
    await join_anew(cluster, a, b)
    await cluster.assign([a, b])
    assert a.replica() is not before[0]
    assert b.replica() is not before[1]
    assert departure.is_fired
    response = await b.append(b"two,")
    assert (response.commit.begin, response.commit.end) == (4, 8)
    assert await a.read() == await b.read() == b"one,two,"


async def test_who_was_away_while_others_wrote_begins_afresh(cluster: Cluster) -> None:
    """It does not know where the journal has ended since: it must not say that it does."""
    a, b, c, d = [await cluster.broker(name) for name in "abcd"]
    await cluster.serve(a, b, c)
    await a.append(b"one,")
    await expire(cluster, c)
    await cluster.assign([a, b, d])
    await a.append(b"two,")
    await c.read_through()
    await join_anew(cluster, c)
    await expire(cluster, a, b, d)
    await join_anew(cluster, a, b, d)
    await cluster.assign([c])
    assert (await spool_of(c)).fragment.end == 0
    # Those who wrote last do know.
    await cluster.assign([c, a, b])
    response = await c.append(b"three,")
    assert response.commit.begin == 8


async def test_a_journal_which_was_made_anew_begins_at_its_beginning(cluster: Cluster) -> None:
    a, b = [await cluster.broker(name) for name in "ab"]
    await cluster.serve(a, b)
    await a.append(b"one,")
    await expire(cluster, a, b)
    await cluster.delete_item()
    await join_anew(cluster, a, b)
    await cluster.serve(a, b)
    response = await a.append(b"new,")
    assert (response.commit.begin, response.commit.end) == (0, 4)
    assert await b.read() == b"new,"


async def test_a_new_lease_does_not_stand_for_what_began_under_the_old_one(
    cluster: Cluster,
) -> None:
    a, peer = await cluster.broker("a"), await cluster.peer("b")
    await cluster.serve(a, peer)
    appending = asyncio.create_task(a.append(b"one,"))
    stream = await peer.stream()
    await stream.receive_proposal()
    await stream.reply()
    await stream.receive_proposal()  # The commit, which the peer accepts only ...
    replica = a.replica()
    await expire(cluster, a)
    await join_anew(cluster, a)
    await a.read_through()
    await stream.reply()  # ... when the broker has another lease.
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await appending
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "lease has expired" in str(caught.value.details())
    assert replica.is_disowned
    await until(lambda: replica.ended.is_fired, "ended")
    stream.end()


async def test_while_the_lease_is_doubtful_nothing_is_acknowledged_and_then_all_goes_on(
    cluster: Cluster,
) -> None:
    a, b = [await cluster.broker(name) for name in "ab"]
    await cluster.serve(a, b)
    await a.append(b"one,")
    a.lease_until = 0.0
    for _ in range(2):
        with pytest.raises(grpc.aio.AioRpcError, match="lease has expired"):
            await a.append(b"doubtful,")
    a.lease_until = float("inf")
    response = await a.append(b"two,")
    assert response.status == pb.Status.Value(Status.OK.name)
    assert await a.read() == await b.read() == b"one,two,"
    assert a.service.keyspace.item(JOURNAL) is not None
