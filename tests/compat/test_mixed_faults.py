"""Brokers of either kind are killed, drained and put to sleep beside the other, under load.

Nothing acknowledged is lost or doubled, whichever kind had it: see mixed_trial.py.
"""

import signal
from pathlib import Path

import pytest
from go_programs import leader, primaries
from local_clusters import eventually, keyspace_of
from mixed_trial import JOURNALS, OURS, THEIRS, mixed_trial

from gazette_py.etcd.base import Delete, Op, Put
from gazette_py.etcd.client import connect as connect_etcd
from gazette_py.local.cluster import LocalCluster
from gazette_py.protocol.keys import assignment_key

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]


async def test_each_kind_replicates_what_the_other_is_primary_of(
    tmp_path: Path, go_broker: str, gazctl: str
) -> None:
    async with mixed_trial(tmp_path, go_broker, gazctl) as trial:
        keyspace = await keyspace_of(trial.cluster)
        routes = [keyspace.route_of(journal) for journal in trial.load.journals]
        found = {
            (primary.suffix[:3], member.suffix[:3])
            for route in routes
            if (primary := route.primary_id)
            for member in route.members
            if member != primary
        }
        assert {("bro", "go-"), ("go-", "bro")} <= found


async def test_a_primary_of_each_kind_is_killed(
    tmp_path: Path, go_broker: str, gazctl: str
) -> None:
    async with mixed_trial(tmp_path, go_broker, gazctl) as trial:
        for kind in (OURS, THEIRS):
            broker = await trial.a_primary(kind)
            await trial.process_of(broker).kill()
            await trial.wait_progress()
            await trial.wait_gone(broker)
            await trial.wait_consistent()
            await trial.start_instead_of(broker)
            await trial.wait_consistent()


@pytest.mark.parametrize(("drained", "leads"), [(OURS, THEIRS), (THEIRS, OURS)])
async def test_each_kind_drains_while_the_other_leads(
    tmp_path: Path, go_broker: str, gazctl: str, drained: str, leads: str
) -> None:
    async with mixed_trial(tmp_path, go_broker, gazctl, leads=leads) as trial:
        broker = await trial.a_primary(drained)
        await trial.drain(broker)
        assert await trial.member(broker) is None
        await trial.wait_consistent()
        await trial.wait_progress()
        await trial.start_instead_of(broker)
        await trial.wait_consistent()
        assert (await leader(trial.cluster)).startswith(leads)


async def test_ours_loses_its_lease_and_joins_anew(
    tmp_path: Path, go_broker: str, gazctl: str
) -> None:
    """An operator revokes it. The process goes on, with another lease, and without a restart."""
    async with mixed_trial(tmp_path, go_broker, gazctl, leads=THEIRS) as trial:
        broker = await trial.a_primary(OURS)
        member = await trial.member(broker)
        assert member is not None
        etcd = await connect_etcd(trial.cluster.etcd_url)
        await etcd.revoke_lease(member.lease)
        await etcd.close()
        await trial.wait_joined_anew(broker, member.lease)
        await trial.wait_consistent()
        await trial.wait_progress()
        assert "msg=lease_lost" in trial.process_of(broker).log.read_text()


async def test_ours_sleeps_past_its_lease_and_joins_anew(
    tmp_path: Path, go_broker: str, gazctl: str
) -> None:
    """It leads, too. What it had goes to others, and it acknowledges nothing when it wakes.

    Those journals do not get on before: a replica of the reference follows its primary for as long
    as their connection stands, which the kernel of one that sleeps keeps up.
    """
    async with mixed_trial(tmp_path, go_broker, gazctl, leads=OURS) as trial:
        broker = await leader(trial.cluster)
        member = await trial.member(broker)
        assert member is not None
        process = trial.process_of(broker)
        process.send(signal.SIGSTOP)
        try:
            await trial.wait_gone(broker)
            await trial.wait_handed_over(broker)
        finally:
            process.send(signal.SIGCONT)
        await trial.wait_joined_anew(broker, member.lease)
        await trial.wait_consistent()
        await trial.wait_progress()


async def test_primaries_are_handed_over_between_the_kinds(
    tmp_path: Path, go_broker: str, gazctl: str
) -> None:
    """By slots alone, as our leader evens primaries out: of either kind, while it is primary."""
    async with mixed_trial(tmp_path, go_broker, gazctl) as trial:
        for kind in (THEIRS, OURS):
            # Somebody makes brokers of a kind primaries of all; the leader undoes it.
            assert await swap_slots(trial.cluster, kind)
            await trial.wait_progress()

            async def is_undone(kind: str = kind) -> bool:
                served = (await primaries(trial.cluster)).values()
                return any(not name.startswith(kind) for name in served)

            await eventually(is_undone, "handed over")
            await trial.wait_consistent()
            await trial.wait_progress()


async def swap_slots(cluster: LocalCluster, kind: str) -> int:
    """Make brokers of a kind primaries by a change of slots alone; return of how many journals."""
    swapped = 0
    keyspace = await keyspace_of(cluster)
    etcd = await connect_etcd(cluster.etcd_url)
    try:
        for journal in JOURNALS:
            by_slot = sorted(keyspace.assignments_of(journal), key=lambda a: a.slot)
            first, *others = by_slot
            of_kind = [a for a in others if a.member.suffix.startswith(kind)]
            if first.member.suffix.startswith(kind) or not of_kind:
                continue
            ops: list[Op] = []
            for assignment, slot in ((first, of_kind[0].slot), (of_kind[0], first.slot)):
                key = assignment_key(keyspace.root, journal, assignment.member, slot).encode()
                ops += [Delete(assignment.key), Put(key, b"", lease=assignment.lease)]
            swapped += (await etcd.txn([], ops)).succeeded
    finally:
        await etcd.close()
    return swapped
