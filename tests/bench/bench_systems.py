"""What is measured: our brokers, those of the reference, or whatever answers at an address."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from local_clusters import config

from gazette_py.client import Change, Client, connect
from gazette_py.clock import SYSTEM
from gazette_py.errors import InsufficientBrokersError
from gazette_py.local.cluster import LocalCluster
from gazette_py.local.ports import free_ports
from gazette_py.local.process import ChildProcess
from gazette_py.protocol.enums import CompressionCodec
from gazette_py.protocol.journal import FragmentSpec, JournalSpec

OURS = "gazette-py"
REFERENCE = "reference"

NS = 1_000_000_000
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """Brokers which serve journals of one replication."""

    name: str
    replication: int
    client: Client
    store: str = "file:///"
    pids: tuple[int, ...] = ()  # Of the brokers, where they are ours to look at.

    def cpu_s(self) -> float | None:
        """Return the processor time which the brokers have used since they started."""
        return sum(map(cpu_s, self.pids)) if self.pids else None

    def spec(self, journal: str) -> JournalSpec:
        """Return a journal whose content stays in spools while it is measured."""
        return JournalSpec(
            name=journal,
            replication=self.replication,
            fragment=FragmentSpec(
                length=1 << 30,
                compression_codec=CompressionCodec.NONE,
                stores=(self.store,),
                refresh_interval_ns=300 * NS,
            ),
        )


def cpu_s(pid: int) -> float:
    """Return user and system time of a process, in steps of 10 ms."""
    # The command's name, in parentheses, may hold spaces.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def rss_bytes(pid: int) -> int:
    """Return the resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@asynccontextmanager
async def ours(tmp_path: Path, replication: int, etcd: str = "") -> AsyncIterator[LocalCluster]:
    """Run as many brokers as replicas, each in a zone of its own."""
    options = config(
        tmp_path / f"ours-{replication}",
        brokers=replication,
        lease_s=20,
        etcd=etcd,
        etcd_prefix=f"/bench/ours-{replication}",
        # The default of LocalCluster keeps a spare broker.
        extra_flags=(f"--broker.max-replication={replication}", "--broker.limit=16384"),
    )
    async with LocalCluster(options) as cluster:
        yield cluster


@asynccontextmanager
async def our_system(cluster: LocalCluster) -> AsyncIterator[System]:
    """Yield our brokers as a system, with a client."""
    pids = tuple(b.process.pid for b in cluster.brokers if b.process is not None)
    async with connect(cluster.endpoints[0]) as client:
        yield System(name=OURS, replication=len(pids), client=client, pids=pids)


@asynccontextmanager
async def reference(
    tmp_path: Path, program: str, replication: int, etcd: str
) -> AsyncIterator[System]:
    """Run brokers of the reference, likewise."""
    data = tmp_path / f"reference-{replication}"
    data.mkdir()
    ports = free_ports(replication)
    processes: list[ChildProcess] = []
    try:
        for port, zone in zip(ports, "abc", strict=False):
            command = [
                *(program, "serve", f"--broker.port={port}", "--broker.host=127.0.0.1"),
                *(f"--broker.zone={zone}", f"--broker.id=reference-{zone}"),
                f"--broker.file-root={data}",
                f"--etcd.address={etcd}",
                f"--etcd.prefix=/bench/reference-{replication}",
                *("--etcd.lease=20s", "--log.level=warn", "--broker.limit=16384"),
            ]
            process = await ChildProcess.start(f"reference-{zone}", command, data / f"{zone}.log")
            processes.append(process)
            await process.wait_listening(f"http://127.0.0.1:{port}/debug/ready", 20, SYSTEM)
        async with connect(f"http://127.0.0.1:{ports[0]}") as client:
            yield System(
                name=REFERENCE,
                replication=replication,
                client=client,
                pids=tuple(process.pid for process in processes),
            )
    finally:
        # All at once: nobody takes journals over from another.
        await asyncio.gather(*(process.stop(20) for process in processes))


@asynccontextmanager
async def at_address(address: str, store: str) -> AsyncIterator[list[System]]:
    """Yield brokers which run elsewhere: with one replica, and with three if they can."""
    async with connect(address) as client:
        systems = [
            System(name=address, replication=replication, client=client, store=store)
            for replication in (1, 3)
        ]
        yield [system for system in systems if await _is_able(system)]


async def _is_able(system: System) -> bool:
    journal = f"bench/able-{SYSTEM.token_hex(8)}"
    try:
        async with journals_of(system, [journal]):
            return True
    except InsufficientBrokersError:
        return False


@asynccontextmanager
async def journals_of(system: System, journals: list[str]) -> AsyncIterator[None]:
    """Create journals, wait until they take appends, and delete them afterwards."""
    changes = [Change(expect_mod_revision=0, upsert=system.spec(journal)) for journal in journals]
    await system.client.apply(changes)
    try:
        await asyncio.gather(*(system.client.append(j, timeout_s=30) for j in journals))
        yield
    finally:
        await system.client.apply(
            Change(expect_mod_revision=-1, delete=journal) for journal in journals
        )
