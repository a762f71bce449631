"""Brokers of this process, whose key space a test writes by hand, and peers which it scripts.

There is no allocator and no daemon: nothing happens unless the test does it. gRPC goes over the
loopback, as in a process.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Self

import grpc
import grpc.aio
from keyspaces import ROOT, spec

from gazette_py.broker.append_run import AppendRun, NoContent, pulse_request
from gazette_py.broker.calls import Calls
from gazette_py.broker.peers import Peers
from gazette_py.broker.persister import Persister
from gazette_py.broker.replica import Replica, SpoolCounters
from gazette_py.broker.service import Service
from gazette_py.broker.servicer import JournalServicer
from gazette_py.broker.spool_file import SpoolDirectory
from gazette_py.broker.stored_fragment import StoredFragments
from gazette_py.broker.token import Signal
from gazette_py.clock import SYSTEM
from gazette_py.cluster.mirror import Mirror
from gazette_py.core.flow_control import FlowControl
from gazette_py.core.spool import CompletedSpool
from gazette_py.etcd.base import Delete, Put
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.pb import protocol_pb2_grpc
from gazette_py.protocol import convert, keys
from gazette_py.protocol.enums import AppendSuspend, Status
from gazette_py.protocol.journal import JournalSpec
from gazette_py.protocol.route import BrokerSpec, ProcessID
from gazette_py.rpc.channel import dial
from gazette_py.rpc.server import add_service, listen, new_server
from gazette_py.rpc.tokens import Tokens, Verifier
from gazette_py.stores.registry import StoreRegistry
from gazette_py.telemetry.metrics import Metrics
from gazette_py.testing.memory_etcd import MemoryEtcd

JOURNAL = "a/journal"
DEADLINE_S = 10.0


async def until(check: Callable[[], object], what: str) -> None:
    """Wait until `check` returns something true."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not check():
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"not {what} after {DEADLINE_S} s") from None


class HeldPersister(Persister):
    """Notes what it is given, and never stores it."""

    def __init__(self) -> None:
        self.given: list[tuple[CompletedSpool, bool]] = []

    def persist_soon(
        self, spool: CompletedSpool, create_revision: int, *, is_primary: bool
    ) -> None:
        self.given.append((spool, is_primary))

    @property
    def spans(self) -> list[tuple[int, int]]:
        return [(spool.fragment.begin, spool.fragment.end) for spool, _ in self.given]


