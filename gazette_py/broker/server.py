"""The broker process: what is started in which order, and how it ends.

    listen -> etcd -> announce -> load the key space -> serve -> drain -> leave -> persist -> exit

While etcd is away nothing is acknowledged. If our lease lives still when it comes back, all goes
on; if it was lost, others have our journals: our replicas end, their content is persisted, and we
join anew, as a member without journals.

Invariants:
    BP1  Ports are bound before anything is written to etcd: a broker which cannot serve is never
         announced.
    BP2  Once our lease is revoked, or may be lost, nothing more is acknowledged: by the replicas
         which it stood for never again, also once we have another lease.
    BP3  The process does not end before every closed fragment is in a store, unless it is killed or
         told a third time.

Source: gazette/core cmd/gazette/main.go, broker/service.go, allocator/announce.go.
"""

import asyncio
import resource
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from typing import Any

import grpc.aio

from gazette_py.broker.calls import Calls
from gazette_py.broker.config import BrokerConfig
from gazette_py.broker.local_calls import LocalCalls
from gazette_py.broker.membership import Membership
from gazette_py.broker.peers import Peers
from gazette_py.broker.persister import Persister
from gazette_py.broker.replica import Replica, SpoolCounters
from gazette_py.broker.service import Service
from gazette_py.broker.servicer import InspectionServicer, JournalServicer
from gazette_py.broker.spool_file import SpoolDirectory
from gazette_py.broker.stored_fragment import StoredFragments
from gazette_py.broker.tasks import Tasks
from gazette_py.broker.upkeep import Upkeep
from gazette_py.broker.watermarks import WatermarkWriter
from gazette_py.clock import SYSTEM, Clock
from gazette_py.cluster.allocate import run_allocator
from gazette_py.cluster.mirror import Mirror
from gazette_py.cluster.session import Session
from gazette_py.core.flow_control import FlowControl
from gazette_py.errors import (
    ConfigError,
    ValidationError,
)
from gazette_py.etcd.base import Etcd
from gazette_py.etcd.client import connect
from gazette_py.pb import inspection_pb2_grpc, protocol_pb2_grpc
from gazette_py.protocol.claims import parse_keys
from gazette_py.protocol.keys import validate_root
from gazette_py.protocol.route import BrokerSpec, ProcessID, validate_broker_spec
from gazette_py.rpc.server import add_service, listen, new_server
from gazette_py.rpc.tokens import KeyVerifier, SignedTokens, Tokens, Verifier
from gazette_py.stores.base import Store
from gazette_py.stores.registry import StoreRegistry
from gazette_py.telemetry.log import get_logger
from gazette_py.telemetry.metrics import Metrics
from gazette_py.web.byte_gateway import ByteGateway
from gazette_py.web.byte_responses import Here
from gazette_py.web.cors import Cors
from gazette_py.web.debug import debug_app
from gazette_py.web.json_gateway import JsonGateway
from gazette_py.web.server import listen_http, routed, serve_http

log = get_logger(__name__)

STOP_GRACE_S = 10.0
"""How long replicas have to end before we leave, and then once more all calls under way."""

_THREADS_MAX = 4
"""Threads which compress, decompress and hash."""


async def run_broker(
    config: BrokerConfig, clock: Clock = SYSTEM, on_ready: Callable[[str, int], None] | None = None
) -> None:
    """Run one broker until SIGTERM or SIGINT has drained it.

    Args:
        config: What to run.
        clock: Times everything.
        on_ready: Called with the endpoint and the HTTP port, once the broker serves.

    Raises:
        ConfigError: It cannot run as configured.
        EtcdError: etcd cannot be reached as we start, or refuses us.
    """
    _raise_file_limit()
    async with AsyncExitStack() as stack:
        broker = Broker(config, clock, stack)
        await broker.open()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, broker.stop)
            stack.callback(loop.remove_signal_handler, number)
        await broker.run(on_ready)


