"""Two brokers of each kind, and a primary of each is killed: nothing acknowledged is lost.

Clients of both kinds append meanwhile.
"""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from acknowledged_load import Load, check_content, flush, served_runs, wait_stored
from go_programs import GazctlLoad, GoBroker, go_member, primaries
from local_clusters import apply, broker_of, config, eventually, spec, wait_consistent

from gazette_py.client import connect
from gazette_py.lake import Lake
from gazette_py.local.cluster import LocalCluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

JOURNALS = tuple(f"killed/{n}" for n in range(6))


async def wait_progress(load: Load, others: GazctlLoad) -> None:
    """Wait until both kinds of clients have got on."""
    await load.wait_progress(5, 60)
    await others.wait_progress(2, 60)


async def primary_of(cluster: LocalCluster, kind: str) -> str:
    """Return a broker of a kind which is primary of some journal."""
    found = ""

    async def check() -> bool:
        nonlocal found
        served = (await primaries(cluster)).values()
        found = next((name for name in served if name.startswith(kind)), "")
        return bool(found)

    await eventually(check, f"a primary: {kind}")
    return found


async def test_kills_of_primaries_of_both_kinds(
    tmp_path: Path, go_broker: str, gazctl: str
) -> None:
    options = config(tmp_path, brokers=2, extra_flags=("--broker.max-replication=3",))
    specs = [spec(journal, length=1 << 14) for journal in JOURNALS]
    async with LocalCluster(options) as cluster, AsyncExitStack() as stack:
        theirs: dict[str, GoBroker] = {}

        async def start_go(name: str, zone: str) -> None:
            member = go_member(cluster, go_broker, zone, name=name, replication=3)
            theirs[name] = await stack.enter_async_context(member)

        await start_go("go-0", "c")
        await start_go("go-1", "d")
        addresses = [*cluster.endpoints, *(go.endpoint for go in theirs.values())]
        client = await stack.enter_async_context(connect(",".join(addresses)))
        await apply(client, *specs)
        await wait_consistent(cluster, client, JOURNALS)
        load = Load(client, JOURNALS, seed=1)
        others = GazctlLoad(gazctl, addresses, load)
        load.start(3)
        others.start()
        try:
            await wait_progress(load, others)
            victim = broker_of(cluster, await primary_of(cluster, "broker-"))
            assert victim.process is not None
            await victim.process.kill()
            await wait_progress(load, others)
            await cluster.start_broker(victim)
            await wait_consistent(cluster, client, JOURNALS)

            await wait_progress(load, others)
            name = await primary_of(cluster, "go-")
            await theirs[name].process.kill()
            await wait_progress(load, others)
            await wait_consistent(cluster, client, JOURNALS)
            await start_go("go-2", "c")
            await wait_consistent(cluster, client, JOURNALS)
            await wait_progress(load, others)
        finally:
            await others.stop()
            await load.stop()
        heads = await flush(load, client, specs)
        async with Lake("file:///", file_root=str(cluster.file_root)) as lake:
            # A replica of the reference stores late what its primary should have stored.
            runs = await wait_stored(load, lake, heads, 120)
        for journal in JOURNALS:
            check_content(load, journal, runs[journal])
        serving = [go.endpoint for go in theirs.values() if go.process.exit_code is None]
        for endpoint in (*cluster.endpoints, *serving):
            async with connect(endpoint, cache_size=0) as one:
                for journal in JOURNALS:
                    check_content(load, journal, await served_runs(one, journal, runs[journal]))
