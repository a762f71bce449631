"""A cluster on this machine: etcd, brokers in zones, and a store, as children of this process.

    DATA/etcd         etcd's data, unless etcd runs elsewhere
    DATA/fragments    the file store, unless there is another store
    DATA/spools/N     open fragments of broker N
    DATA/lost         what killed brokers left of fragments which are in no store
    DATA/logs         output of every child

Invariants:
    LC1  One process owns a data directory at a time.
    LC2  `stop` leaves no child behind. Brokers end first, all at once, so that nobody waits for
         another to take over; etcd ends last.
    LC3  A start over data of before resumes every journal at the end of its index: all spools were
         persisted when it stopped, or else it tells which bytes are in no store, and keeps what
         the brokers left of them.
"""

import asyncio
import fcntl
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from gazette_py.client import Client, connect
from gazette_py.clock import SYSTEM, Clock
from gazette_py.errors import (
    ConfigError,
    EtcdError,
    GazetteError,
    IndexHasGreaterOffsetError,
    StoreUnhealthyError,
    WrongAppendOffsetError,
)
from gazette_py.etcd import client as etcd_client
from gazette_py.local.etcd_process import start_etcd
from gazette_py.local.leftovers import Leftover, lost_spans, move_leftovers
from gazette_py.local.ports import check_free, free_ports
from gazette_py.local.process import ChildProcess
from gazette_py.stores.registry import HEALTH_PENDING, StoreRegistry

_START_TIMEOUT_S = 40.0
_ETCD_STOP_TIMEOUT_S = 5.0
_STORE_CHECK_TIMEOUT_S = 20.0
_ETCD_CHECK_TIMEOUT_S = 3.0
_RESUME_TIMEOUT_S = 60.0
_RESUME_RETRY_S = 0.1
FILE_STORE = "file:///"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterConfig:
    """What to start."""

    data_dir: Path
    brokers: int = 4
    zones: Sequence[str] = ("a", "b", "c")
    port: int = 0  # First of two for each broker; 0: free ones.
    store: str = FILE_STORE
    etcd: str = ""  # URL of a running one; empty: a child.
    etcd_prefix: str = "/gazette/cluster"
    lease_s: int = 10
    stop_timeout_s: float = 30.0  # For brokers to persist their spools.
    auth_keys: str = field(default="", repr=False)  # Of brokers; empty: all are let in.
    extra_flags: Sequence[str] = ()

    @property
    def replication(self) -> int:
        """Replicas of new journals: one broker may be lost without a pause for long."""
        return max(1, min(3, self.brokers - 1))


class LocalBroker:
    """One broker process, and where it listens."""

    def __init__(self, index: int, zone: str, port: int, http_port: int) -> None:
        self.index = index
        self.zone = zone
        self.id = f"broker-{index}"
        self.endpoint = f"http://127.0.0.1:{port}"
        self.http = f"http://127.0.0.1:{http_port}"
        self.port = port
        self.http_port = http_port
        self.process: ChildProcess | None = None

    @property
    def is_running(self) -> bool:
        """Tell whether its process runs."""
        return self.process is not None and self.process.exit_code is None


