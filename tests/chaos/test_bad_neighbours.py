"""What brokers are not protected from: of each they say what is wrong, and nothing waits for ever.

A broker of an ID which is taken, keys of others below the prefix, a watch whose past was compacted
away, and a lease which is lost in the middle of an append. Under load, as in test_faults.py.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import grpc.aio
import pytest
import urllib3
from chaos_cluster import ROOT, Broker, cluster
from chaos_network import Network
from chaos_trial import JOURNALS, LEASE_S, Trial, specs_of, trial
from local_clusters import apply, eventually

from gazette_py.errors import ConfigError
from gazette_py.etcd.base import Delete, Op, Put
from gazette_py.etcd.client import connect as connect_etcd
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.pb import protocol_pb2_grpc
from gazette_py.rpc.channel import dial

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]


async def test_a_second_broker_of_an_id_is_refused(tmp_path: Path, net: Network) -> None:
    name = "a second broker of the same ID"
    async with trial(name, tmp_path, net, zones="abca", later=1) as run:
        first, *_, second = run.cluster.brokers
        second.id = first.id

        async def fault() -> None:
            began = time.monotonic()
            with pytest.raises(ConfigError) as caught:
                await run.cluster.start(second)
            print(f"\n| {caught.value} | after {time.monotonic() - began:.0f} s |")
            assert "a broker a/broker-0 is in the cluster, and stays" in str(caught.value)
            assert "give this one another --broker.id" in str(caught.value)

        await run.during(fault())
        assert run.pause_s < 5


FOREIGN = {
    f"{ROOT}/nobody/knows": b"x",
    f"{ROOT}-of-others/items/a/journal": b"x",
    f"{ROOT}/items/": b"x",
    f"{ROOT}/items/chaos/foreign": b"\xff\xff",
    f"{ROOT}/members/a#stranger": b"\xff\xff",
    f"{ROOT}/assign/chaos/one#a#stranger#9": b"\xff\xff",
    f"{ROOT}/items/{JOURNALS[0]}": b"\xff\xff",
}
IGNORED = 5
"""Of which the keys are ours, and the values no messages."""


async def test_keys_of_others_are_told_and_change_nothing(tmp_path: Path, net: Network) -> None:
    """Even in the place of a journal's spec: the last good one holds."""
    async with trial("foreign keys below the prefix", tmp_path, net) as run:

        async def fault() -> None:
            before = (await run.cluster.keyspace()).items[JOURNALS[0]].value
            await write(run, [Put(key.encode(), value) for key, value in FOREIGN.items()])

            async def is_told() -> bool:
                logs = [run.cluster.log_of(broker) for broker in run.cluster.brokers]
                return all(log.count("msg=value_ignored") == IGNORED for log in logs)

            await eventually(is_told, "told")
            await run.load.wait_progress(50, 60)
            # One who starts now has no last good one, and knows nothing of the journal.
            await run.cluster.brokers[0].kill()
            await write(
                run, [Put(f"{ROOT}/items/{JOURNALS[0]}".encode(), before), *foreign_deleted()]
            )
            await run.cluster.start(run.cluster.brokers[0])

        await run.during(fault())


def foreign_deleted() -> list[Op]:
    return [Delete(key.encode()) for key in FOREIGN if not key.endswith(JOURNALS[0])]


async def write(run: Trial, ops: list[Op]) -> int:
    """Write to etcd, past all brokers; return the revision."""
    etcd = await connect_etcd(run.cluster.etcd_url)
    try:
        return (await etcd.txn([], ops)).header.revision
    finally:
        await etcd.close()


async def test_a_watch_whose_past_is_compacted_loads_anew(tmp_path: Path, net: Network) -> None:
    async with trial("a broker cut off from etcd, which is compacted", tmp_path, net) as run:

        async def fault() -> None:
            broker = run.cluster.brokers[0]
            net.part(broker.address, run.cluster.etcd_address)
            await run.cluster.wait_gone(broker)
            await run.cluster.wait_consistent(JOURNALS)
            revision = await write(run, [Put(f"{ROOT}/nobody/knows".encode(), b"x")])
            await asyncio.to_thread(compact, run.cluster.etcd_url, revision)
            # Else what etcd has sent meanwhile is still on its way to it.
            assert run.cluster.etcd is not None
            await run.cluster.etcd.kill()
            await run.cluster.start_etcd()
            net.heal()

            async def is_told() -> bool:
                return "msg=watch_compacted" in run.cluster.log_of(broker)

            await eventually(is_told, "told", 60.0)
            await run.cluster.wait_member(broker)
            await run.load.wait_progress(20, 60)

        await run.during(fault())


def compact(etcd_url: str, revision: int) -> None:
    body = json.dumps({"revision": str(revision)})
    answer = urllib3.request("POST", f"{etcd_url}/v3/kv/compaction", body=body, timeout=10)
    assert answer.status == 200, answer.data


async def test_a_lease_lost_in_the_middle_of_an_append(tmp_path: Path, net: Network) -> None:
    async with (
        cluster(tmp_path / "chaos", net, lease_s=LEASE_S) as running,
        running.connect() as client,
    ):
        journal = JOURNALS[0]
        await apply(client, *specs_of([journal]))
        await running.wait_consistent([journal])
        head = (await client.append(journal, b"before\n")).commit.end
        primary: Broker = (await running.members_of(journal))[0]
        begun, may_end = asyncio.Event(), asyncio.Event()
        channel = dial(primary.endpoint)
        stub = protocol_pb2_grpc.JournalStub(channel)
        call = stub.Append(slowly(journal, begun, may_end), timeout=60)
        await begun.wait()
        net.part(primary.address, running.etcd_address)
        try:
            await running.wait_gone(primary)
            may_end.set()
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                async with asyncio.timeout(10):
                    await call
            print(f"\n| {caught.value.code().name}: {caught.value.details()} |")
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            assert "lease" in (caught.value.details() or "")
        finally:
            net.heal()
            await channel.close()
        end = (await client.append(journal, b"after\n", timeout_s=60)).commit.end
        content = await client.read_all(journal, 0, end, block=True)
        assert content[:head] == b"before\n"
        assert content == b"before\nafter\n"


async def slowly(
    journal: str, begun: asyncio.Event, may_end: asyncio.Event
) -> AsyncIterator[pb.AppendRequest]:
    yield pb.AppendRequest(journal=journal)
    while not may_end.is_set():
        yield pb.AppendRequest(content=b"x" * 8192)
        begun.set()
        await asyncio.sleep(0.05)
    yield pb.AppendRequest()
