"""What tests of real clusters share: starting them, looking into etcd, and waiting for both."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from gazette_py.client import Change, Client
from gazette_py.core.allocator.state import observe
from gazette_py.core.keyspace import KeySpace
from gazette_py.errors import GazetteError
from gazette_py.etcd.client import connect
from gazette_py.local.cluster import ClusterConfig, LocalBroker, LocalCluster
from gazette_py.protocol.enums import CompressionCodec
from gazette_py.protocol.journal import FragmentSpec, JournalSpec

NS = 1_000_000_000


def config(tmp_path: Path, **more: object) -> ClusterConfig:
    """Return a cluster whose members are missed soon."""
    options: dict[str, object] = {"data_dir": tmp_path / "cluster", "lease_s": 2, **more}
    return ClusterConfig(**options)  # type: ignore[arg-type]


def spec(
    name: str,
    *,
    store: str = "file:///",
    replication: int = 3,
    length: int = 1 << 16,
    codec: CompressionCodec = CompressionCodec.GZIP,
    **more: object,
) -> JournalSpec:
    """Return a journal whose index follows the store within a second."""
    return JournalSpec(
        name=name,
        replication=replication,
        fragment=FragmentSpec(
            length=length,
            compression_codec=codec,
            stores=(store,) if store else (),
            refresh_interval_ns=NS,
        ),
        **more,  # type: ignore[arg-type]
    )


async def apply(client: Client, *specs: JournalSpec) -> None:
    """Create or change journals, whatever they were."""
    await client.apply(Change(expect_mod_revision=-1, upsert=each) for each in specs)


async def eventually(
    check: Callable[[], Awaitable[object]], what: str, timeout_s: float = 30.0
) -> None:
    """Wait until `check` returns something true."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            if await check():
                return
            found = "it is not so"
        except GazetteError as exc:
            found = str(exc)
        assert time.monotonic() < deadline, f"not {what} after {timeout_s} s: {found}"
        await asyncio.sleep(0.05)


async def keyspace_of(cluster: LocalCluster) -> KeySpace:
    """Return the key space as etcd has it."""
    root = cluster.config.etcd_prefix
    etcd = await connect(cluster.etcd_url)
    try:
        listed = await etcd.range_prefix(root.encode())
    finally:
        await etcd.close()
    keyspace = KeySpace(root)
    keyspace.load(listed.header, listed.kvs, listed.header.revision)
    return keyspace


async def wait_consistent(cluster: LocalCluster, client: Client, journals: Sequence[str]) -> None:
    """Wait until every journal has all of its replicas, and takes appends."""

    async def check() -> bool:
        keyspace = await keyspace_of(cluster)
        for journal in journals:
            item = keyspace.item(journal)
            assert item is not None
            wanted = item.spec.replication
            if len(keyspace.assignments_of(journal)) != wanted or not keyspace.is_consistent(
                journal
            ):
                return False
        return True

    await eventually(check, "consistent", 60.0)
    for journal in journals:
        await client.append(journal, timeout_s=30.0)


def broker_of(cluster: LocalCluster, suffix: str) -> LocalBroker:
    """Return a broker by its ID."""
    return next(broker for broker in cluster.brokers if broker.id == suffix)


async def leader_of(cluster: LocalCluster) -> LocalBroker:
    """Return the broker which leads the allocator."""
    leader = observe(await keyspace_of(cluster), 9).leader
    assert leader is not None
    return broker_of(cluster, leader.broker.id.suffix)


async def members_of(cluster: LocalCluster, journal: str) -> list[LocalBroker]:
    """Return the brokers which serve a journal, the primary first."""
    assignments = (await keyspace_of(cluster)).assignments_of(journal)
    ordered = sorted(assignments, key=lambda a: a.slot)
    return [broker_of(cluster, assignment.member.suffix) for assignment in ordered]
