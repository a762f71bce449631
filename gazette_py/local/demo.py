"""The main job on real data: client -> primary -> replicas -> object store -> DuckDB.

Rows are appended by carrier to four journals. Half way a primary is killed while it holds
acknowledged bytes which are in no store. In the end everything is read back twice, and compared
with the input, row by row.
"""

import asyncio
import hashlib
import json
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

from gazette_py.client import Change, Client
from gazette_py.clock import Clock
from gazette_py.core.cover_set import CoverSet
from gazette_py.errors import GazetteError, IndexHasGreaterOffsetError, OffsetJumpError
from gazette_py.local.cluster import LocalBroker, LocalCluster
from gazette_py.local.exact_append import ExactWriter
from gazette_py.local.flights import Flight, flights
from gazette_py.protocol.enums import CompressionCodec
from gazette_py.protocol.journal import FragmentSpec, JournalSpec
from gazette_py.protocol.labels import LabelSet
from gazette_py.stores.fragments import list_fragments
from gazette_py.stores.registry import StoreRegistry

JOURNALS = tuple(f"demo/flights/part-{n:03d}" for n in range(4))
_POSTFIX = (
    # Not `hour`, which the rows have too: a partition would hide that column from DuckDB.
    'utc_date={{ .Spool.FirstAppendTime.Format "2006-01-02" }}'
    '/utc_hour={{ .Spool.FirstAppendTime.Format "15" }}'
)
_NS = 1_000_000_000
_FRAGMENT_LENGTH = 1 << 19
_CLOSING_LENGTH = 1 << 10  # The least there is: the next append closes whatever is open.
_BATCH_ROWS = 50
_READY_TIMEOUT_S = 30.0
_PERSIST_TIMEOUT_S = 60.0
_LISTED_TIMEOUT_S = 15.0  # Brokers list the store every second or so.
_KILL_TIMEOUT_S = 30.0
_TAKE_OVER_TIMEOUT_S = 30.0
_POLL_S = 0.1


class DemoFailedError(GazetteError):
    """What was read is not what was appended, or the cluster did not do its job in time."""


@dataclass(slots=True)
class DemoResult:
    """The table at the end."""

    rows_expected: int = 0
    distance_expected: int = 0
    rows_appended: int = 0
    rows_from_brokers: int = 0
    distance_from_brokers: int = 0
    rows_from_files: int = 0
    distance_from_files: int = 0
    bytes_appended: int = 0
    fragments: int = 0
    stored_bytes: int = 0
    seconds_appending: float = 0.0
    rows_per_second: float = 0.0
    longest_append_s: float = 0.0
    appends_retried: int = 0
    appends_found_landed: int = 0
    take_over_s: float = 0.0  # From the kill until all journals had all of their replicas again.
    killed: str = ""
    bytes_at_risk: int = 0  # Acknowledged, held by the broker which was killed, in no store.
    differences: list[str] = field(default_factory=list)

    def as_json(self) -> str:
        """Return one line."""
        return json.dumps(asdict(self))


@dataclass(frozen=True, slots=True)
class Reporter:
    """Where the demo tells what it does."""

    step: Callable[[str], None]
    progress: Callable[[int, int], None]  # Rows appended, of how many.


