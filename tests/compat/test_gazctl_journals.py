"""`journalctl journals` beside the real gazctl: the same arguments, the same standard output.

Both are called at the same brokers, ours and those of the reference. Documented differences, which
docs/how-to/move-from-gazctl.md tells, are not called for here.
"""

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from go_programs import go_member
from local_clusters import config, eventually

from gazette_py.local.cluster import LocalCluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

OURS = (sys.executable, "-m", "gazette_py.cli.journalctl", "journals")

SPECS = """\
name: acme/
replication: 1
labels: [{name: content-type, value: text/plain}]
fragment:
  {length: 65536, compression_codec: GZIP, stores: ['file:///'], refresh_interval: 1s}
children:
- name: acme/a
  labels: [{name: part, value: "00"}, {name: topic, value: t}]
- name: acme/b
  labels: [{name: part, value: "ff"}, {name: topic, value: t}]
  fragment: {flush_interval: 90m, retention: 24h}
- name: acme/c/one
  labels: [{name: HTTPName_x.y, value: v}, {name: tag, value: "1e5"}, {name: tag, value: two}]
  flags: O_RDWR
  max_append_rate: 4194304
- name: acme/c/two
  fragment:
    path_postfix_template:
      'at={{.Spool.FirstAppendTime.Format "2006-01-02"}}{{/* a: # ''long one'', folded */}}'
    flush_interval: 1h0m1.5s
"""

CLUSTERS = ("ours", "theirs")


@asynccontextmanager
async def brokers(kind: str, tmp_path: Path, go_broker: str) -> AsyncIterator[str]:
    """Provide the address of a broker, of either kind."""
    async with LocalCluster(config(tmp_path, brokers=1)) as cluster:
        if kind == "ours":
            yield cluster.endpoints[0]
            return
        async with go_member(cluster, go_broker, "z", prefix="/theirs/cluster") as member:
            yield member.endpoint


class Both:
    """The two programs, called in turn."""

    def __init__(self, gazctl: str, address: str) -> None:
        self._programs = ((gazctl, "journals"), OURS)
        self._address = f"--broker.address={address}"

    async def each(self, *args: str, stdin: bytes = b"", fails: bool = False) -> list[str]:
        """Return what each printed."""
        return [await self.one(i, *args, stdin=stdin, fails=fails) for i in (0, 1)]

    async def one(self, which: int, *args: str, stdin: bytes = b"", fails: bool = False) -> str:
        """Return what gazctl (0) or ours (1) printed."""
        done = await asyncio.to_thread(
            subprocess.run,
            [*self._programs[which], *args, self._address],
            input=stdin,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode != 0) == fails, done.stdout.decode() + done.stderr.decode()
        return done.stdout.decode()

    async def same(self, *args: str, stdin: bytes = b"", fails: bool = False) -> str:
        """Return what both printed, once nothing changes between the two calls."""
        deadline = time.monotonic() + 20
        while True:
            theirs, ours = map(_timeless, await self.each(*args, stdin=stdin, fails=fails))
            if theirs == ours or time.monotonic() > deadline:
                assert theirs == ours
                return ours


def _timeless(text: str) -> str:
    """Return a text without relative times: they may change from one call to the next."""
    ages = r"now|(\d+|a long) \w+ (ago|from now)"
    if not re.search(rf"│ ({ages}) +│", text):
        return text
    text = re.sub(rf"│ ({ages}) +│", "│ AGE │", text)
    return re.sub(r"│ +│", "│ │", re.sub("─+", "─", re.sub("  +", " ", text)))


