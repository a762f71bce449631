"""Lesser promises which brokers of both kinds hold towards each other.

Those of every stream of Replicate are in wire_peer.py; what faults do, in test_mixed_faults.py.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from go_programs import GoBroker, go_member, primaries
from local_clusters import apply, config, eventually, keyspace_of, spec, wait_consistent

from gazette_py import errors
from gazette_py.client import Change, Client, connect
from gazette_py.etcd.base import Put
from gazette_py.etcd.client import connect as connect_etcd
from gazette_py.local.cluster import LocalCluster
from gazette_py.protocol.enums import AppendSuspend
from gazette_py.protocol.journal import SuspendLevel

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

JOURNALS = ("detail/one", "detail/two", "detail/three", "detail/four")
OURS, THEIRS = "broker-0", "go-broker"
UNKNOWN_FIELD = bytes.fromhex("c03e07")  # Number 1000, of a version of Gazette to come.


@dataclass(frozen=True)
class Pair:
    """A broker of each kind. Both serve every journal, and each is primary of some."""

    cluster: LocalCluster
    theirs: GoBroker

    @property
    def endpoints(self) -> tuple[str, str]:
        return self.cluster.endpoints[0], self.theirs.endpoint


@pytest.fixture
async def pair(tmp_path: Path, go_broker: str) -> AsyncIterator[Pair]:
    options = config(tmp_path, brokers=1, extra_flags=("--broker.max-replication=2",))
    async with (
        LocalCluster(options) as cluster,
        go_member(cluster, go_broker, "b", replication=2) as theirs,
        cluster.connect() as client,
    ):
        await apply(client, *(spec(journal, replication=2) for journal in JOURNALS))
        await wait_consistent(cluster, client, JOURNALS)
        assert set((await primaries(cluster)).values()) == {OURS, THEIRS}
        yield Pair(cluster, theirs)


async def test_either_kind_suspends_and_resumes(pair: Pair) -> None:
    """The offset goes on where it was, and fields which we do not know stay in the spec."""
    etcd = await connect_etcd(pair.cluster.etcd_url)
    items = f"{pair.cluster.config.etcd_prefix}/items/".encode()
    for item in (await etcd.range_prefix(items)).kvs:
        await etcd.txn([], [Put(item.key, item.value + UNKNOWN_FIELD)])
    served = await primaries(pair.cluster)
    for journal in JOURNALS:
        # Whoever is primary suspends, and the other passes on what resumes.
        other = pair.endpoints[served[journal] == OURS]
        async with connect(other, cache_size=0) as client:
            end = (await client.append(journal, b"before\n", timeout_s=30)).commit.end
            with pytest.raises(errors.SuspendedError):
                await client.append(journal, suspend=AppendSuspend.NOW, timeout_s=30)

            async def has_one_replica(journal: str = journal) -> bool:
                return len((await keyspace_of(pair.cluster)).assignments_of(journal)) == 1

            await eventually(has_one_replica, "down to one replica")
            item = (await keyspace_of(pair.cluster)).item(journal)
            assert item is not None
            assert (item.spec.suspend.level, item.spec.suspend.offset) == (
                SuspendLevel.PARTIAL,
                end,
            )
            resumed = await client.append(journal, b"after\n", timeout_s=30)
            assert resumed.commit.begin == end
            await wait_consistent(pair.cluster, client, [journal])
            assert await client.read_all(journal, 0, end + 6, block=True) == b"before\nafter\n"
    stored = {kv.key: kv.value for kv in (await etcd.range_prefix(items)).kvs}
    await etcd.close()
    for journal, primary in served.items():
        if primary == OURS:
            assert UNKNOWN_FIELD in stored[items + journal.encode()]


async def test_a_neighbour_in_etcd_whose_prefix_begins_as_ours(pair: Pair) -> None:
    """Each kind counts its keys, too: else one waits for a revision which the other has seen."""
    etcd = await connect_etcd(pair.cluster.etcd_url)
    neighbour = f"{pair.cluster.config.etcd_prefix}-b/items/some/journal".encode()
    revision = (await etcd.txn([], [Put(neighbour, b"")])).header.revision
    await etcd.close()
    for endpoint in pair.endpoints:
        async with connect(endpoint, cache_size=0) as client:

            async def has_seen(client: Client = client) -> bool:
                return (await client.list()).header.etcd.revision == revision

            await eventually(has_seen, f"at revision {revision}")
            for journal in JOURNALS:
                await client.append(journal, b"hello\n", timeout_s=30)


async def test_what_follows_a_semicolon_ends_no_broker(pair: Pair) -> None:
    """A broker of the reference dies of it where it looks for a journal."""
    for endpoint in pair.endpoints:
        for cache_size in (0, 8):
            async with connect(endpoint, cache_size=cache_size) as client:
                for journal in JOURNALS:
                    named = f"{journal};about/it"
                    begin = (await client.append(named, b"hello\n", timeout_s=30)).commit.begin
                    assert await client.read_all(named, begin, begin + 6) == b"hello\n"
                with pytest.raises(errors.ValidationError):
                    await client.apply(
                        [Change(expect_mod_revision=-1, delete=f"{JOURNALS[0]};about/it")]
                    )
    assert pair.theirs.process.exit_code is None, pair.theirs.process.last_output()
    async with connect(pair.theirs.endpoint) as client:
        assert len((await client.list()).journals) == len(JOURNALS)


async def test_both_kinds_find_their_common_store_healthy_at_once(pair: Pair) -> None:
    async with connect(pair.endpoints[0]) as ours, connect(pair.endpoints[1]) as theirs:
        await asyncio.gather(*(each.store_health("file:///") for each in [ours, theirs] * 8))


async def test_a_watch_of_either_kind_has_the_same_snapshots(pair: Pair) -> None:
    """One at once and one for each change of specs; none where only Routes have changed."""
    seen: list[list[tuple[str, int]]] = []
    for endpoint in pair.endpoints:
        async with connect(endpoint) as client:
            watch = client.watch()
            first = await anext(watch)
            await apply(client, spec("detail/five", replication=1))
            names = [j.spec.name for j in (await anext(watch)).journals]
            assert "detail/five" in names
            await client.apply([Change(expect_mod_revision=-1, delete="detail/five")])
            while "detail/five" in names:
                names = [j.spec.name for j in (await anext(watch)).journals]
            await watch.aclose()
        seen.append([(j.spec.name, j.mod_revision) for j in first.journals])
        assert names == [name for name, _ in seen[-1]]
    assert seen[0] == seen[1]
