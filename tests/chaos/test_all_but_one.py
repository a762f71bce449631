"""All brokers but one are killed, at once or one after another, under load.

What is promised: an acknowledged append is kept as long as a broker lives which holds it, or until
it is in a store. So nothing is lost

    - if R-1 of the replicas of a journal are killed, at whatever time;
    - if all of its R replicas are killed one after another, each once what the one before held has
      been stored: within 5 s after its lease, at most, in which the survivors close and upload.

If all R are killed at once, appends which are in no store are lost, whole. What a store has stays
as it is; and the journal takes no appends, rather than put others in their place, until somebody
says where it goes on.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from chaos_cluster import Broker, ChaosCluster, cluster
from chaos_load import Load, check_content
from chaos_network import Network
from chaos_trial import (
    JOURNALS,
    LEASE_S,
    SEED,
    WRITERS,
    check_stored,
    close_fragments,
    specs_of,
    stored_in,
    trial,
)
from local_clusters import apply, eventually

from gazette_py.errors import IndexHasGreaterOffsetError

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

FILES = ("file:///",)
THREE = "abc"
ALONE_S = 5.0
"""How long the survivor is alone."""


async def kill_at_once(brokers: Sequence[Broker]) -> None:
    await asyncio.gather(*(broker.kill() for broker in brokers))


async def start_again(running: ChaosCluster, brokers: Sequence[Broker]) -> None:
    await asyncio.gather(*(running.start(broker) for broker in brokers))


async def test_all_replicas_but_one_are_killed_at_once(tmp_path: Path, net: Network) -> None:
    async with trial("SIGKILL of 2 of 3 brokers at once, R=3", tmp_path, net, zones=THREE) as run:

        async def fault() -> None:
            _, *killed = random.Random(SEED).sample(run.cluster.brokers, 3)
            await kill_at_once(killed)
            await asyncio.sleep(ALONE_S)
            await start_again(run.cluster, killed)

        await run.during(fault())


@pytest.mark.parametrize("count", [1, 2])
async def test_who_is_left_stores_what_it_holds(tmp_path: Path, net: Network, count: int) -> None:
    """Without more appends, and without a broker who could take the place of those lost."""
    async with (
        cluster(tmp_path / "chaos", net, zones=THREE, lease_s=LEASE_S) as running,
        running.connect() as client,
    ):
        await apply(client, *specs_of(length=1 << 30))
        await running.wait_consistent(JOURNALS)
        heads = {j: (await client.append(j, b"content\n" * 100)).commit.end for j in JOURNALS}

        async def is_stored() -> bool:
            runs = {j: await stored_in(running, FILES, j) for j in JOURNALS}
            return all(sum(len(c) for _, c in runs[j]) == head for j, head in heads.items())

        killed = running.brokers[:count]
        await kill_at_once(killed)
        for broker in killed:
            await running.wait_gone(broker)
        gone = time.monotonic()
        assert not await is_stored(), "nothing is at stake"
        await eventually(is_stored, "stored")
        took_s = time.monotonic() - gone
        print(f"\n| SIGKILL of {count} of 3: all stored {took_s:.1f} s after their leases |")
        assert took_s < 5.0


@pytest.mark.parametrize("replication", [3, 2])
async def test_all_brokers_but_one_are_killed_one_after_another(
    tmp_path: Path, net: Network, replication: int
) -> None:
    """With two replicas, both which hold an append are dead soon: it has to be in the store."""
    chance = random.Random(SEED)
    name = f"SIGKILL of 3 of 4 brokers one after another, R={replication}"
    specs = specs_of(replication=replication)
    async with trial(name, tmp_path, net, specs=specs) as run:

        async def fault() -> None:
            _, *killed = chance.sample(run.cluster.brokers, 4)
            for broker in killed:
                await broker.kill()
                await asyncio.sleep(chance.uniform(5, 8))
            await start_again(run.cluster, killed)

        await run.during(fault())


async def test_all_replicas_of_some_journals_are_killed_at_once(
    tmp_path: Path, net: Network
) -> None:
    """R=2: who survives is a replica of two of four journals. The others lose what nobody stored,
    and no byte more."""
    print(f"\nseed {SEED}")
    async with (
        cluster(tmp_path / "chaos", net, lease_s=LEASE_S) as running,
        running.connect() as client,
    ):
        await apply(client, *specs_of(replication=2))
        await running.wait_consistent(JOURNALS)
        survivor, *killed = random.Random(SEED).sample(running.brokers, 4)
        kept = [j for j in JOURNALS if survivor in await running.members_of(j)]
        lost = [j for j in JOURNALS if j not in kept]
        assert kept, "four journals of two replicas, fairly on four brokers"
        assert lost
        covered, other = Load(client, kept, SEED), Load(client, lost, SEED + 1)
        for load in (covered, other):
            load.start(WRITERS)
        await covered.wait_progress(20, 60)
        await other.wait_progress(20, 60)

        async def is_each_stored() -> bool:
            return all([await stored_in(running, FILES, journal) for journal in lost])

        await eventually(is_each_stored, "something stored")
        await kill_at_once(killed)
        await asyncio.sleep(ALONE_S)
        await start_again(running, killed)
        await covered.wait_progress(10, 60)
        await covered.stop()
        await check_stored(running, covered, await close_fragments(client, covered), FILES)

        with pytest.raises(IndexHasGreaterOffsetError):
            await other.stop()
        for journal in lost:
            await check_what_is_left(running, other, journal)


async def check_what_is_left(running: ChaosCluster, load: Load, journal: str) -> None:
    """Check that each append is there whole or not at all, and how the journal goes on."""
    runs = await stored_in(running, FILES, journal)
    acknowledged = load.acknowledged[journal]
    spans = [(begin, begin + len(content)) for begin, content in runs]
    there = [a for a in acknowledged if any(b <= a.begin and a.end <= e for b, e in spans)]
    for each in acknowledged:
        is_touched = any(b < each.end and each.begin < e for b, e in spans)
        assert is_touched == (each in there), "an append is there in part"
    load.acknowledged[journal] = there
    load.unknown[journal] += [each.content for each in acknowledged if each not in there]
    check_content(load, journal, runs)
    head = spans[-1][1]
    async with running.connect(cache_size=0) as client:
        with suppress(IndexHasGreaterOffsetError):
            await client.append(journal, b"in the place of others\n", timeout_s=5)
            pytest.fail(f"{journal} went on by itself")
        commit = (await client.append(journal, b"after\n", offset=head)).commit
        assert commit.begin == head, "where an operator says"
        begin, content = runs[-1]
        read = await client.read_all(journal, begin, commit.end, block=True)
        assert read == content + b"after\n"
    print(f"\n| {journal}: {len(acknowledged) - len(there)} of {len(acknowledged)} appends lost |")