class Broker:
    """One broker: `service` is what its calls share."""

    def __init__(self, cluster: "Cluster", name: str, min_append_rate: int, zone: str) -> None:
        self.id = ProcessID(zone, f"member-{name}")
        self.lease_until = float("inf")
        self.persister = HeldPersister()
        self._cluster = cluster
        self._stack = AsyncExitStack()
        self._min_append_rate = min_append_rate

    async def __aenter__(self) -> Self:
        stack, metrics = self._stack, Metrics()
        path = self._cluster.path / self.id.suffix
        self.spools = stack.enter_context(SpoolDirectory(str(path), 1 << 30))
        executor = ThreadPoolExecutor(1)
        stack.callback(executor.shutdown)
        etcd = self._cluster.etcd.client()
        self.mirror = Mirror(etcd, ROOT, clock=SYSTEM, watch_delay_s=0)
        peers = Peers(self.id.zone, 4 << 20)
        stack.push_async_callback(peers.close)
        stores = StoreRegistry(SYSTEM, allow_memory=True)
        stack.push_async_callback(stores.close)
        counters = SpoolCounters(
            on_commit=metrics.spool_committed,
            on_rollback=metrics.spool_rolled_back,
            on_complete=metrics.spool_completed,
        )
        self.service = Service(
            self_id=self.id,
            etcd=etcd,
            mirror=self.mirror,
            stores=stores,
            peers=peers,
            tokens=Tokens(),
            clock=SYSTEM,
            max_replication=9,
            metrics=metrics,
            valid_until=lambda: self.lease_until,
            new_replica=lambda number, journal, revision, predecessor: Replica(
                number,
                journal,
                revision,
                spools=self.spools,
                persister=self.persister,
                counters=counters,
                flow=FlowControl(self._min_append_rate, 0),
                clock=SYSTEM,
                predecessor=predecessor,
            ),
            start_replica=lambda replica: replica.replace_remote([]),
        )
        self.mirror.add_observer(self.service.on_keyspace)
        server = new_server(recv_bytes_max=4 << 20)
        calls = Calls(metrics, Verifier())
        servicer = JournalServicer(calls, StoredFragments(self.spools, executor))
        add_service(server, protocol_pb2_grpc.add_JournalServicer_to_server, servicer)
        self.endpoint = f"http://127.0.0.1:{listen(server, '127.0.0.1:0')}"
        await server.start()
        stack.push_async_callback(server.stop, None)
        await self._cluster.announce(self.id, self.endpoint)
        await self.mirror.load((await etcd.txn([], [])).header.revision)
        running = asyncio.create_task(self.mirror.run())
        stack.push_async_callback(_cancelled, running)
        calls.start(self.service)
        channel = dial(self.endpoint)
        stack.push_async_callback(channel.close)
        self.stub = protocol_pb2_grpc.JournalStub(channel)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()

    def replica(self, journal: str = JOURNAL) -> Replica:
        """Return the local replica."""
        return next(r for r, _ in self.service.local_replicas() if r.journal == journal)

    async def read_through(self) -> None:
        """Wait until this broker knows what was written last."""
        newest = await self._cluster.etcd.txn([], [])
        await until(lambda: self.service.keyspace.header.revision >= newest.header.revision, "read")

    def pulse(self, journal: str = JOURNAL) -> "asyncio.Task[Any]":
        """Begin a pulse, as the daemon would."""
        request = pulse_request(journal, AppendSuspend.NO_RESUME)
        run = AppendRun(self.service, request, Signal())
        return asyncio.create_task(run.run(NoContent()))

    async def append(self, *contents: bytes, journal: str = JOURNAL, **more: Any) -> Any:
        """Append, as a client does."""
        call = self.stub.Append(timeout=DEADLINE_S)
        await call.write(pb.AppendRequest(journal=journal, **more))
        for content in (*contents, b""):
            await call.write(pb.AppendRequest(content=content))
        await call.done_writing()
        return await call

    async def read(self, offset: int = 0, journal: str = JOURNAL) -> bytes:
        """Return what readers see now."""
        call = self.stub.Read(pb.ReadRequest(journal=journal, offset=offset), timeout=DEADLINE_S)
        return b"".join([response.content async for response in call])

    async def is_idle(self, journal: str = JOURNAL) -> bool:
        """Tell whether both tokens can be had: nothing holds, and nothing has lost, either."""
        replica = self.replica(journal)
        try:
            async with asyncio.timeout(DEADLINE_S):
                pipeline = await replica.pipeline_slot.take()
                assert pipeline is not None
                if pipeline[0] is None:
                    spool = await replica.spool_slot.take()
                    assert spool is not None
                    replica.spool_slot.put(spool[0])
                replica.pipeline_slot.put(pipeline[0])
        except TimeoutError:
            return False
        return True


class Stream:
    """A Replicate stream which a scripted peer serves."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def receive(self) -> pb.ReplicateRequest | None:
        """Return the primary's next message; None at its end."""
        async with asyncio.timeout(DEADLINE_S):
            message = await self._context.read()
        return None if message is grpc.aio.EOF else message

    async def receive_proposal(self) -> pb.ReplicateRequest:
        """Return the next proposal, leaving out content."""
        while (message := await self.receive()) is not None:
            if message.HasField("proposal"):
                return message
        raise AssertionError("the stream has ended")

    async def reply(self, status: Status = Status.OK, **more: Any) -> None:
        """Answer a message."""
        await self._context.write(pb.ReplicateResponse(status=status, **more))

    def end(self, error: tuple[grpc.StatusCode, str] | None = None) -> None:
        """End the stream, as the peer."""
        if error is None:
            self.ended.set_result(None)
        else:
            self.ended.set_exception(_AbortError(*error))


class _AbortError(Exception):
    pass


