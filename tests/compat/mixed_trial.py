"""Two brokers of each kind serve the same journals, under load of both kinds of clients.

Each journal has three replicas, and so both kinds of them, whoever is primary. One broker can be
missing. When the trial ends, everything acknowledged is in the store, and is read by each broker.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from acknowledged_load import Load, check_content, flush, served_runs, wait_stored
from go_programs import GazctlLoad, GoBroker, go_member, leader, primaries
from local_clusters import (
    apply,
    broker_of,
    config,
    eventually,
    keyspace_of,
    spec,
    wait_consistent,
)

from gazette_py.client import Client, connect
from gazette_py.core.keyspace import Member
from gazette_py.lake import Lake
from gazette_py.local.cluster import LocalCluster
from gazette_py.local.process import ChildProcess

JOURNALS = tuple(f"shared/{n}" for n in range(6))
OURS, THEIRS = "broker-", "go-"
"""How the IDs of brokers of a kind begin."""

REPLICATION = 3
WRITERS = 3


class Trial:
    """The cluster, and the load on it."""

    def __init__(self, cluster: LocalCluster, program: str, stack: AsyncExitStack) -> None:
        self.cluster = cluster
        self.theirs: dict[str, GoBroker] = {}
        self.client: Client
        self.load: Load
        self.by_gazctl: GazctlLoad
        self._program = program
        self._stack = stack

    async def start_theirs(self) -> None:
        """Start another broker of theirs, by another ID.

        A broker of the reference looks for a peer where it first was, and so does not find one
        which comes back by the same ID at another port, as long as it tries.
        """
        name = f"{THEIRS}{len(self.theirs)}"
        member = go_member(
            self.cluster, self._program, zone=name, name=name, replication=REPLICATION
        )
        self.theirs[name] = await self._stack.enter_async_context(member)

    async def start_instead_of(self, broker: str) -> None:
        """Start a broker again which has ended, or another one of the same kind."""
        if broker in self.theirs:
            await self.start_theirs()
        else:
            await self.cluster.start_broker(broker_of(self.cluster, broker))

    def process_of(self, broker: str) -> ChildProcess:
        if broker in self.theirs:
            return self.theirs[broker].process
        process = broker_of(self.cluster, broker).process
        assert process is not None
        return process

    @property
    def endpoints(self) -> list[str]:
        """Return where brokers are which run, of both kinds."""
        running = [go for go in self.theirs.values() if go.process.exit_code is None]
        return [*self.cluster.endpoints, *(go.endpoint for go in running)]

    async def drain(self, broker: str) -> None:
        """Ask a broker to leave: it must hand off what it has, in time."""
        process = self.process_of(broker)
        assert await process.stop(30), f"{broker} did not leave: {process.last_output()}"
        assert process.exit_code == 0, process.last_output()
        assert "broker_leaves_with_assignments" not in process.log.read_text()

    async def wait_progress(self) -> None:
        """Wait until both kinds of clients have got on."""
        await self.load.wait_progress(5, 60)
        await self.by_gazctl.wait_progress(2, 60)

    async def wait_consistent(self) -> None:
        await wait_consistent(self.cluster, self.client, JOURNALS)

    async def a_primary(self, kind: str) -> str:
        """Return a broker of a kind which is primary of some journal."""
        found = ""

        async def check() -> bool:
            nonlocal found
            served = (await primaries(self.cluster)).values()
            found = next((name for name in served if name.startswith(kind)), "")
            return bool(found)

        await eventually(check, f"a primary: {kind}")
        return found

    async def member(self, broker: str) -> Member | None:
        """Return a broker's member key, if etcd has it."""
        members = (await keyspace_of(self.cluster)).members
        return next((m for each, m in members.items() if each.suffix == broker), None)

    async def wait_gone(self, broker: str) -> None:
        """Wait until etcd has let go of a broker's lease."""

        async def check() -> bool:
            return await self.member(broker) is None

        await eventually(check, f"{broker} gone from etcd")

    async def wait_handed_over(self, broker: str) -> None:
        """Wait until every journal has another primary."""

        async def check() -> bool:
            return all(
                name not in ("", broker) for name in (await primaries(self.cluster)).values()
            )

        await eventually(check, f"without {broker}")

    async def wait_joined_anew(self, broker: str, lease: int) -> None:
        """Wait until the same process has another lease."""
        process = self.process_of(broker)

        async def check() -> bool:
            assert process.exit_code is None, process.last_output()
            member = await self.member(broker)
            return member is not None and member.lease != lease

        await eventually(check, f"{broker} in etcd again")


@asynccontextmanager
async def mixed_trial(
    tmp_path: Path, go_broker: str, gazctl: str, *, leads: str = OURS
) -> AsyncIterator[Trial]:
    """Run a cluster under load; in the end, check that nothing acknowledged is lost or doubled.

    Args:
        tmp_path: For the cluster's files.
        go_broker: The program `gazette`.
        gazctl: The program `gazctl`.
        leads: The kind which leads the allocator.
    """
    options = config(tmp_path, brokers=2, extra_flags=(f"--broker.max-replication={REPLICATION}",))
    specs = [spec(journal, replication=REPLICATION, length=1 << 14) for journal in JOURNALS]
    async with LocalCluster(options) as cluster, AsyncExitStack() as stack:
        trial = Trial(cluster, go_broker, stack)
        await trial.start_theirs()
        await trial.start_theirs()
        if leads == THEIRS:  # The member leads which joined first.
            for broker in cluster.brokers:
                await trial.drain(broker.id)
                await trial.start_instead_of(broker.id)
        assert (await leader(cluster)).startswith(leads)
        trial.client = await stack.enter_async_context(connect(",".join(trial.endpoints)))
        await apply(trial.client, *specs)
        await trial.wait_consistent()
        trial.load = Load(trial.client, JOURNALS, seed=1)
        trial.by_gazctl = GazctlLoad(gazctl, trial.endpoints, trial.load)
        trial.load.start(WRITERS)
        trial.by_gazctl.start()
        try:
            await trial.wait_progress()
            yield trial
            await trial.wait_progress()
        finally:
            await trial.by_gazctl.stop()
            await trial.load.stop()
        await _check(trial, await flush(trial.load, trial.client, specs), trial.endpoints)


async def _check(trial: Trial, heads: dict[str, int], endpoints: Sequence[str]) -> None:
    async with Lake("file:///", file_root=str(trial.cluster.file_root)) as lake:
        # A replica of the reference stores late what its primary should have stored.
        runs = await wait_stored(trial.load, lake, heads, 150)
    for journal in JOURNALS:
        check_content(trial.load, journal, runs[journal])
    for endpoint in endpoints:
        async with connect(endpoint, cache_size=0) as one:
            for journal in JOURNALS:
                check_content(trial.load, journal, await served_runs(one, journal, runs[journal]))
