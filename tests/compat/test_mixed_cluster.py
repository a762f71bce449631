"""Brokers of the reference and ours in one cluster, and the reference's CLI with both."""

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from local_clusters import apply, config, eventually, keyspace_of, spec, wait_consistent

from gazette_py.client import Client
from gazette_py.clock import SYSTEM
from gazette_py.lake import Lake
from gazette_py.local.cluster import LocalCluster
from gazette_py.local.ports import free_ports
from gazette_py.local.process import ChildProcess
from gazette_py.protocol.enums import CompressionCodec

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

JOURNALS = ("mixed/one", "mixed/two", "mixed/three", "mixed/four")
CODECS = (
    CompressionCodec.GZIP,
    CompressionCodec.SNAPPY,
    CompressionCodec.NONE,
    CompressionCodec.GZIP,
)


@asynccontextmanager
async def go_member(cluster: LocalCluster, program: str, zone: str) -> AsyncIterator[str]:
    """Run a broker of the reference as another member; yield its endpoint."""
    (port,) = free_ports(1)
    command = [
        *(program, "serve", f"--broker.port={port}", "--broker.host=127.0.0.1"),
        *(f"--broker.zone={zone}", "--broker.id=go-broker"),
        f"--broker.file-root={cluster.file_root}",
        f"--broker.max-replication={max(1, cluster.config.brokers - 1)}",
        f"--etcd.address={cluster.etcd_url}",
        f"--etcd.prefix={cluster.config.etcd_prefix}",
        *("--etcd.lease=2s", "--log.level=info"),
    ]
    log = cluster.config.data_dir / "logs" / "go.log"
    process = await ChildProcess.start("go-broker", command, log)
    try:
        await process.wait_listening(f"http://127.0.0.1:{port}/debug/ready", 20, SYSTEM)

        async def is_member() -> bool:
            members = (await keyspace_of(cluster)).members
            return any(member.suffix == "go-broker" for member in members)

        await eventually(is_member, "a member")
        yield f"http://127.0.0.1:{port}"
    finally:
        if not await process.stop(20):
            raise AssertionError(f"the broker did not end: {process.last_output()}")


async def primaries(cluster: LocalCluster) -> dict[str, str]:
    """Return the ID of each journal's primary."""
    keyspace = await keyspace_of(cluster)
    found = {}
    for journal in JOURNALS:
        primary = keyspace.route_of(journal).primary_id
        found[journal] = primary.suffix if primary else ""
    return found


async def write(client: Client, contents: dict[str, bytes], rounds: int) -> None:
    for number in range(rounds):
        for journal in JOURNALS:
            content = f"{journal} {number} ".encode() * 100 + b"\n"
            await client.append(journal, content, timeout_s=30)
            contents[journal] += content


async def check(client: Client, contents: dict[str, bytes]) -> None:
    for journal, content in contents.items():
        assert await client.read_all(journal, 0, len(content), block=True) == content


async def test_journals_live_on_brokers_of_both_kinds(tmp_path: Path, go_broker: str) -> None:
    contents = dict.fromkeys(JOURNALS, b"")
    options = config(tmp_path, brokers=3, zones=("a", "b", "c"))
    async with LocalCluster(options) as cluster:
        async with go_member(cluster, go_broker, "d") as go, cluster.connect() as client:
            specs = [
                spec(j, replication=4, codec=codec, length=1 << 14)
                for j, codec in zip(JOURNALS, CODECS, strict=True)
            ]
            # The cap of the cluster is 2: each journal has two of the four brokers.
            await apply(client, *specs)

            async def go_serves() -> bool:
                keyspace = await keyspace_of(cluster)
                served = [keyspace.route_of(j).members for j in JOURNALS]
                return any(m.suffix == "go-broker" for route in served for m in route) and all(
                    len(route) == 2 and keyspace.is_consistent(j)
                    for j, route in zip(JOURNALS, served, strict=True)
                )

            await eventually(go_serves, "served by the other kind, too")
            await write(client, contents, 20)
            await check(client, contents)
            from gazette_py.client import connect

            async with connect(go, cache_size=0) as by_go:
                await check(by_go, contents)
        # The Go broker has drained: its journals went to ours, with all which was acknowledged.
        async with cluster.connect() as client:
            for journal in JOURNALS:
                await client.append(journal, timeout_s=30)
            assert "go-broker" not in (await primaries(cluster)).values()
            await check(client, contents)
            await write(client, contents, 5)
            await check(client, contents)
        assert await cluster.stop_brokers()
        async with Lake("file:///", file_root=str(cluster.file_root)) as lake:
            for journal, content in contents.items():
                assert b"".join([piece async for piece in lake.read(journal)]) == content


async def test_ours_drain_to_theirs(tmp_path: Path, go_broker: str) -> None:
    contents = dict.fromkeys(JOURNALS, b"")
    async with LocalCluster(config(tmp_path, brokers=1, zones=("a",))) as cluster:
        async with cluster.connect() as client:
            await apply(client, *(spec(j, replication=1, length=1 << 14) for j in JOURNALS))
            await write(client, contents, 5)
        async with go_member(cluster, go_broker, "b") as go:
            ours = cluster.brokers[0].process
            assert ours is not None
            assert await ours.stop(60)
            assert ours.exit_code == 0
            from gazette_py.client import connect

            async with connect(go, file_root=str(cluster.file_root)) as client:
                await wait_consistent(cluster, client, JOURNALS)
                assert set((await primaries(cluster)).values()) == {"go-broker"}
                await check(client, contents)
                await write(client, contents, 5)
                await check(client, contents)
            await cluster.start_broker(cluster.brokers[0])


async def run(*command: str, stdin: bytes = b"") -> str:
    done = await asyncio.to_thread(
        subprocess.run, command, input=stdin, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


async def test_their_cli_works_with_our_brokers(tmp_path: Path, gazctl: str) -> None:
    specs = tmp_path / "specs.yaml"
    specs.write_text(
        "name: theirs/\nreplication: 3\nfragment:\n  length: 65536\n"
        "  compression_codec: GZIP\n  stores: ['file:///']\n  refresh_interval: 1s\n"
        "children:\n- name: theirs/one\n- name: theirs/two\n"
    )
    async with LocalCluster(config(tmp_path)) as cluster:
        broker = f"--broker.address={cluster.endpoints[0]}"
        await run(gazctl, "journals", "apply", broker, "--specs", str(specs))
        async with cluster.connect() as client:
            await wait_consistent(cluster, client, ["theirs/one", "theirs/two"])
        content = os.urandom(100_000).hex().encode() + b"\n"
        selector = ("-l", "name=theirs/one")
        await run(gazctl, "journals", "append", broker, *selector, stdin=content)
        read = await run(gazctl, "journals", "read", broker, *selector)
        assert read.encode() == content
        listed = await run(gazctl, "journals", "list", broker, "--format", "json")
        names = [json.loads(line)["name"] for line in listed.splitlines()]
        assert names == ["theirs/one", "theirs/two"]
        fragments = await run(gazctl, "journals", "fragments", broker, *selector)
        assert "theirs/one" in fragments or "0000000000000000" in fragments
        await run(gazctl, "journals", "suspend", broker, *selector, "--force")
        await run(gazctl, "journals", "append", broker, *selector, stdin=content)
        await run(gazctl, "journals", "reset-head", broker, *selector)
        async with cluster.connect() as client:
            assert (
                await client.read_all("theirs/one", 0, 2 * len(content), block=True) == 2 * content
            )
