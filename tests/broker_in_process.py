"""A broker's calls in this process, over a socket, on an etcd in memory: no lease, no upkeep."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
from keyspaces import ROOT, process, spec

from gazette_py.broker.calls import Calls
from gazette_py.broker.peers import Peers
from gazette_py.broker.persister import Persister
from gazette_py.broker.replica import Replica, SpoolCounters
from gazette_py.broker.service import Service
from gazette_py.broker.servicer import InspectionServicer, JournalServicer
from gazette_py.broker.spool_file import SpoolDirectory
from gazette_py.broker.stored_fragment import StoredFragments
from gazette_py.clock import SYSTEM
from gazette_py.cluster.mirror import Mirror
from gazette_py.core.flow_control import FlowControl
from gazette_py.etcd.base import Delete, Put
from gazette_py.pb.inspection_pb2_grpc import add_InspectionServicer_to_server
from gazette_py.pb.protocol_pb2_grpc import JournalStub, add_JournalServicer_to_server
from gazette_py.protocol import convert
from gazette_py.protocol.fragment import Fragment
from gazette_py.protocol.keys import assignment_key, item_key, member_key
from gazette_py.protocol.route import BrokerSpec
from gazette_py.rpc.channel import dial
from gazette_py.rpc.server import add_service, listen, new_server
from gazette_py.rpc.tokens import Tokens, Verifier
from gazette_py.stores.registry import StoreRegistry
from gazette_py.telemetry.metrics import Metrics
from gazette_py.testing.memory_etcd import MemoryEtcd

SELF_ID = process("a/broker-0")


@dataclass
class InProcess:
    """The parts, and how to reach them."""

    etcd: MemoryEtcd
    mirror: Mirror
    service: Service
    metrics: Metrics
    spools: SpoolDirectory
    channel: grpc.aio.Channel
    endpoint: str

    @property
    def stub(self) -> Any:
        return JournalStub(self.channel)

    async def put(self, *names: str) -> int:
        """Write journals, each at a revision of its own, and return the last."""
        revision = 0
        for name in names:
            value = convert.journal_to_pb(spec(name)).SerializeToString()
            put = Put(item_key(ROOT, name).encode(), value)
            revision = (await self.etcd.txn([], [put])).header.revision
        await self.mirror.wait_revision(revision)
        return revision

    async def serve(self, name: str, **more: Any) -> Replica:
        """Create a journal, assign it to this broker, and return its replica."""
        value = convert.journal_to_pb(spec(name, **more)).SerializeToString()
        puts = [
            Put(item_key(ROOT, name).encode(), value),
            Put(assignment_key(ROOT, name, SELF_ID, 0).encode(), b""),
        ]
        await self.mirror.wait_revision((await self.etcd.txn([], puts)).header.revision)
        return self.replica(name)

    def replica(self, name: str) -> Replica:
        (found,) = [r for r, _ in self.service.local_replicas() if r.journal == name]
        return found

    def commit(self, replica: Replica, begin: int, content: bytes, mod_time: int = 0) -> Fragment:
        """Show a fragment to readers, as if it had been appended."""
        file = self.spools.open(replica.journal, begin)
        file.write(0, content)
        fragment = Fragment(
            journal=replica.journal,
            begin=begin,
            end=begin + len(content),
            sum=hashlib.sha1(content).digest(),
            mod_time=mod_time,
        )
        replica.index.spool_commit(fragment, file)
        replica.replace_remote([])  # Wakes readers.
        return fragment

    async def delete(self, name: str) -> int:
        result = await self.etcd.txn([], [Delete(item_key(ROOT, name).encode())])
        await self.mirror.wait_revision(result.header.revision)
        return result.header.revision


@asynccontextmanager
async def broker_in_process(directory: Path, file_root: str = "") -> AsyncIterator[InProcess]:
    etcd, metrics = MemoryEtcd(), Metrics()
    server = new_server(recv_bytes_max=4 << 20)
    endpoint = f"http://127.0.0.1:{listen(server, '127.0.0.1:0')}"
    member = BrokerSpec(id=SELF_ID, endpoint=endpoint, journal_limit=10)
    value = convert.broker_to_pb(member).SerializeToString()
    loaded = await etcd.txn([], [Put(member_key(ROOT, SELF_ID).encode(), value)])
    mirror = Mirror(etcd, ROOT, clock=SYSTEM, watch_delay_s=0)
    await mirror.load(loaded.header.revision)
    stores = StoreRegistry(SYSTEM, file_root=file_root, allow_memory=True)
    executor, spools = ThreadPoolExecutor(1), SpoolDirectory(str(directory))
    persister = Persister(
        stores=stores,
        spools=spools,
        spec_of=lambda journal, created: service.spec_of(journal, created),
        executor=executor,
        clock=SYSTEM,
        counters=metrics,
    )
    counters = SpoolCounters(
        on_commit=metrics.spool_committed,
        on_rollback=metrics.spool_rolled_back,
        on_complete=metrics.spool_completed,
    )

    def new_replica(
        replica_id: int, journal: str, create_revision: int, predecessor: Replica | None
    ) -> Replica:
        return Replica(
            replica_id,
            journal,
            create_revision,
            spools=spools,
            persister=persister,
            counters=counters,
            flow=FlowControl(0, 0),
            clock=SYSTEM,
            predecessor=predecessor,
        )

    peers = Peers("a", 4 << 20)
    service = Service(
        self_id=SELF_ID,
        etcd=etcd,
        mirror=mirror,
        stores=stores,
        peers=peers,
        tokens=Tokens(),
        clock=SYSTEM,
        max_replication=3,
        metrics=metrics,
        valid_until=lambda: float("inf"),
        new_replica=new_replica,
        start_replica=lambda replica: None,
    )
    calls = Calls(metrics, Verifier())
    servicer = JournalServicer(calls, StoredFragments(spools, executor))
    add_service(server, add_JournalServicer_to_server, servicer)
    add_service(server, add_InspectionServicer_to_server, InspectionServicer(calls, spools))
    await server.start()
    mirror.add_observer(service.on_keyspace)
    calls.start(service)
    following = asyncio.create_task(mirror.run())
    try:
        async with dial(endpoint) as channel:
            yield InProcess(etcd, mirror, service, metrics, spools, channel, endpoint)
    finally:
        await server.stop(0)
        await service.stop_local()
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await peers.close()
        await stores.close()
        executor.shutdown()
        spools.close()
