"""A cluster on hosts of its own: etcd on host 0, brokers on the others, one file store for all."""

import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from chaos_network import Network
from local_clusters import eventually

from gazette_py.client import Client, connect
from gazette_py.clock import SYSTEM
from gazette_py.core.allocator.state import leader_of
from gazette_py.core.keyspace import KeySpace
from gazette_py.etcd.client import connect as connect_etcd
from gazette_py.local.etcd_process import find_etcd
from gazette_py.local.process import ChildProcess

ROOT = "/gazette/chaos"
ZONES = "abca"
"""Of the brokers, in their order."""
START_TIMEOUT_S = 60.0


class Broker:
    """A broker process on a host."""

    def __init__(self, number: int, zone: str, address: str) -> None:
        self.host = number + 1
        self.id = f"broker-{number}"
        self.zone = zone
        self.address = address
        self.disk = self.id  # Whoever takes its ID has a disk of its own.
        self.environment: dict[str, str] = {}  # Beside that of the test.
        self.endpoint = f"http://{address}:8080"
        self.process: ChildProcess | None = None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send(number)

    async def kill(self) -> None:
        assert self.process is not None
        await self.process.kill()


class ChaosCluster:
    """Up inside of `async with`."""

    def __init__(
        self,
        directory: Path,
        net: Network,
        *,
        zones: str = ZONES,
        later: int = 0,
        lease_s: int = 2,
        flags: Sequence[str] = (),
        prepare: Callable[["ChaosCluster"], None] = lambda _: None,
    ) -> None:
        """Prepare a cluster.

        Args:
            directory: Of everything which it writes.
            net: Its hosts.
            zones: A letter for each broker.
            later: The last of them, which are not started with the others.
            lease_s: Time to live of their leases.
            flags: More, for each.
            prepare: Called before anything is started.
        """
        self.net = net
        self.brokers = [Broker(n, zone, net.address(n + 1)) for n, zone in enumerate(zones)]
        self._later = later
        self.etcd_address = net.address(0)
        self.etcd_url = f"http://{self.etcd_address}:2379"
        self.file_root = directory / "fragments"
        self._directory = directory
        self._lease_s = lease_s
        self._flags = flags
        self.etcd: ChildProcess | None = None
        prepare(self)

    async def __aenter__(self) -> Self:
        self.file_root.mkdir(parents=True)
        try:
            await self.start_etcd()
            for broker in self.brokers[: len(self.brokers) - self._later]:
                await self.start(broker)
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.stop()

    async def start_etcd(self) -> None:
        peer = f"http://{self.etcd_address}:2380"
        command = [
            *self.net.command(0),
            *(find_etcd(), "--name=chaos", f"--data-dir={self._directory / 'etcd'}"),
            f"--listen-client-urls={self.etcd_url}",
            f"--advertise-client-urls={self.etcd_url}",
            *(f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"),
            *(f"--initial-cluster=chaos={peer}", "--log-level=warn"),
        ]
        self.etcd = await ChildProcess.start("etcd", command, self._log("etcd"))
        await self.etcd.wait_listening(f"{self.etcd_url}/health", START_TIMEOUT_S, SYSTEM)

    async def start(self, broker: Broker) -> None:
        """Start a broker, also one which was killed, and wait until it serves."""
        command = [
            *self.net.command(broker.host),
            *(sys.executable, "-m", "gazette_py", "serve"),
            *(f"--broker.zone={broker.zone}", f"--broker.id={broker.id}"),
            *(f"--broker.host={broker.address}", "--broker.port=8080"),
            f"--broker.file-root={self.file_root}",
            f"--broker.spool-dir={self._directory / 'spools' / broker.disk}",
            *("--broker.shutdown-timeout=10s", f"--etcd.address={self.etcd_url}"),
            *(f"--etcd.prefix={ROOT}", f"--etcd.lease={self._lease_s}s", "--log.level=info"),
            *self._flags,
        ]
        broker.process = await ChildProcess.start(
            broker.id, command, self._log(broker.disk), broker.environment
        )
        await broker.process.wait_listening(
            f"http://{broker.address}:8081/debug/ready", START_TIMEOUT_S, SYSTEM
        )

    def log_of(self, broker: Broker) -> str:
        return self._log(broker.disk).read_text()

    def _log(self, name: str) -> Path:
        return self._directory / f"{name}.log"

    async def stop(self) -> None:
        for broker in self.brokers:
            if broker.process is not None:
                broker.send(signal.SIGCONT)
                await broker.process.stop(1.0)
        if self.etcd is not None:
            self.etcd.send(signal.SIGCONT)
            await self.etcd.stop(5.0)

    def connect(self, **options: object) -> Client:
        """Return a client, on the host of the test, of all brokers."""
        address = ",".join(broker.endpoint for broker in self.brokers)
        return connect(address, file_root=str(self.file_root), **options)  # type: ignore[arg-type]  # As given.

    async def keyspace(self) -> KeySpace:
        """Return the key space as etcd has it."""
        etcd = await connect_etcd(self.etcd_url)
        try:
            listed = await etcd.range_prefix(ROOT.encode())
        finally:
            await etcd.close()
        keyspace = KeySpace(ROOT)
        keyspace.load(listed.header, listed.kvs, listed.header.revision)
        return keyspace

    async def members_of(self, journal: str) -> list[Broker]:
        """Return who serves a journal, the primary first."""
        assignments = (await self.keyspace()).assignments_of(journal)
        return [
            self._by_id(each.member.suffix) for each in sorted(assignments, key=lambda a: a.slot)
        ]

    async def leader(self) -> Broker:
        """Return who leads the allocator."""
        leader = leader_of(await self.keyspace())
        assert leader is not None
        return self._by_id(leader.broker.id.suffix)

    async def wait_gone(self, broker: Broker) -> None:
        """Wait until etcd has let go of a broker's lease."""

        async def check() -> bool:
            members = (await self.keyspace()).members
            return all(member.suffix != broker.id for member in members)

        await eventually(check, "gone from etcd")

    async def wait_member(self, broker: Broker) -> None:
        """Wait until a broker, whose process went on, is in etcd again."""
        assert broker.process is not None
        assert broker.process.exit_code is None, broker.process.last_output()

        async def check() -> bool:
            members = (await self.keyspace()).members
            return any(member.suffix == broker.id for member in members)

        await eventually(check, f"{broker.id} in etcd again", 30.0)

    def _by_id(self, suffix: str) -> Broker:
        return next(broker for broker in self.brokers if broker.id == suffix)

    async def wait_consistent(self, journals: Sequence[str], timeout_s: float = 60.0) -> None:
        """Wait until every journal has all of its replicas, in step with one another."""

        async def check() -> bool:
            keyspace = await self.keyspace()
            for journal in journals:
                item = keyspace.item(journal)
                assert item is not None
                count = len(keyspace.assignments_of(journal))
                if count != item.spec.replication or not keyspace.is_consistent(journal):
                    return False
            return True

        await eventually(check, "consistent", timeout_s)


@asynccontextmanager
async def cluster(directory: Path, net: Network, **options: object) -> AsyncIterator[ChaosCluster]:
    """Run etcd and a broker on each other host."""
    async with ChaosCluster(directory, net, **options) as made:  # type: ignore[arg-type]  # As given.
        yield made
