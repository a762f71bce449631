"""The pulse, against peers which a test scripts."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from broker_harness import JOURNAL, Cluster, new_cluster, until

from gazette_py.broker import upkeep
from gazette_py.broker.upkeep import Upkeep
from gazette_py.core.fragment_index import IndexEntry
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.protocol.enums import Status
from gazette_py.protocol.fragment import Fragment


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with new_cluster(tmp_path) as made:
        yield made


async def test_a_peer_which_cannot_be_reached_is_not_pulsed_without_pause(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each broken stream asks for a pulse: after a failure they wait for its retry."""
    monkeypatch.setattr(upkeep, "PULSE_RETRY_S", 0.5)
    broker, peer = await cluster.broker("a"), await cluster.peer("b")
    await cluster.serve(broker, peer)
    replica = broker.replica()
    Upkeep(broker.service, auto_suspend=False).start(replica)
    for _ in range(2):
        stream = await peer.stream()
        stream.end((grpc.StatusCode.UNAVAILABLE, "not now"))
        await until(lambda: replica.pipeline_slot._held is not None, "failed")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await peer._streams.get()


async def test_a_pulse_which_waits_for_ever_gives_the_pipeline_back(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peer names a revision which etcd will not have for a long time."""
    monkeypatch.setattr(upkeep, "PULSE_TIMEOUT_S", 0.2)
    broker, peer = await cluster.broker("a"), await cluster.peer("b")
    await cluster.serve(broker, peer)
    replica = broker.replica()
    Upkeep(broker.service, auto_suspend=False).start(replica)
    stream = await peer.stream()
    greeting = await stream.receive_proposal()
    greeting.header.etcd.revision += 1 << 40
    greeting.header.route.members[1].suffix = "member-c"
    await stream.reply(Status.WRONG_ROUTE, header=greeting.header)
    stream.end()
    second = await peer.stream()
    greeting = await second.receive_proposal()
    await second.reply(header=greeting.header)
    commit = await second.receive_proposal()
    assert commit.proposal.journal == JOURNAL
    await second.reply()
    await until(lambda: replica.pipeline_slot._held is not None, "synchronised")


async def test_a_bug_does_not_end_the_pulses(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "PULSE_RETRY_S", 0.01)
    broker = await cluster.broker("a")
    await cluster.serve(broker)
    replica, failures = broker.replica(), [ZeroDivisionError(), KeyError()]
    advertise_route = broker.service.advertise_route

    async def fail(resolution: object) -> int:
        if failures:
            raise failures.pop()
        return await advertise_route(resolution)  # type: ignore[arg-type]

    monkeypatch.setattr(broker.service, "advertise_route", fail)
    Upkeep(broker.service, auto_suspend=False).start(replica)
    await until(lambda: not failures, "failed")
    assert (await broker.append(b"content")).status == pb.OK


async def test_conflicting_fragments_of_a_store_are_told(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a metric, until an operator has removed one of them."""
    listed = [
        IndexEntry(Fragment(journal=JOURNAL, begin=0, end=5, sum=bytes([n]) * 20, mod_time=1))
        for n in (1, 2)
    ]

    async def listing(*_: object) -> list[IndexEntry]:
        return listed

    monkeypatch.setattr(upkeep, "list_fragments", listing)
    broker = await cluster.broker("a")
    await cluster.serve(broker)
    replica = broker.replica()
    Upkeep(broker.service, auto_suspend=False).start(replica)

    def extents() -> str:
        lines = broker.service.metrics.expose().decode().splitlines()
        name = f'gazette_py_conflicting_extents{{journal="{JOURNAL}"}}'
        return next((line.split()[1] for line in lines if line.startswith(name)), "")

    await until(lambda: extents() == "1.0", "told")
    assert replica.conflicts == (tuple(entry.fragment for entry in listed),)
    del listed[0]
    replica.ask_refresh()
    await until(lambda: extents() == "0.0", "mended")
    assert replica.conflicts == ()


async def test_a_replica_which_has_ended_is_in_no_memory_however_rare_its_chores(
    cluster: Cluster,
) -> None:
    """As when its journal is suspended. Stores may be listed once a day."""
    broker = await cluster.broker("a")
    await cluster.serve(broker)
    replica = broker.replica()
    upkeep_of_all = Upkeep(broker.service, auto_suspend=False)
    upkeep_of_all.start(replica)
    index = replica.index
    await until(lambda: index.is_refreshed and upkeep_of_all._calendar.size == 2, "kept")
    ended = replica.ended
    await cluster.assign([])
    await until(lambda: ended.is_fired, "ended")
    # Also if it is asked for once more.
    replica.ask_refresh()
    replica.ask_pulse()
    assert upkeep_of_all._calendar.size == 0
    seen = weakref.ref(replica)
    del replica

    def is_gone() -> bool:
        gc.collect()
        return seen() is None

    await until(is_gone, "gone")