class ScriptedPeer(protocol_pb2_grpc.JournalServicer):
    """A member of the cluster which does what the test says, and nothing else."""

    def __init__(self, cluster: "Cluster", name: str) -> None:
        self.id = ProcessID("zone", f"member-{name}")
        self._cluster = cluster
        self._streams: asyncio.Queue[Stream] = asyncio.Queue()
        self.appends: asyncio.Queue[Any] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        self._server = new_server(recv_bytes_max=4 << 20)
        protocol_pb2_grpc.add_JournalServicer_to_server(self, self._server)
        endpoint = f"http://127.0.0.1:{listen(self._server, '127.0.0.1:0')}"
        await self._server.start()
        await self._cluster.announce(self.id, endpoint)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._server.stop(None)

    async def Replicate(self, request_iterator: object, context: Any) -> None:  # noqa: N802  # The call.
        stream = Stream(context)
        self._streams.put_nowait(stream)
        try:
            await stream.ended
        except _AbortError as exc:
            await context.abort(*exc.args)

    async def Append(self, request_iterator: object, context: Any) -> Any:  # noqa: N802  # As above.
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.appends.put_nowait((context, answer))
        return await answer

    async def stream(self) -> Stream:
        """Wait for the primary's next stream."""
        async with asyncio.timeout(DEADLINE_S):
            return await self._streams.get()


class Cluster:
    """An etcd, written by hand, and the brokers which follow it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.etcd = MemoryEtcd()
        self._leases: dict[ProcessID, int] = {}
        self._assigned: dict[str, list[bytes]] = {}
        self._stack = AsyncExitStack()

    async def broker(self, name: str, min_append_rate: int = 0, zone: str = "zone") -> Broker:
        """Start a broker."""
        return await self._stack.enter_async_context(Broker(self, name, min_append_rate, zone))

    async def peer(self, name: str) -> ScriptedPeer:
        """Start a peer which the test scripts."""
        return await self._stack.enter_async_context(ScriptedPeer(self, name))

    async def close(self) -> None:
        """Stop all of them."""
        await self._stack.aclose()

    async def announce(self, member: ProcessID, endpoint: str) -> None:
        """Write a member key."""
        value = convert.broker_to_pb(BrokerSpec(id=member, endpoint=endpoint, journal_limit=100))
        lease = self._leases[member] = await self.etcd.grant_lease(1)
        key = keys.member_key(ROOT, member).encode()
        await self.etcd.txn([], [Put(key, value.SerializeToString(), lease=lease)])

    def expire(self, member: Broker | ScriptedPeer) -> None:
        """Let a member's lease expire: its member key and its assignments are gone."""
        self.etcd.expire_lease(self._leases[member.id])
        for keys_of in self._assigned.values():
            keys_of[:] = [key for key in keys_of if f"#{member.id.suffix}#" not in key.decode()]

    async def put_item(self, journal: JournalSpec) -> None:
        """Write a journal."""
        value = convert.journal_to_pb(journal).SerializeToString()
        await self.etcd.txn([], [Put(keys.item_key(ROOT, journal.name).encode(), value)])

    async def delete_item(self, journal: str = JOURNAL) -> None:
        """Delete a journal, but not its assignments."""
        await self.etcd.txn([], [Delete(keys.item_key(ROOT, journal).encode())])

    async def assign(
        self, members: Sequence[Broker | ScriptedPeer], journal: str = JOURNAL
    ) -> None:
        """Assign the journal to exactly these, the first as its primary."""
        wanted = {
            keys.assignment_key(ROOT, journal, member.id, slot).encode(): self._leases[member.id]
            for slot, member in enumerate(members)
        }
        before = self._assigned.get(journal, [])
        await self.etcd.txn(
            [],
            [
                *(Delete(key) for key in before if key not in wanted),
                *(Put(key, b"", lease=lease) for key, lease in wanted.items() if key not in before),
            ],
        )
        self._assigned[journal] = list(wanted)
        for member in members:
            if isinstance(member, Broker):
                await member.read_through()

    async def serve(
        self, *members: Broker | ScriptedPeer, journal: str = JOURNAL, **more: Any
    ) -> None:
        """Write a journal which these members serve, the first as its primary."""
        await self.put_item(spec(journal, len(members), **more))
        await self.assign(members, journal)


@asynccontextmanager
async def new_cluster(path: Path) -> AsyncIterator[Cluster]:
    """Return a cluster without members."""
    cluster = Cluster(path)
    try:
        yield cluster
    finally:
        await cluster.close()


async def _cancelled(task: "asyncio.Task[None]") -> None:
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=1)