@pytest.fixture(params=CLUSTERS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_specs(tmp_path: Path, gazctl: str, go_broker: str, kind: str) -> None:
    async with brokers(kind, tmp_path, go_broker) as address:
        both = Both(gazctl, address)
        specs = tmp_path / "specs.yaml"
        specs.write_text(SPECS)
        for form in ("table", "yaml", "json", "proto"):
            await both.same("list", "--format", form)  # Nothing yet.
        text = await both.same("apply", "--dry-run", "--specs", str(specs))
        assert text.count("upsert") == 4
        await both.one(1, "apply", "--specs", str(specs))
        assert await both.same("apply", "--specs", str(specs), fails=True) == ""

        async def are_served() -> bool:
            return (await both.one(1, "list", "-p")).count("<none>") == 0

        await eventually(are_served, "served")
        for form in ("table", "yaml", "json", "proto"):
            assert "acme/c/two" in await both.same("list", "-o", form)
            await both.same("list", f"--format={form}", "-l=name=acme/a")
            await both.same("list", "-o", form, "--selector", "name = acme/none")
        columns = ("--rf", "-p", "-r", "--stores")
        labels = [f"-L={each}" for each in ("part", "tag", "HTTPName_x.y", "a.1", "x--y", "none")]
        assert "1e5,two" in await both.same("list", *columns, *labels)
        # What one lists, the other applies, and it changes nothing but revisions.
        for i in (0, 1):
            listed = (await both.one(i, "list", "-o", "yaml")).encode()
            await both.one(1 - i, "apply", "--max-txn-size", "3", stdin=listed)
            await both.same("list", "-o", "yaml")
        text = await both.same("apply", "--dry-run", stdin=b"delete: true\n" + listed)
        assert text.count("delete: ") == 4


async def test_edit_shows_the_same(
    tmp_path: Path, gazctl: str, go_broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with brokers("ours", tmp_path, go_broker) as address:
        both = Both(gazctl, address)
        await both.one(1, "apply", stdin=SPECS.encode())
        shown = []
        for i in (0, 1):
            script = tmp_path / f"editor-{i}"
            script.write_text(f'#!/bin/sh\ncp "$1" {script}.shown\nsed -i s/GZIP/SNAPPY/ "$1"\n')
            script.chmod(0o755)
            monkeypatch.setenv("GAZ_EDITOR", str(script))
            assert await both.one(i, "edit", "-l", f"part={'00' if i == 0 else 'ff'}") == ""
            shown.append(Path(f"{script}.shown").read_text())
        listed = (await both.same("list", "-o", "json")).count('"compression_codec":"SNAPPY"')
        assert listed == 2
        # The text of one, opened by the other, is read the same way.
        assert all(
            line.startswith("#⚙") for text in shown for line in text.split("name:")[0].splitlines()
        )


async def test_content(tmp_path: Path, gazctl: str, go_broker: str, kind: str) -> None:
    async with brokers(kind, tmp_path, go_broker) as address:
        both = Both(gazctl, address)
        await both.one(1, "apply", stdin=SPECS.encode())
        topic = ("-l", "topic=t")

        def frame(data: bytes) -> bytes:
            return b"\x66\x33\x93\x36" + len(data).to_bytes(4, "little") + data

        keys = [f"key {n}".encode() for n in range(40)]
        lines = b"".join(key + b"\nvalue of " + key + b"\n" for key in keys)
        frames = b"".join(frame(key) + frame(b"0" * n) for n, key in enumerate(keys))
        before = {"a": 0, "b": 0}
        for args, stdin in (
            (("-f", "lines", "-m", "modulo"), lines),
            (("--framing=lines", "--mapping=rendezvous"), lines),
            (("--framing", "fixed", "--mapping", "modulo"), frames),
            (("-f", "fixed", "-m", "rendezvous"), frames),
            (("-f", "lines", "-m", "modulo", "--base64"), b"YQ==\none\nYg==\ntwo\nYw==\nthree\n"),
        ):
            await both.each("append", *topic, *args, stdin=stdin)
            for name in "ab":
                out = tmp_path / "out"
                await both.one(1, "read", "-l", f"name=acme/{name}", "-o", str(out))
                added = out.read_bytes()[before[name] :]
                assert added[: len(added) // 2] == added[len(added) // 2 :]
                before[name] += len(added)
        assert all(before.values())

        content = b"hello\n" * 30_000
        await both.each("append", "-l", "name=acme/c/one", stdin=content)
        assert await both.same("read", "-l", "name=acme/c/one") == content.decode() * 2
        assert await both.same("read", "-l", "name=acme/none") == ""
        offsets = []
        for i in (0, 1):
            at = tmp_path / f"at-{i}.json"
            await both.one(i, "read", *topic, "--tail", "--offsets-out", str(at))
            offsets.append(at.read_bytes())
        assert offsets[0] == offsets[1]
        await both.each("reset-head", "-l", "name:prefix=acme/")

        await fragments_are_alike(both)

        await both.one(0, "suspend", "--force", "-l", "name=acme/a")
        await both.one(1, "suspend", "-f", "-l", "name=acme/b")
        text = await both.same("list", "-p", *topic)
        assert text.count("<S>") == 2
        for form in ("yaml", "json", "proto"):
            await both.same("list", "-o", form, *topic)
        assert "healthy" in await both.same("store-health", "file:///")
        assert "healthy" in await both.same("store-health", "--check-delete-prefix=", "file:///")
        assert await both.same("store-health", "file:///none/at/all/", fails=True) == ""


async def fragments_are_alike(both: Both) -> None:
    journal = ("-l", "name=acme/c/one")

    async def are_stored() -> bool:
        text = await both.one(1, "fragments", "-o", "json", *journal)
        return any("backing_store" in json.loads(line)["spec"] for line in text.splitlines())

    await eventually(are_stored, "stored")
    stored = json.loads((await both.one(1, "fragments", *journal, "-o", "json")).splitlines()[0])
    since = str(stored["spec"]["mod_time"])
    for form in ("table", "json", "proto"):
        assert await both.same("fragments", "-o", form) != ""
        await both.same("fragments", *journal, "--url-ttl", "10m", f"--format={form}")
        await both.same("fragments", *journal, "-o", form, "--from", since, "--to", "9999999999")
        await both.same("fragments", *journal, "-o", form, "--to", "1")
        await both.same("fragments", "-l", "name=acme/none", "-o", form)
