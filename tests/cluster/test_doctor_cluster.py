"""`journalctl doctor`: each cause is made real, and found.

Clusters are of brokers, etcd and stores as they are; of a token which has expired see
tests/compat/test_brokers_with_keys.py, since only brokers of the reference ask for one yet.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from journalctl_process import call, journalctl
from local_clusters import (
    apply,
    broker_of,
    config,
    eventually,
    keyspace_of,
    members_of,
    spec,
    wait_consistent,
)
from skewed_clocks import SkewedClock, library
from small_disks import empty, fill, small_disk
from versitygw_server import versitygw_process

from gazette_py.cli.shadowing import shadows
from gazette_py.errors import IndexHasGreaterOffsetError, StoreUnhealthyError, SuspendedError
from gazette_py.local.cluster import LocalBroker, LocalCluster
from gazette_py.local.ports import free_ports
from gazette_py.protocol.claims import of_journal
from gazette_py.protocol.enums import JournalFlag

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

ONE, TWO = "sick/one", "sick/two"
MAX_2 = "--broker.max-replication=2"


async def doctor(*args: str, address: str, code: int = 8) -> list[Any]:
    ended = await call("doctor", *args, "-o", "jsonl", address=address)
    assert ended.code == code, ended.out + ended.err
    return [json.loads(line) for line in ended.out.splitlines()]


def told(findings: list[Any]) -> list[tuple[str, str]]:
    return [(finding["cause"], finding["subject"]) for finding in findings]


async def add_broker(cluster: LocalCluster, zone: str) -> LocalBroker:
    index = len(cluster.brokers)
    newcomer = LocalBroker(index, zone, *free_ports(2))
    cluster.brokers.append(newcomer)
    await cluster.start_broker(newcomer)
    return newcomer


async def kill(broker: LocalBroker) -> None:
    assert broker.process is not None
    await broker.process.kill()


async def test_names_addresses_flags_and_suspension(tmp_path: Path) -> None:
    async with LocalCluster(config(tmp_path, brokers=1)) as cluster, cluster.connect() as client:
        read_only = replace(spec("sick/read-only", replication=1), flags=JournalFlag.O_RDONLY)
        await apply(client, spec(ONE, replication=1), spec(TWO, replication=1), read_only)
        await wait_consistent(cluster, client, [ONE, TWO])
        await client.append(ONE, b"content")
        address = cluster.endpoints[0]

        well = await call("doctor", ONE, "--check-delete", address=address)
        assert (well.code, well.out) == (0, "")
        assert well.err == "Nothing is wrong with 1 journal, 1 broker, 1 store.\n"
        assert await client.write_head(ONE) == 7

        (missing,) = await doctor("sick/on", address=address)
        assert told([missing]) == [("journal-not-found", "journal sick/on")]
        assert "sick/one" in missing["evidence"]
        assert missing["mend"] == "gazette-journalctl doctor sick/one"

        # Who may not append has it so on purpose.
        (flags,) = await doctor("sick/read-only", address=address, code=0)
        assert (flags["cause"], flags["severity"]) == ("flags", "note")

        await journalctl(cluster, "suspend", TWO)
        (suspended,) = await doctor(TWO, address=address, code=0)
        assert (suspended["cause"], suspended["mend"]) == (
            "suspended",
            f"gazette-journalctl resume {TWO}",
        )
        # What it says is so: nobody can read it, and the command mends that.
        with pytest.raises(SuspendedError):
            await client.write_head(TWO)
        await journalctl(cluster, *suspended["mend"].split()[1:])
        assert await doctor(TWO, address=address, code=0) == []

        gone = f"http://127.0.0.1:{free_ports(1)[0]}"
        (nobody,) = await doctor(ONE, address=gone)
        assert told([nobody]) == [("wrong-address", f"address {gone}")]
        (nobody,) = await doctor(ONE, "--etcd.address", cluster.etcd_url, address=gone)
        assert nobody["mend"].startswith(f"export BROKER_ADDRESS={address} ")
        for other in (cluster.brokers[0].http, cluster.etcd_url):
            (wrong,) = await doctor(ONE, address=other)
            assert told([wrong]) == [("not-a-broker", f"address {other}")], wrong
        text = await call("doctor", ONE, address=gone)
        assert text.out.startswith(f"problem: address {gone}: no broker answers there\n  seen  ")
        assert "\n  mend  export BROKER_ADDRESS=" in text.out


async def test_too_few_brokers_then_too_few_zones(tmp_path: Path) -> None:
    async with (
        LocalCluster(config(tmp_path, brokers=1, extra_flags=(MAX_2,))) as cluster,
        cluster.connect() as client,
    ):
        await apply(client, spec(ONE, replication=2))
        address = cluster.endpoints[0]

        async def has_primary() -> bool:
            return (await keyspace_of(cluster)).route_of(ONE).primary >= 0

        await eventually(has_primary, "served")
        (few,) = await doctor(ONE, address=address)
        assert told([few]) == [("too-few-brokers", f"journal {ONE}")]
        assert few["evidence"] == (
            f"1 of 2 brokers serve it; journal {ONE} wants 2 replicas, and there are 1 brokers"
        )
        # All journals are looked at if none is named; then none is tried. And so is the program,
        # which is in nobody's way if it is not found.
        ended = await call("doctor", "-o", "jsonl", address=address, env={"PATH": "/nowhere"})
        assert told([json.loads(line) for line in ended.out.splitlines()]) == told([few])
        expected = [f"command journalctl of {s.whose}" for s in shadows(os.environ["PATH"])]
        found = await doctor(address=address)
        assert [subject for cause, subject in told(found) if "systemd" in cause] == expected

        await add_broker(cluster, "a")
        await wait_consistent(cluster, client, [ONE])
        (zones,) = await doctor(ONE, address=address)
        assert (zones["cause"], zones["severity"]) == ("too-few-zones", "warning")
        assert "there is one zone" in zones["evidence"]

        await add_broker(cluster, "b")

        async def spans_zones() -> bool:
            return len({m.zone for m in (await keyspace_of(cluster)).route_of(ONE).members}) == 2

        await eventually(spans_zones, "in two zones")
        await wait_consistent(cluster, client, [ONE])
        assert await doctor(ONE, address=address, code=0) == []


async def test_no_primary_since_its_broker_was_killed_and_the_other_is_full(
    tmp_path: Path,
) -> None:
    flags = ("--broker.limit=1",)
    async with LocalCluster(config(tmp_path, brokers=2, extra_flags=flags)) as cluster:
        async with cluster.connect() as client:
            await apply(client, spec(ONE, replication=1), spec(TWO, replication=1))
            await wait_consistent(cluster, client, [ONE, TWO])
        (lost,) = await members_of(cluster, ONE)
        await kill(lost)

        async def is_gone() -> bool:
            return not (await keyspace_of(cluster)).assignments_of(ONE)

        await eventually(is_gone, "gone from etcd")
        address = cluster.endpoints[0]
        found = await doctor(ONE, address=address)
        assert told(found) == [("no-room", f"journal {ONE}"), ("no-primary", f"journal {ONE}")]
        assert (
            "1 brokers have room for 1 of 2 assignments (--broker.limit)" in (found[1]["evidence"])
        )
        assert await doctor(TWO, address=address, code=0) == []


async def test_a_broker_which_was_killed_and_is_still_a_member(tmp_path: Path) -> None:
    long = config(tmp_path, brokers=2, lease_s=60)
    async with LocalCluster(long) as cluster:
        async with cluster.connect() as client:
            names = [f"sick/{n}" for n in range(4)]
            await apply(client, *(spec(name, replication=1) for name in names))
            await wait_consistent(cluster, client, names)
        keyspace = await keyspace_of(cluster)
        of_second = next(n for n in names if keyspace.route_of(n).members[0].suffix == "broker-1")
        gone = broker_of(cluster, "broker-1")
        await kill(gone)
        (silent,) = await doctor(of_second, address=cluster.endpoints[0])
        assert told([silent]) == [("broker-silent", f"broker {gone.zone}/{gone.id}")]
        assert gone.endpoint in silent["mend"]


async def test_an_index_ahead_of_the_write_head(tmp_path: Path) -> None:
    async with LocalCluster(config(tmp_path, brokers=1)) as cluster, cluster.connect() as client:
        await apply(client, spec(ONE, replication=1, length=1024))
        stored = (await client.append(ONE, b"stored" * 1000, timeout_s=30)).commit.end
        await client.append(ONE, b"lost with its only broker\n")

        async def is_stored() -> bool:
            return any([f.fragment.mod_time async for f in client.fragments(ONE)])

        await eventually(is_stored, "stored")
        await kill(cluster.brokers[0])
        await cluster.start_broker(cluster.brokers[0])

        async def is_refused() -> bool:
            try:
                await client.append(ONE, timeout_s=5)
            except IndexHasGreaterOffsetError:
                return True
            return False

        await eventually(is_refused, "refusing appends")
        (ahead,) = await doctor(ONE, address=cluster.endpoints[0])
        assert told([ahead]) == [("index-ahead", f"journal {ONE}")]
        assert f"end at {stored}," in ahead["evidence"]
        # The command mends it.
        command, _, _ = ahead["mend"].partition("  #")
        await journalctl(cluster, *command.split()[1:], "--yes")
        assert await doctor(ONE, address=cluster.endpoints[0], code=0) == []


async def test_a_full_disk_under_the_spools(tmp_path: Path) -> None:
    spools = config(tmp_path).data_dir / "spools" / "broker-0"
    with small_disk(spools, "8m") as disk:
        async with (
            LocalCluster(config(tmp_path, brokers=1)) as cluster,
            cluster.connect() as client,
        ):
            await apply(client, spec(ONE, replication=1))
            await wait_consistent(cluster, client, [ONE])
            address = cluster.endpoints[0]
            fill(disk)
            refused = await call(
                "append", ONE, "-i", __file__, "--request-timeout=3s", address=address
            )
            assert refused.code != 0
            (full,) = await doctor(ONE, address=address)
            assert told([full]) == [("disk-full", "broker a/broker-0")]
            assert full["evidence"].endswith("and 0 are free")
            empty(disk)
            assert await doctor(ONE, address=address, code=0) == []


async def test_a_store_which_cannot_be_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "s3").mkdir()
    with versitygw_process(tmp_path / "s3") as gateway:
        for name, value in gateway.server.environment().items():
            monkeypatch.setenv(name, value)
        store = gateway.server.url()
        async with (
            LocalCluster(config(tmp_path, brokers=1, store=store)) as cluster,
            cluster.connect() as client,
        ):
            await apply(client, spec(ONE, replication=1, store=store))
            await wait_consistent(cluster, client, [ONE])
            address = cluster.endpoints[0]
            assert await doctor(ONE, "--check-delete", address=address, code=0) == []
            gateway.stop()
            try:

                async def is_missed() -> bool:
                    (journal,) = (await client.list(of_journal(ONE))).journals
                    (seen,) = await client.inspect(journal)
                    return seen.replica is not None and bool(seen.replica.listing_error)

                await eventually(is_missed, "missed by its broker")
                (away,) = await doctor(ONE, address=address)
            finally:
                gateway.start()
            assert told([away]) == [("store-not-listed", f"store {store}")]

            async def is_well() -> bool:
                return (await call("doctor", ONE, address=address)).code == 0

            await eventually(is_well, "well again")

            # One which was never there: nothing is appended.
            never = replace(gateway.server, endpoint=f"http://127.0.0.1:{free_ports(1)[0]}").url()
            await apply(client, spec(TWO, replication=1, store=never))

            async def is_unhealthy() -> bool:
                try:
                    await client.store_health(never)
                except StoreUnhealthyError:
                    return True
                return False

            await eventually(is_unhealthy, "unhealthy")
            (store_away,) = await doctor(TWO, address=address)
            assert told([store_away]) == [("store-unhealthy", f"store {never}")]


async def test_a_store_from_which_brokers_may_not_delete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "s3").mkdir()
    with versitygw_process(tmp_path / "s3") as gateway:
        user = gateway.create_user("limited", "s3:GetObject", "s3:PutObject", "s3:ListBucket")
        for name, value in user.environment().items():
            monkeypatch.setenv(name, value)
        store = user.url()
        async with (
            LocalCluster(config(tmp_path, brokers=1, store=store)) as cluster,
            cluster.connect() as client,
        ):
            await apply(client, spec(ONE, replication=1, store=store))
            await wait_consistent(cluster, client, [ONE])
            address = cluster.endpoints[0]
            # Nothing is written to find that out unless it is asked for.
            assert await doctor(ONE, address=address, code=0) == []
            (kept,) = await doctor(ONE, "--check-delete", address=address)
        assert (kept["cause"], kept["severity"]) == ("store-denies-delete", "warning")
        assert "Access Denied" in kept["evidence"]


@contextlib.contextmanager
def clock_off(tmp_path: Path, minutes: float, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have processes which are started within have another clock."""
    if library() is None:
        pytest.skip("libfaketime is not installed")
    clock = SkewedClock(tmp_path / f"{minutes}.clock", minutes)
    with monkeypatch.context() as patch:
        for name, value in clock.environment().items():
            patch.setenv(name, value)
        yield


async def test_clocks_which_are_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with LocalCluster(config(tmp_path, brokers=2)) as cluster, cluster.connect() as client:
        await apply(client, spec(ONE, replication=1))
        await wait_consistent(cluster, client, [ONE])
        address = cluster.endpoints[0]
        with clock_off(tmp_path, 10, monkeypatch):
            (ours,) = await doctor(ONE, address=address)
        assert told([ours]) == [("clock-skew", "this machine")]
        assert "10 minutes ahead of those of the brokers" in ours["says"]
        with clock_off(tmp_path, -10, monkeypatch):
            off = await add_broker(cluster, "c")
        (theirs,) = await doctor(ONE, address=address)
        assert told([theirs]) == [("clock-skew", f"broker c/{off.id}")]
        assert "10 minutes behind" in theirs["says"]