def _print_error(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class LocalCluster:
    """Use it as `async with`: it is up inside, and gone outside.

    Args:
        config: What to start.
        clock: Times waits.
        tell: Called with each line for the user: steps which take long, and warnings.
    """

    def __init__(
        self,
        config: ClusterConfig,
        clock: Clock = SYSTEM,
        tell: Callable[[str], None] = _print_error,
    ) -> None:
        self.config = config
        self.brokers: list[LocalBroker] = []
        self.etcd_url = config.etcd
        self.file_root = config.data_dir / "fragments"
        self._clock = clock
        self._tell = tell
        self.is_clean = True  # Every broker which was stopped has persisted its spools.
        self.example_path = config.data_dir / "example.yaml"
        self._etcd: ChildProcess | None = None
        self._lock = -1

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.stop()

    @property
    def endpoints(self) -> list[str]:
        """Endpoints of brokers which run."""
        return [broker.endpoint for broker in self.brokers if broker.is_running]

    def connect(self, **options: object) -> Client:
        """Return a client of the brokers which run."""
        file_root = str(self.file_root)
        options = {"auth_keys": self.config.auth_keys, "file_root": file_root} | options
        return connect(",".join(self.endpoints), **options)  # type: ignore[arg-type]  # As given.

    async def _start(self) -> None:
        config = self.config
        self._take_data_dir()
        ports = self._ports()
        await self._check_store()
        if self.etcd_url:
            await self._check_etcd()
        else:
            self._etcd, self.etcd_url = await start_etcd(
                config.data_dir / "etcd", self._log("etcd"), self._clock
            )
        for index in range(config.brokers):
            zone = config.zones[index % len(config.zones)]
            self.brokers.append(LocalBroker(index, zone, *ports[2 * index : 2 * index + 2]))
        await self.start_brokers()
        self._write_example()

    async def start_brokers(self) -> None:
        """Start all brokers, none of which runs, and resume journals.

        Raises:
            ConfigError: One does not start.
        """
        leftovers = move_leftovers(self.config.data_dir / "spools", self.config.data_dir / "lost")
        if leftovers:
            self._tell(
                "brokers were killed here; their places in etcd are free again after up to"
                f" {self.config.lease_s} s"
            )
        try:
            async with asyncio.TaskGroup() as group:
                for broker in self.brokers:
                    group.create_task(self.start_broker(broker))
        except* ConfigError as failed:
            raise failed.exceptions[0] from failed
        await self._resume(leftovers)

    def _write_example(self) -> None:
        """Write a journal for `journalctl apply -f`, as new journals are best made here."""
        self.example_path.write_text(
            "name: examples/\n"
            f"replication: {self.config.replication}\n"
            "fragment:\n"
            "  length: 67108864\n"
            "  compression_codec: ZSTANDARD\n"
            f"  stores: ['{self.config.store}']\n"
            "  refresh_interval: 30s\n"
            "children:\n"
            "  - name: examples/hello\n"
        )

    def _take_data_dir(self) -> None:
        data_dir = self.config.data_dir
        try:
            for name in ("logs", "fragments", "spools"):
                (data_dir / name).mkdir(parents=True, exist_ok=True)
            self._lock = os.open(data_dir / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise ConfigError(
                "--data-dir", f"{data_dir} is in use by another instance: stop it, or take another"
            ) from exc
        except OSError as exc:
            raise ConfigError("--data-dir", f"cannot use {data_dir}: {exc.strerror}") from exc

    def _ports(self) -> list[int]:
        count = 2 * self.config.brokers
        if not self.config.port:
            return free_ports(count)
        ports = [self.config.port + n for n in range(count)]
        for port in ports:
            check_free(port, "--port")
        return ports

    async def _check_store(self) -> None:
        """Check the store once before anything is started: a typo is told at once."""
        registry = StoreRegistry(self._clock, file_root=str(self.file_root))
        running = asyncio.create_task(registry.run(), name="store check")
        try:
            active = registry.get(self.config.store)
            checked = active.wait_next_check()
            if active.health == HEALTH_PENDING:
                async with asyncio.timeout(_STORE_CHECK_TIMEOUT_S):
                    await checked
            else:
                checked.close()
            if active.health is not None:
                raise ConfigError("--store", active.health)
        except TimeoutError:
            url = self.config.store.partition("?")[0]
            raise ConfigError(
                "--store", f"{url} did not answer within {_STORE_CHECK_TIMEOUT_S:.0f} s"
            ) from None
        finally:
            running.cancel()
            await asyncio.wait([running])
            await registry.close()

    async def _check_etcd(self) -> None:
        try:
            etcd = await etcd_client.connect(self.etcd_url, timeout_s=_ETCD_CHECK_TIMEOUT_S)
        except EtcdError as exc:
            raise ConfigError("--etcd", f"{self.etcd_url} cannot be used: {exc}") from exc
        await etcd.close()

    async def start_broker(self, broker: LocalBroker) -> None:
        """Start a broker, also one which was killed, and wait until it serves.

        Raises:
            ConfigError: It does not start.
        """
        config = self.config
        command = [
            *(sys.executable, "-m", "gazette_py", "serve"),
            f"--broker.zone={broker.zone}",
            f"--broker.id={broker.id}",
            "--broker.host=127.0.0.1",
            f"--broker.port={broker.port}",
            f"--broker.http-port={broker.http_port}",
            f"--broker.file-root={self.file_root}",
            f"--broker.spool-dir={config.data_dir / 'spools' / broker.id}",
            f"--broker.max-replication={max(1, config.brokers - 1)}",
            "--broker.shutdown-timeout=10s",
            f"--etcd.address={self.etcd_url}",
            f"--etcd.prefix={config.etcd_prefix}",
            f"--etcd.lease={config.lease_s}s",
            "--log.level=info",
            *config.extra_flags,
        ]
        env = {"BROKER_AUTH_KEYS": config.auth_keys}  # Nobody who lists processes shall see them.
        broker.process = await ChildProcess.start(broker.id, command, self._log(broker.id), env)
        await broker.process.wait_listening(
            f"{broker.http}/debug/ready", _START_TIMEOUT_S, self._clock
        )

    def _log(self, name: str) -> Path:
        return self.config.data_dir / "logs" / f"{name}.log"

    async def _resume(self, leftovers: Sequence[Leftover]) -> None:
        """Move every journal whose replicas begin anew to the end of what is stored."""
        async with self.connect() as client:
            listed = await client.list()
            async with asyncio.TaskGroup() as group:
                for journal in listed.journals:
                    name = journal.spec.name
                    left = [leftover for leftover in leftovers if leftover.is_of(name)]
                    group.create_task(self._resume_journal(client, name, left))
        for leftover in leftovers:
            leftover.path.unlink(missing_ok=True)  # Of a deleted journal, or it is stored.

    async def _resume_journal(
        self, client: Client, journal: str, leftovers: Sequence[Leftover]
    ) -> None:
        stored: list[tuple[int, int]] | None = None
        try:
            async with asyncio.timeout(_RESUME_TIMEOUT_S):
                await self._append_at_head(client, journal)
            if leftovers:
                fragments = [entry.fragment async for entry in client.fragments(journal)]
                stored = [(fragment.begin, fragment.end) for fragment in fragments]
        except StoreUnhealthyError as exc:
            self._tell(f"warning: {exc}")
        except (GazetteError, TimeoutError) as exc:
            # Say so, and go on: other journals may be fine, and this one can be looked at.
            self._tell(
                f"warning: journal {journal} does not take appends yet: {str(exc) or 'no answer'}"
            )
        if leftovers:
            self._tell_lost(journal, leftovers, stored)

    async def _append_at_head(self, client: Client, journal: str) -> None:
        while True:
            with suppress(IndexHasGreaterOffsetError):
                await client.append(journal, timeout_s=_RESUME_TIMEOUT_S)
                return
            # A replica which has not listed the store yet does not know the head.
            if head := await client.write_head(journal):
                with suppress(WrongAppendOffsetError):
                    await client.append(journal, offset=head, timeout_s=_RESUME_TIMEOUT_S)
                    return
            await self._clock.sleep(_RESUME_RETRY_S)

    def _tell_lost(
        self,
        journal: str,
        leftovers: Sequence[Leftover],
        stored: Sequence[tuple[int, int]] | None,
    ) -> None:
        """Tell what was in no store when brokers were killed, and keep it out of the way (LC3).

        Args:
            journal: Its name.
            leftovers: What they left of it.
            stored: Spans of its fragments; None: that is not known.
        """
        spans = lost_spans(leftovers, stored or ())
        if not spans:
            return
        offsets = ", ".join(f"[{begin}, {end})" for begin, end in spans)
        length = sum(end - begin for begin, end in spans)
        kept = f"what they left is kept in {leftovers[0].path.parent}"
        if stored is None:
            self._tell(
                f"warning: journal {journal} may have lost offsets {offsets}: its brokers were"
                f" killed, and its store could not be compared; {kept}"
            )
        else:
            self._tell(
                f"warning: journal {journal} lost up to {length:,} bytes, offsets {offsets}: its"
                " brokers were killed before these were in a store. It goes on at offset"
                f" {max((end for _, end in stored), default=0)}; {kept}"
            )
        for leftover in leftovers:
            # Under a name which the next start does not compare: offsets may be used again.
            leftover.path.rename(leftover.path.with_suffix(".bytes"))

    # The end.

    async def stop_brokers(self) -> bool:
        """Stop all brokers at once. Return whether every one ended by itself: all is persisted."""
        running = [broker.process for broker in self.brokers if broker.process is not None]
        ended = await asyncio.gather(*(p.stop(self.config.stop_timeout_s) for p in running))
        self.is_clean = self.is_clean and all(ended)
        return all(ended)

    async def wait_broken(self) -> str:
        """Wait until a child which runs now has ended, and return which and how."""
        children = [b.process for b in self.brokers if b.process is not None and b.is_running]
        children += [self._etcd] if self._etcd is not None else []
        waits = [asyncio.create_task(child.wait(), name=child.name) for child in children]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        ended = next(child for child in children if child.exit_code is not None)
        return f"{ended.name} ended with {ended.exit_code}: {ended.last_output()}"

    async def stop(self) -> bool:
        """Stop everything. Return whether all spools were persisted."""
        is_clean = await self.stop_brokers()
        if self._etcd is not None:
            await self._etcd.stop(_ETCD_STOP_TIMEOUT_S)
            self._etcd = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
        return is_clean
