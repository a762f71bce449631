"""Programs of the reference, as tests use them: its broker as a child process, and its CLI."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from acknowledged_load import Load
from local_clusters import eventually, keyspace_of

from gazette_py.client import connect
from gazette_py.clock import SYSTEM
from gazette_py.core.allocator.state import leader_of
from gazette_py.errors import ConfigError, GazetteError
from gazette_py.local.cluster import LocalCluster
from gazette_py.local.ports import free_ports
from gazette_py.local.process import ChildProcess


class GoBroker:
    """A broker of the reference, which runs."""

    def __init__(self, name: str, endpoint: str, process: ChildProcess) -> None:
        self.name = name
        self.endpoint = endpoint
        self.process = process

    async def drain(self, timeout_s: float = 30) -> None:
        """Ask it to leave, and wait until it has handed everything off."""
        ended = await self.process.stop(timeout_s)
        assert ended, f"{self.name} did not leave: {self.process.last_output()}"
        assert self.process.exit_code == 0, self.process.last_output()


class GazctlLoad:
    """A writer which runs `gazctl`, to the journals of a load, by each broker in turn.

    It sends a record again if it must, also one which is there: it says when the record is.
    """

    def __init__(self, program: str, addresses: Sequence[str], load: Load) -> None:
        self._program = program
        self._addresses = addresses
        self._load = load
        self._is_stopping = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._write(), name="gazctl")

    async def stop(self) -> None:
        assert self._task is not None
        self._is_stopping = True
        await self._task

    async def wait_progress(self, appends: int, timeout_s: float) -> None:
        """Wait until so many records more are there."""
        before = self._count

        async def check() -> bool:
            return self._count >= before + appends

        await eventually(check, "appending by gazctl", timeout_s)

    @property
    def _count(self) -> int:
        return sum(map(len, self._load.done_by_others.values()))

    async def _write(self) -> None:
        serial = 0
        while not self._is_stopping:
            journal = self._load.journals[serial % len(self._load.journals)]
            record = f"gazctl {serial}\n".encode()
            address = self._addresses[serial % len(self._addresses)]
            serial += 1
            self._load.sent_by_others[journal].add(record)
            command = [self._program, "journals", "append", f"--broker.address={address}"]
            command += ["-l", f"name={journal}"]
            try:
                done = await asyncio.to_thread(
                    subprocess.run, command, input=record, capture_output=True, timeout=5
                )
            except subprocess.TimeoutExpired:
                continue
            if done.returncode == 0:
                self._load.done_by_others[journal].add(record)


@asynccontextmanager
async def go_member(
    cluster: LocalCluster,
    program: str,
    zone: str,
    *,
    name: str = "go-broker",
    replication: int = 1,
    prefix: str = "",
    cert: tuple[Path, Path] | None = None,
    arguments: Sequence[str] = (),
) -> AsyncIterator[GoBroker]:
    """Run a broker of the reference as another member; what is left of it is killed at the end.

    Args:
        cluster: Whose etcd and file store it uses.
        program: The path of `gazette`.
        zone: Its zone.
        name: Its suffix.
        replication: The cap of the cluster. It must be the same for all members.
        prefix: Of another cluster in the same etcd, if it shall not be a member of this one.
        cert: A certificate and its key: it serves TLS, and no other clients.
        arguments: More of them.
    """
    port, debug_port = free_ports(2)
    if cert is not None:
        arguments = [
            f"--broker.server-cert-file={cert[0]}",
            f"--broker.server-cert-key-file={cert[1]}",
            *arguments,
        ]
    command = [
        *(program, "serve", f"--broker.port={port}", "--broker.host=127.0.0.1"),
        *(f"--broker.zone={zone}", f"--broker.id={name}"),
        f"--broker.file-root={cluster.file_root}",
        f"--broker.max-replication={replication}",
        f"--etcd.address={cluster.etcd_url}",
        f"--etcd.prefix={prefix or cluster.config.etcd_prefix}",
        *("--etcd.lease=2s", "--log.level=info", f"--debug.port={debug_port}"),
        *arguments,
    ]
    log = cluster.config.data_dir / "logs" / f"{name}.log"
    process = await _start(name, command, log, f"http://127.0.0.1:{debug_port}/debug/ready")
    try:

        async def is_member() -> bool:
            members = (await keyspace_of(cluster)).members
            return any(member.suffix == name for member in members)

        if not prefix:
            await eventually(is_member, "a member")
        scheme = "http" if cert is None else "https"
        yield GoBroker(name, f"{scheme}://127.0.0.1:{port}", process)
    finally:
        await process.kill()


async def _start(name: str, command: Sequence[str], log: Path, ready: str) -> ChildProcess:
    """Start a process until it serves: it gives up if a busy etcd does not answer at once."""
    while True:
        process = await ChildProcess.start(name, command, log)
        try:
            await process.wait_listening(ready, 20, SYSTEM)
        except ConfigError as exc:
            await process.kill()
            if "failed to build Etcd client" not in str(exc):
                raise
        else:
            return process


@asynccontextmanager
async def barriers(endpoints: Iterable[str], journals: Iterable[str]) -> AsyncIterator[None]:
    """Send empty appends all the time, as a journal's writers would.

    A broker of the reference which cannot reach a peer tries again a minute later, or at the next
    append. It does not reach one which came back at the same address within its back-off.
    """
    wanted = list(journals)

    async def send() -> None:
        async with connect(",".join(endpoints)) as client:
            while True:
                for journal in wanted:
                    try:
                        await client.append(journal, timeout_s=2)
                    except GazetteError as exc:
                        if not exc.retryable:
                            raise
                await asyncio.sleep(0.1)

    async with asyncio.TaskGroup() as group:
        sender = group.create_task(send())
        yield
        sender.cancel()


async def primaries(cluster: LocalCluster) -> dict[str, str]:
    """Return the suffix of each journal's primary, or an empty one."""
    keyspace = await keyspace_of(cluster)
    found = {}
    for journal in keyspace.items:
        primary = keyspace.route_of(journal).primary_id
        found[journal] = primary.suffix if primary else ""
    return found


async def leader(cluster: LocalCluster) -> str:
    """Return the suffix of the member which leads the allocator."""
    member = leader_of(await keyspace_of(cluster))
    assert member is not None
    return member.broker.id.suffix


async def run(*command: str, stdin: bytes = b"", fails: bool = False) -> str:
    """Run a program which must succeed, or fail; return what it wrote."""
    done = await asyncio.to_thread(
        subprocess.run, command, input=stdin, capture_output=True, timeout=60, check=False
    )
    assert (done.returncode != 0) == fails, done.stdout.decode() + done.stderr.decode()
    return done.stderr.decode() if fails else done.stdout.decode()
