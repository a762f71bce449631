"""Starts a real etcd: the one named by GAZETTE_TEST_ETCD, else the newest one here."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import urllib3

from gazette_py.local.etcd_process import find_etcd


@contextmanager
def etcd(directory: Path, *arguments: str) -> Iterator[str]:
    """Run etcd over a directory until the context ends; yield its URL."""
    program = os.environ.get("GAZETTE_TEST_ETCD") or find_etcd()
    client, peer = (f"http://127.0.0.1:{port}" for port in _free_ports())
    command = [program, f"--data-dir={directory / 'data'}", "--log-level=error"]
    command += [f"--listen-client-urls={client}", f"--advertise-client-urls={client}"]
    command += [f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"]
    command += ["--name=test", f"--initial-cluster=test={peer}", *arguments]
    with (directory / "etcd.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait_ready(process, client, directory / "etcd.log")
        yield client
    finally:
        process.terminate()
        process.wait(timeout=10)
        shutil.rmtree(directory / "data", ignore_errors=True)


def _wait_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + 20
    with urllib3.PoolManager(retries=False) as pool:
        while time.monotonic() < deadline:
            if process.poll() is not None:
                pytest.fail(f"etcd ended: {log.read_text()}")
            try:
                if pool.request("GET", f"{url}/health", timeout=1).status == 200:
                    return
            except urllib3.exceptions.HTTPError:
                pass
            time.sleep(0.05)
    pytest.fail(f"etcd is not healthy: {log.read_text()}")


def _free_ports() -> list[int]:
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
    ):
        return [one.getsockname()[1], two.getsockname()[1]]