class Demo:
    """One run on a cluster which is up.

    Args:
        cluster: It must have a broker to spare, for one is killed.
        reporter: Hears of every step.
        clock: Times everything.
        rows: How many rows; 0: all.
    """

    def __init__(
        self, cluster: LocalCluster, reporter: Reporter, clock: Clock, rows: int = 0
    ) -> None:
        self._cluster = cluster
        self._reporter = reporter
        self._clock = clock
        self._rows = list(flights(rows))
        self._result = DemoResult(
            rows_expected=len(self._rows),
            distance_expected=sum(flight.distance for flight in self._rows),
        )
        self._parts: dict[str, list[Flight]] = {journal: [] for journal in JOURNALS}
        for flight in self._rows:
            self._parts[JOURNALS[zlib.crc32(flight.carrier.encode()) % len(JOURNALS)]].append(
                flight
            )
        self._appended = 0
        self._half = asyncio.Event()
        self._killed = asyncio.Event()
        self._appending: set[str] = set()  # Journals whose writer does not wait for the kill.
        self._writers: dict[str, ExactWriter] = {}

    async def run_live(self) -> DemoResult:
        """Do everything which needs brokers. `read_files` comes after they have stopped."""
        async with self._cluster.connect() as client:
            await self._create_journals(client)
            await self._append_all(client)
            await self._close_fragments(client)
            await self._wait_persisted(client)
        # Without routes of its own the client has brokers serve all of the content.
        async with self._cluster.connect(cache_size=0) as client:
            await self._read_from_brokers(client)
        return self._result

    # Journals.

    def _spec(self, journal: str, length: int) -> JournalSpec:
        number = JOURNALS.index(journal)
        codecs = (CompressionCodec.ZSTANDARD, CompressionCodec.GZIP)
        return JournalSpec(
            name=journal,
            replication=self._cluster.config.replication,
            labels=LabelSet.of(("content-type", "application/x-ndjson")),
            fragment=FragmentSpec(
                length=length,
                compression_codec=codecs[number % 2],
                stores=(self._cluster.config.store,),
                refresh_interval_ns=_NS,
                path_postfix_template=_POSTFIX,
            ),
        )

    async def _apply(self, client: Client, length: int) -> None:
        listed = await client.list()
        revisions = {journal.spec.name: journal.mod_revision for journal in listed.journals}
        await client.apply(
            Change(
                expect_mod_revision=revisions.get(journal, 0), upsert=self._spec(journal, length)
            )
            for journal in JOURNALS
        )

    async def _create_journals(self, client: Client) -> None:
        self._reporter.step(
            f"creating {len(JOURNALS)} journals with {self._cluster.config.replication} replicas"
            " each, zstd and gzip"
        )
        await self._apply(client, _FRAGMENT_LENGTH)
        for journal in JOURNALS:
            try:
                ready = await client.append(journal, timeout_s=_READY_TIMEOUT_S)  # A barrier.
                head = ready.commit.end
            except IndexHasGreaterOffsetError:
                head = await client.write_head(journal)
            if head:
                raise DemoFailedError(
                    f"journal {journal} holds {head:,} bytes of an earlier run: take another"
                    " prefix for --store"
                )
            self._writers[journal] = ExactWriter(client, journal, 0, self._clock)

    # Appending, and the kill.

    async def _append_all(self, client: Client) -> None:
        self._reporter.step(f"appending {len(self._rows):,} flights by carrier")
        started = self._clock.monotonic()
        try:
            async with asyncio.TaskGroup() as group:
                if self._cluster.config.replication > 1:
                    group.create_task(self._kill_half_way(client))
                else:
                    self._reporter.step("journals have one replica: no broker is killed")
                    self._killed.set()
                self._appending.update(JOURNALS)
                for journal in JOURNALS:
                    group.create_task(self._append_part(journal))
        except* GazetteError as failed:
            raise failed.exceptions[0] from failed
        result, writers = self._result, self._writers.values()
        result.seconds_appending = self._clock.monotonic() - started
        result.rows_appended = self._appended
        result.bytes_appended = sum(writer.offset for writer in writers)
        result.rows_per_second = result.rows_appended / result.seconds_appending
        result.longest_append_s = max(writer.longest_s for writer in writers)
        result.appends_retried = sum(writer.retries for writer in writers)
        result.appends_found_landed = sum(writer.found_landed for writer in writers)

    async def _append_part(self, journal: str) -> None:
        rows, writer = self._parts[journal], self._writers[journal]
        for first in range(0, len(rows), _BATCH_ROWS):
            if 4 * self._appended >= 3 * len(self._rows):
                await self._wait_killed(journal)
            batch = rows[first : first + _BATCH_ROWS]
            await writer.append(b"".join(flight.line for flight in batch))
            self._appended += len(batch)
            self._reporter.progress(self._appended, len(self._rows))
            if 2 * self._appended >= len(self._rows):
                self._half.set()
        self._appending.discard(journal)

    async def _wait_killed(self, journal: str) -> None:
        """Leave something to append after the kill, should the store be slow to list."""
        self._appending.discard(journal)
        await self._killed.wait()
        self._appending.add(journal)

    async def _kill_half_way(self, client: Client) -> None:
        """Kill a primary which holds acknowledged bytes that are in no store."""
        await self._half.wait()
        deadline = self._clock.monotonic() + _KILL_TIMEOUT_S
        while self._clock.monotonic() < deadline:
            for journal in JOURNALS:
                broker = await self._primary_of(client, journal)
                stored = await self._stored_end(journal)
                acknowledged = self._writers[journal].offset
                if broker is not None and self._is_at_risk(acknowledged - stored):
                    await self._kill(broker, journal, acknowledged)
                    self._killed.set()
                    await self._wait_taken_over(client, broker)
                    return
            await self._clock.sleep(0)
        raise DemoFailedError("no primary held bytes which were in no store")

    def _is_at_risk(self, unstored: int) -> bool:
        """Tell whether these bytes are in an open fragment, which is not closed before the kill."""
        return 0 < unstored < _FRAGMENT_LENGTH // 2 or (unstored > 0 and not self._appending)

    async def _kill(self, broker: LocalBroker, journal: str, acknowledged: int) -> None:
        assert broker.process is not None
        await broker.process.kill()
        # Looked at again: what was stored before the kill does not count.
        at_risk = acknowledged - await self._stored_end(journal)
        self._result.killed = f"{broker.zone}/{broker.id}"
        self._result.bytes_at_risk = at_risk
        self._reporter.step(
            f"killed {self._result.killed} (SIGKILL), primary of {journal}:"
            f" {at_risk:,} bytes which it had acknowledged are in no store"
        )
        if at_risk <= 0:
            raise DemoFailedError("the primary was killed too late to show anything")

    async def _wait_taken_over(self, client: Client, killed: LocalBroker) -> None:
        """Wait until every journal has all of its replicas again, and a primary."""
        started = self._clock.monotonic()
        while self._clock.monotonic() < started + _TAKE_OVER_TIMEOUT_S:
            listed = await client.list()
            routes = [entry.route for entry in listed.journals if entry.spec.name in JOURNALS]
            if all(
                route.primary >= 0
                and len(route.members) >= self._cluster.config.replication
                and killed.endpoint not in route.endpoints
                for route in routes
            ):
                self._result.take_over_s = self._clock.monotonic() - started
                self._reporter.step(
                    f"the other brokers have taken over after {self._result.take_over_s:.1f} s:"
                    f" all journals have {self._cluster.config.replication} replicas again"
                )
                return
            await self._clock.sleep(_POLL_S)
        raise DemoFailedError(f"nobody took over from {killed.id} in {_TAKE_OVER_TIMEOUT_S:.0f} s")

    async def _primary_of(self, client: Client, journal: str) -> LocalBroker | None:
        listed = await client.list()
        for entry in listed.journals:
            if entry.spec.name == journal and entry.route.primary >= 0:
                endpoint = entry.route.endpoints[entry.route.primary]
                return next((b for b in self._cluster.brokers if b.endpoint == endpoint), None)
        return None

    async def _stored_end(self, journal: str) -> int:
        """Return up to where the store itself has the journal, without a gap from 0 on."""
        registry = StoreRegistry(self._clock, file_root=str(self._cluster.file_root))
        try:
            url = self._cluster.config.store
            store = registry.get(url).store
            entries = await list_fragments(journal, [(url, store)], lambda name: name in JOURNALS)
        finally:
            await registry.close()
        stored, end = CoverSet(entries), 0
        while True:
            index, is_found = stored.longest_overlap(end)
            if not is_found:
                return end
            end = stored[index].end

    # The end of appending.

    async def _close_fragments(self, client: Client) -> None:
        self._reporter.step("closing open fragments: a small fragment length, and a last append")
        await self._apply(client, _CLOSING_LENGTH)
        for journal in JOURNALS:
            await client.append(journal, timeout_s=_READY_TIMEOUT_S)

    async def _wait_persisted(self, client: Client) -> None:
        self._reporter.step("waiting until all of it is in the store")
        deadline = self._clock.monotonic() + _PERSIST_TIMEOUT_S
        for journal in JOURNALS:
            head = self._writers[journal].offset
            while await self._stored_end(journal) < head:
                if self._clock.monotonic() > deadline:
                    raise DemoFailedError(
                        f"journal {journal} is stored up to {await self._stored_end(journal):,} of"
                        f" {head:,} bytes after {_PERSIST_TIMEOUT_S:.0f} s"
                    )
                await self._clock.sleep(_POLL_S)

    # Reading back.

    async def _read_from_brokers(self, client: Client) -> None:
        self._reporter.step("reading back through the brokers")
        result = self._result
        for journal in JOURNALS:
            expected = b"".join(flight.line for flight in self._parts[journal])
            content = await self._read_all(client, journal)
            lines = [json.loads(line) for line in content.splitlines()]
            result.rows_from_brokers += len(lines)
            result.distance_from_brokers += sum(row["distance"] for row in lines)
            if content != expected:
                result.differences.append(
                    f"{journal}: SHA-1 of content from brokers is"
                    f" {hashlib.sha1(content, usedforsecurity=False).hexdigest()}, appended was"
                    f" {hashlib.sha1(expected, usedforsecurity=False).hexdigest()}"
                )

    async def _read_all(self, client: Client, journal: str) -> bytes:
        """Read a journal, all of which is stored.

        A broker which took over lately may know of a later fragment before it knows of the first:
        it then begins behind it, until it has listed the store again.
        """
        deadline = self._clock.monotonic() + _LISTED_TIMEOUT_S
        while True:
            try:
                return await client.read_all(journal, 0, self._writers[journal].offset, block=True)
            except OffsetJumpError:
                if self._clock.monotonic() > deadline:
                    raise
                await self._clock.sleep(_POLL_S)

    async def stop_brokers(self) -> None:
        """Stop all brokers: from here on there are only files."""
        self._reporter.step("stopping the brokers")
        if not await self._cluster.stop_brokers():
            raise DemoFailedError("a broker had to be killed: it did not persist in time")

    async def read_files(self) -> DemoResult:
        """Read everything with DuckDB, from the fragment files, and compare it with the input."""
        self._reporter.step("reading the fragment files with DuckDB")
        from gazette_py.local.demo_files import read_files

        result = self._result
        try:
            found = await read_files(
                self._cluster.config.store, str(self._cluster.file_root), JOURNALS, self._rows
            )
        except GazetteError as exc:
            result.differences.append(f"files: {exc}")
        else:
            result.rows_from_files, result.distance_from_files = found.rows, found.distance
            result.fragments, result.stored_bytes = found.files, found.stored_bytes
            result.differences += found.differences
        for what, appended, read in (
            ("rows", result.rows_expected, result.rows_appended),
            ("rows through brokers", result.rows_expected, result.rows_from_brokers),
            ("rows from files", result.rows_expected, result.rows_from_files),
            ("distance through brokers", result.distance_expected, result.distance_from_brokers),
            ("distance from files", result.distance_expected, result.distance_from_files),
        ):
            if appended != read:
                result.differences.append(f"{what}: {read:,} instead of {appended:,}")
        return result

    async def start_brokers_again(self) -> None:
        """Start all brokers over what is stored, for a look around."""
        self._reporter.step("starting the brokers again")
        await self._cluster.start_brokers()
        async with self._cluster.connect() as client:
            await self._apply(client, _FRAGMENT_LENGTH)
