"""The reference's CLI with our brokers, over a real S3 server."""

import json
import os
import re
import sys
from pathlib import Path

import pytest
from go_programs import run
from local_clusters import config, eventually, wait_consistent
from versitygw_server import S3Server

from gazette_py.local.cluster import LocalCluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-1[0-9a-f]{3}-8000-[0-9a-f]{12}")
"""Of version 1, and of no transaction."""

ONE = ("-l", "name=theirs/one")

SPECS = """
name: theirs/
replication: 3
labels:
- name: content-type
  value: text/plain
fragment:
  length: 65536
  compression_codec: GZIP
  stores: ['{store}']
  refresh_interval: 1s
  retention: {retention}
children:
- name: theirs/one
- name: theirs/two
"""


async def test_every_verb_on_journals(
    tmp_path: Path, gazctl: str, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = tmp_path / "specs.yaml"
    async with LocalCluster(config(tmp_path)) as cluster, cluster.connect() as client:
        broker = f"--broker.address={cluster.endpoints[0]}"

        async def journals(verb: str, *arguments: str, stdin: bytes = b"") -> str:
            return await run(gazctl, "journals", verb, broker, *arguments, stdin=stdin)

        async def apply(retention: str) -> None:
            revisions = json.loads(await journals("list", "--format", "json"))["journals"]
            text = SPECS.format(store=s3.url(), retention=retention)
            for listed in revisions:
                name = f"- name: {listed['spec']['name']}\n"
                text = text.replace(name, f"{name}  revision: {listed['mod_revision']}\n")
            specs.write_text(text)
            await journals("apply", "--specs", str(specs))

        await apply("24h")
        await wait_consistent(cluster, client, ["theirs/one", "theirs/two"])
        # Whatever is made already is refused.
        specs.write_text(SPECS.format(store=s3.url(), retention="24h"))
        refusal = await run(
            *(gazctl, "journals", "apply", broker, "--specs", str(specs)), fails=True
        )
        assert "ETCD_TRANSACTION_FAILED" in refusal

        content = os.urandom(100_000).hex().encode() + b"\n"
        await journals("append", *ONE, stdin=content)
        assert (await journals("read", *ONE)).encode() == content
        two = ("-l", "name=theirs/two")
        lines = ("--framing", "lines", "--mapping", "modulo")
        await journals("append", *two, *lines, stdin=b"key\nfirst\nother\nsecond\n")
        assert await journals("read", *two) == "first\nsecond\n"

        listing = json.loads(await journals("list", "--format", "json"))
        assert [j["spec"]["name"] for j in listing["journals"]] == ["theirs/one", "theirs/two"]
        table = await journals("list", "--primary", "--stores", "--rf", "-L", "content-type")
        assert "text/plain" in table
        assert "is healthy" in await journals("store-health", s3.url())

        editor = tmp_path / "editor"
        editor.write_text('#!/bin/sh\nsed -i "s/length: 65536/length: 1024/" "$1"\n')
        editor.chmod(0o755)
        monkeypatch.setenv("GAZ_EDITOR", str(editor))
        await journals("edit", *ONE)
        assert "length: 1024" in await journals("list", *ONE, "--format", "yaml")
        await journals("append", *ONE, stdin=b"last\n")

        async def stored() -> list[dict[str, str]]:
            listed = await journals(*("fragments", *ONE, "--url-ttl", "1m", "--format", "json"))
            found = [json.loads(line) for line in listed.splitlines()]
            return [fragment for fragment in found if "signed_url" in fragment]

        await eventually(stored, "stored")
        # Behind a route cache gazctl fetches stored fragments by their signed URLs.
        everything = content + b"last\n"
        assert (await journals("read", *ONE, "--broker.cache.size=256")).encode() == everything

        # Suspended, and resumed by the next append.
        await journals("suspend", *ONE, "--force")
        listed = await journals("list", *ONE, "--format", "yaml")
        assert "level: PARTIAL" in listed
        assert f"offset: {len(everything)}" in listed
        await client.append("theirs/one", b"resumed\n", timeout_s=30)
        assert "level" not in await journals("list", *ONE, "--format", "yaml")
        await wait_consistent(cluster, client, ["theirs/one"])
        await journals("reset-head", *ONE)
        everything += b"resumed\n"
        assert (await journals("read", *ONE)).encode() == everything

        # What is older than its retention is deleted from the store, and the journal goes on.
        before = len(await stored())
        assert before > 0
        await apply("1s")

        async def is_pruned() -> bool:
            await journals("prune", *ONE)
            return not await stored()

        await eventually(is_pruned, "without stored fragments", 60)
        after = (await client.append("theirs/one", b"after\n", timeout_s=30)).commit
        assert after.begin == len(everything)
        assert await client.read_all("theirs/one", after.begin, after.end) == b"after\n"


async def test_a_store_which_is_not_there_is_unhealthy(tmp_path: Path, gazctl: str) -> None:
    async with LocalCluster(config(tmp_path, brokers=1)) as cluster:
        address = f"--broker.address={cluster.endpoints[0]}"
        told = await run(
            *(gazctl, "journals", "store-health", address, "file:///none/"), fails=True
        )
        assert "fragment store file:///none/ is unhealthy" in told


async def test_lines_with_uuids_are_alike(tmp_path: Path, gazctl: str) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_bytes(b"id,item\r\n1,bolt\n2,nut")
    template = '{"line":"{{.Line}}","uuid":"{{.UUID}}"}\n'
    for more in (["--skip-header"], ["--template", template]):
        theirs, ours = [
            (await run(program, "attach-uuids", *more, str(rows))).splitlines()
            for program in (gazctl, f"{Path(sys.executable).parent}/gazette-journalctl")
        ]
        found = [[UUID.search(row) for row in side] for side in (theirs, ours)]
        assert all(match is not None for side in found for match in side)
        assert [UUID.sub("", row) for row in theirs] == [UUID.sub("", row) for row in ours]