class Broker:
    """Parts of a broker, in the order in which they are made. `stack` unmakes them.

    Args:
        config: What to run.
        clock: Times everything.
        stack: Exited after `run`.
        etcd: Stands for the etcd of the configuration.
        wrap_store: Puts another store before each one.
        interceptors: Of all calls.
    """

    def __init__(
        self,
        config: BrokerConfig,
        clock: Clock,
        stack: AsyncExitStack,
        *,
        etcd: Etcd | None = None,
        wrap_store: Callable[[Store], Store] | None = None,
        interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
    ) -> None:
        self._config = config
        self._clock = clock
        self._stack = stack
        self._given_etcd = etcd
        self._wrap_store = wrap_store
        self._interceptors = interceptors
        self._metrics = Metrics()
        self._is_ready = self._is_draining = False
        self._signals = 0
        self._signalled = asyncio.Event()

    async def open(self) -> None:
        """Make all parts, and bind the ports. Nothing is written to etcd yet."""
        config, clock, stack = self._config, self._clock, self._stack
        self._spools = self._open_spools()
        self._executor = ThreadPoolExecutor(_THREADS_MAX, thread_name_prefix="spool")
        stack.callback(self._executor.shutdown, wait=False, cancel_futures=True)
        self._server = new_server(
            recv_bytes_max=config.max_grpc_recv_size, interceptors=self._interceptors
        )
        keys = parse_keys("--broker.auth-keys", config.auth_keys) if config.auth_keys else None
        self._tokens = SignedTokens(keys, clock) if keys else Tokens()
        self._verifier = KeyVerifier(keys, clock) if keys else Verifier()
        self._calls = Calls(self._metrics, self._verifier)
        self._fragments = StoredFragments(self._spools, self._executor)
        journals = JournalServicer(self._calls, self._fragments)
        add_service(self._server, protocol_pb2_grpc.add_JournalServicer_to_server, journals)
        add_service(
            self._server,
            inspection_pb2_grpc.add_InspectionServicer_to_server,
            InspectionServicer(self._calls, self._spools),
        )
        self._spec = self._listen()
        self._listeners = self._listen_http()
        self._stores = StoreRegistry(
            clock,
            file_root=config.file_root,
            file_only=config.file_only,
            file_mode=config.file_mode,
            wrap=self._wrap_store,
            observer=self._metrics,
        )
        stack.push_async_callback(self._stores.close)
        self._etcd = self._given_etcd or await self._connect()
        stack.push_async_callback(self._etcd.close)
        self._mirror = Mirror(
            self._etcd, config.etcd.prefix, clock=clock, watch_delay_s=config.watch_delay_s
        )
        session = Session(
            self._etcd, config.etcd.prefix, self._spec, ttl_s=config.etcd.lease_s, clock=clock
        )
        self._persister = Persister(
            stores=self._stores,
            spools=self._spools,
            spec_of=lambda journal, created: self._service.spec_of(journal, created),
            executor=self._executor,
            clock=clock,
            counters=self._metrics,
            concurrency=config.persist_concurrency,
        )
        self._peers = Peers(config.zone, config.max_grpc_recv_size)
        stack.push_async_callback(self._peers.close)
        self._service = self._new_service(session.valid_until)
        self._upkeep = Upkeep(self._service, auto_suspend=config.auto_suspend)
        self._mirror.add_observer(self._service.on_keyspace)
        self._membership = Membership(
            session,
            self._mirror,
            clock=clock,
            metrics=self._metrics,
            max_replication=config.max_replication,
            count_local=lambda: len(self._service.local_replicas()),
            on_member_lost=self._persister.member_lost,
        )

    def _open_spools(self) -> SpoolDirectory:
        path = self._config.spool_dir
        if not path:
            path = tempfile.mkdtemp(prefix="gazette-py-spool-")
            self._stack.callback(shutil.rmtree, path, ignore_errors=True)
        return self._stack.enter_context(SpoolDirectory(path, self._config.spool_max_bytes))

    def _listen(self) -> BrokerSpec:
        """Bind the gRPC port, and return our spec with the endpoint which it makes."""
        config = self._config
        host = config.host or socket.gethostname()
        if config.port.startswith("unix://"):
            path = config.port.removeprefix("unix://")
            listen(self._server, f"unix:{path}")
            endpoint = f"unix://{host}{path}"
        else:
            port = listen(self._server, f"[::]:{config.port or 0}")
            endpoint = f"http://{host}:{port}"
        spec = BrokerSpec(
            id=ProcessID(config.zone, config.id or f"broker-{self._clock.token_hex(4)}"),
            endpoint=endpoint,
            journal_limit=config.limit,
        )
        try:
            validate_broker_spec(spec)
            validate_root(config.etcd.prefix)
        except ValidationError as exc:
            raise ConfigError(
                "--broker.zone, --broker.id, --broker.host, --broker.limit or --etcd.prefix",
                str(exc),
            ) from exc
        return spec

    def _listen_http(self) -> list[socket.socket]:
        config = self._config
        http_port = config.http_port
        if http_port is None:
            http_port = int(config.port) + 1 if config.port.isdigit() and int(config.port) else 0
        wanted = [("0.0.0.0", http_port, "--broker.http-port")]  # noqa: S104  # Meant for scrapers.
        if config.debug_port is not None:
            wanted.append((config.debug_host, config.debug_port, "--debug.port"))
        listeners = []
        for host, port, option in wanted:
            listener = listen_http(host, port, option)
            self._stack.callback(listener.close)
            listeners.append(listener)
        return listeners

    async def _connect(self) -> Etcd:
        etcd = self._config.etcd
        return await connect(
            etcd.address,
            user=etcd.user,
            password=etcd.password,
            cert_file=etcd.cert_file,
            key_file=etcd.cert_key_file,
            ca_file=etcd.trusted_ca_file,
            clock=self._clock,
        )

    def _new_service(self, valid_until: Callable[[], float]) -> Service:
        counters = SpoolCounters(
            on_commit=self._metrics.spool_committed,
            on_rollback=self._metrics.spool_rolled_back,
            on_complete=self._metrics.spool_completed,
        )

        def new_replica(
            replica_id: int, journal: str, create_revision: int, predecessor: Replica | None
        ) -> Replica:
            config = self._config
            return Replica(
                replica_id,
                journal,
                create_revision,
                spools=self._spools,
                persister=self._persister,
                counters=counters,
                flow=FlowControl(config.min_append_rate, config.max_append_rate),
                clock=self._clock,
                predecessor=predecessor,
            )

        return Service(
            self_id=self._spec.id,
            etcd=self._etcd,
            mirror=self._mirror,
            stores=self._stores,
            peers=self._peers,
            tokens=self._tokens,
            clock=self._clock,
            max_replication=self._config.max_replication,
            metrics=self._metrics,
            valid_until=valid_until,
            new_replica=new_replica,
            start_replica=lambda replica: self._upkeep.start(replica),
        )

    # Running.

    async def run(self, on_ready: Callable[[str, int], None] | None) -> None:
        """Serve until `stop`, drain, and end."""
        await self._server.start()
        tasks = Tasks()
        try:
            tasks.start(serve_http(self._gateways(), self._listeners[0]), "http")
            for listener in self._listeners[1:]:
                tasks.start(serve_http(self._debug_app(is_public=False), listener), "debug http")
            tasks.start(self._stores.run(), "stores")
            await tasks.first(self._membership.join())
            tasks.start(self._mirror.run(), "mirror")
            tasks.start(self._allocate(), "allocator")
            tasks.start(self._membership.stay(), "lease")
            tasks.start(self._membership.audit(), "audit")
            if self._config.watermarks:
                tasks.start(WatermarkWriter(self._service).run(), "watermarks")
            self._calls.start(self._service)
            self._is_ready = True
            log.info("broker_ready", broker=str(self._spec.id), endpoint=self._spec.endpoint)
            if on_ready is not None:
                on_ready(self._spec.endpoint, self._listeners[0].getsockname()[1])
            await tasks.first(self._drain())
        finally:
            await self._end(tasks)

    def _allocate(self) -> Coroutine[Any, Any, None]:
        return run_allocator(
            self._etcd,
            self._mirror,
            self._spec.id,
            max_replication=self._config.max_replication,
            clock=self._clock,
            metrics=self._metrics,
        )

    def stop(self) -> None:
        """Leave: hand journals over; told again, at once; told a third time, persist no more."""
        self._signals += 1
        self._membership.is_leaving = True
        self._signalled.set()

    async def _drain(self) -> None:
        """Wait to be stopped; then hand our journals off, within the shutdown timeout."""
        await self._signalled.wait()
        self._signalled.clear()
        log.info("broker_draining", broker=str(self._spec.id))
        self._is_draining = True
        handed_over = asyncio.create_task(self._membership.hand_over(), name="hand over")
        again = asyncio.create_task(self._signalled.wait(), name="signal")
        try:
            await asyncio.wait(
                [handed_over, again],
                timeout=self._config.shutdown_timeout_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            for task in (again, handed_over):
                task.cancel()
        error = None
        if handed_over.done() and not handed_over.cancelled():
            error = handed_over.exception()
        if left := len(self._service.local_replicas()):
            why = str(error) if error is not None else self._membership.why_needed()
            log.warning("broker_leaves_with_assignments", count=left, why=why)

    async def _end(self, tasks: Tasks) -> None:
        """Leave the cluster, stop serving, and persist what we hold."""
        self._is_ready = False
        self._service.stopping.fire()
        stopping = asyncio.create_task(self._service.stop_local(), name="stop replicas")
        # An append holds its pipeline as long as its client sends, and the stream of another
        # primary our spool as long as that knows no better. The former has its time; the latter
        # ends once our keys are gone, and both with the server at the latest. Meanwhile nobody can
        # append to what was ours.
        appends_over = asyncio.create_task(self._service.wait_appends_over(), name="appends")
        await asyncio.wait([appends_over], timeout=STOP_GRACE_S)
        appends_over.cancel()
        await tasks.stop("lease")  # Which might join anew.
        await self._membership.leave()
        await self._server.stop(STOP_GRACE_S)
        await stopping
        await tasks.stop("mirror", "allocator")
        await self._finish_persisting()
        await tasks.stop_all()

    async def _finish_persisting(self) -> None:
        finishing = asyncio.create_task(self._persister.finish(), name="persist the rest")
        self._signalled.clear()
        while not finishing.done():
            signalled = asyncio.create_task(self._signalled.wait(), name="signal")
            await asyncio.wait([finishing, signalled], return_when=asyncio.FIRST_COMPLETED)
            signalled.cancel()
            if finishing.done():
                break
            if self._signals > 2:
                log.error("fragments_abandoned", count=self._persister.pending)
                finishing.cancel()
                return
            self._signalled.clear()
            log.warning("fragments_pending", count=self._persister.pending)

    def _gateways(self) -> Any:
        """Return the application of our HTTP port."""
        config = self._config
        calls = LocalCalls(self._calls, self._fragments, self._spools, self._service)
        host, port = config.host or socket.gethostname(), self._listeners[0].getsockname()[1]
        here = Here(self._spec.id, f"http://{host}:{port}")
        journals = ByteGateway(calls, here, self._clock, is_compat=config.http_compat)
        debug = self._debug_app(is_public=config.debug_private)
        return Cors(routed(debug, JsonGateway(calls), journals), config.allow_origins)

    def _debug_app(self, *, is_public: bool) -> Any:
        def why_unready() -> str:
            if not self._is_ready:
                return "not serving: starting or stopped"
            if not self._membership.has_lease():
                return "the etcd lease has expired"
            return ""

        def story(journal: str) -> list[str] | None:
            replicas = (replica for replica, _ in self._service.local_replicas())
            return next((r.story() for r in replicas if r.journal == journal), None)

        def why_waiting() -> str:
            return self._membership.why_needed() if self._is_draining else ""

        return debug_app(self._metrics, why_unready, why_waiting, story, is_public=is_public)


def _raise_file_limit() -> None:
    """Allow as many open files as we may: there are up to two for each fragment not yet stored."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
