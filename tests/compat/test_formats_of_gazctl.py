"""What `journalctl` prints for programs which read gazctl's output: the same, to the byte."""

import asyncio
from pathlib import Path

import pytest
from go_programs import run
from journalctl_process import journalctl
from local_clusters import apply, config, eventually, spec, wait_consistent

from gazette_py.local.cluster import LocalCluster
from gazette_py.protocol.labels import LabelSet

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]


async def test_listings_are_the_same(tmp_path: Path, gazctl: str) -> None:
    async with LocalCluster(config(tmp_path, brokers=1)) as cluster, cluster.connect() as client:
        labels = LabelSet.of(("content-type", "text/csv"), ("owner", "Zoë"))
        await apply(
            client,
            spec("same/one", replication=1, length=1024, labels=labels),
            spec("same/two", replication=1, max_append_rate=1 << 20),
        )
        await wait_consistent(cluster, client, ["same/one", "same/two"])
        await client.append("same/one", b"x" * 2000)
        await client.append("same/one", b"y" * 10)

        async def is_stored() -> bool:
            listed = [entry async for entry in client.fragments("same/one")]
            return [bool(entry.fragment.mod_time) for entry in listed] == [True, False]

        await eventually(is_stored, "stored")
        one, all_ = ("-l", "name=same/one"), ("-l", "name:prefix=same/")

        async def compare(verb: str, theirs: tuple[str, ...], ours: tuple[str, ...]) -> None:
            address = f"--broker.address={cluster.endpoints[0]}"
            expected, found = await asyncio.gather(
                run(gazctl, "journals", verb, address, *theirs), journalctl(cluster, verb, *ours)
            )
            assert expected
            assert found == expected

        await compare("list", (*all_, "--format", "json"), (*all_, "--compat-json"))
        await compare("list", (*all_, "--format", "proto"), (*all_, "-o", "proto"))
        as_json = (*one, "--format", "json", "--url-ttl", "1m")
        await compare("fragments", as_json, (*one, "--compat-json", "--url-ttl", "1m"))
