"""Brokers in this process, for tests of whoever uses them: the same code, and the same wire.

etcd is in memory, and every store URL stands for one directory, in memory where the system has such
a one. All of it runs on an event loop in a thread of its own, so that tests may be synchronous, or
have a loop of their own.

    with InProcessCluster() as cluster:
        client = connect(cluster.address)
"""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Self

from gazette_py.broker.config import BrokerConfig, EtcdConfig
from gazette_py.broker.server import Broker
from gazette_py.client import Change, Client, connect
from gazette_py.clock import SYSTEM
from gazette_py.core.keyspace import KeySpace
from gazette_py.protocol.enums import CompressionCodec
from gazette_py.protocol.journal import FragmentSpec, JournalSpec
from gazette_py.testing.faults import Faults, FaultyCalls, FaultyStore
from gazette_py.testing.memory_etcd import MemoryEtcd
from gazette_py.testing.threads import ContextThread

TIMEOUT_S = 30.0
"""Of starting, stopping, and whatever is done to the cluster."""

LEASE_S = 10
PREFIX = "/gazette/testing"
CHANGES_MAX = 100  # etcd takes some 128 at once.
FRAGMENT = FragmentSpec(
    length=1 << 16,
    compression_codec=CompressionCodec.NONE,
    stores=("file:///",),
    refresh_interval_ns=1_000_000_000,
)
"""How journals are fragmented, unless a test says otherwise."""


class InProcessCluster:
    """Brokers of this process, from entering to leaving the context.

    Args:
        brokers: How many; journals can have as many replicas.
        zones: Of the brokers, in turn.
        broker: More options of each broker, as `BrokerConfig` names them.
    """

    def __init__(
        self, *, brokers: int = 1, zones: tuple[str, ...] = ("a", "b", "c"), **broker: Any
    ) -> None:
        self.faults = Faults()
        self.addresses: list[str] = []
        self.http: list[str] = []  # URLs of the brokers' HTTP ports.
        self.store = Path()  # Of all fragments, whatever store a journal names.
        self._configs = [
            {"zone": zones[i % len(zones)], "id": f"broker-{i}", **broker} for i in range(brokers)
        ]
        self._etcd = MemoryEtcd()
        self._running: list[tuple[Broker, asyncio.Task[None]]] = []
        self._thread = ContextThread(self._serving(), "brokers of a test", TIMEOUT_S)

    @property
    def address(self) -> str:
        """Of all brokers, as `connect` takes it."""
        return ",".join(self.addresses)

    def connect(self, **options: Any) -> Client:
        """Return a client for the caller's event loop; options are those of `connect`."""
        keys = self._configs[0].get("auth_keys", "")
        return connect(self.address, **{"file_root": str(self.store), "auth_keys": keys, **options})

    def create(self, *journals: str, **spec: Any) -> None:
        """Create journals, and return once they take appends.

        Args:
            journals: Their names.
            spec: Fields of `JournalSpec`. By default as many replicas as there are brokers, and
                small uncompressed fragments in `file:///`.
        """
        usual = {"replication": len(self._configs), "fragment": FRAGMENT}
        specs = [JournalSpec(**{**usual, "name": name, **spec}) for name in journals]

        async def create() -> None:
            async with self.connect() as client:
                for at in range(0, len(specs), CHANGES_MAX):
                    await client.apply(
                        Change(expect_mod_revision=0, upsert=each)
                        for each in specs[at : at + CHANGES_MAX]
                    )
                await asyncio.gather(*(client.append(name) for name in journals))

        self._thread.call(create())

    def stop_broker(self, index: int) -> None:
        """Have a broker leave, as for good; return once it has. Its address stays in `address`."""
        self._thread.call(self._stop_broker(index))

    async def _stop_broker(self, index: int) -> None:
        broker, task = self._running[index]
        broker.stop()
        await task

    def expire_leases(self) -> None:
        """Have etcd forget all brokers, as if it had not heard of them for long. They join anew."""
        self._thread.call(self._expire_leases())

    async def _expire_leases(self) -> None:
        keyspace = KeySpace(PREFIX)
        listed = await self._etcd.range_prefix(f"{PREFIX}/".encode())
        keyspace.load(listed.header, listed.kvs, listed.header.revision)
        for member in keyspace.members.values():
            self._etcd.expire_lease(member.lease)

    # Life.

    def __enter__(self) -> Self:
        """Start all brokers; return once they serve."""
        memory = Path("/dev/shm")  # noqa: S108  # Where it is, it is memory; else any disk will do.
        root = memory if memory.is_dir() else None
        self.store = Path(tempfile.mkdtemp(prefix="gazette-py-testing-", dir=root))
        try:
            self._thread.__enter__()
        except BaseException:
            self._remove_store()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop them, and remove what they stored."""
        self.faults.clear()  # Which would keep content from being persisted.
        try:
            self._thread.__exit__()
        finally:
            self._remove_store()

    def _remove_store(self) -> None:
        shutil.rmtree(self.store, ignore_errors=True)

    @asynccontextmanager
    async def _serving(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            brokers = [await self._open(stack, options) for options in self._configs]
            async with asyncio.TaskGroup() as running:
                serving = [asyncio.Event() for _ in brokers]
                for broker, serves in zip(brokers, serving, strict=True):

                    def on_ready(
                        endpoint: str, http_port: int, serves: asyncio.Event = serves
                    ) -> None:
                        self.addresses.append(endpoint)
                        self.http.append(f"http://127.0.0.1:{http_port}")
                        serves.set()

                    task = running.create_task(broker.run(on_ready), name="broker of a test")
                    self._running.append((broker, task))
                try:
                    for serves in serving:
                        await serves.wait()
                    yield
                finally:
                    for broker in brokers:
                        broker.stop()

    async def _open(self, stack: AsyncExitStack, options: dict[str, Any]) -> Broker:
        broker = Broker(
            self._config(options),
            SYSTEM,
            stack,
            etcd=self._etcd.client(),
            wrap_store=lambda store: FaultyStore(store, self.faults),
            interceptors=(FaultyCalls(self.faults),),
        )
        await broker.open()
        return broker

    def _config(self, options: dict[str, Any]) -> BrokerConfig:
        usual: dict[str, Any] = {
            "host": "127.0.0.1",
            "http_port": 0,
            "file_root": str(self.store),
            "file_only": True,
            "max_replication": len(self._configs),
            "min_append_rate": 0,  # A test may be stopped in a debugger.
            "watch_delay_s": 0.0,
            "shutdown_timeout_s": 1.0,
            "etcd": EtcdConfig(prefix=PREFIX, lease_s=LEASE_S),
        }
        return BrokerConfig(**{**usual, **options})
