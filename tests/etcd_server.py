"""Starts a real etcd: the one named by GAZETTE_ETCD, else the one on PATH, else the package's."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import urllib3

from gazette_py.errors import ConfigError
from gazette_py.local.etcd_process import find_etcd


class EtcdServer:
    """One member on free ports, which keeps its data and its ports over restarts."""

    def __init__(self, directory: Path, more_urls: Sequence[str]) -> None:
        self._log = directory / "etcd.log"
        self._data = directory / "data"
        self.url, peer = (f"http://127.0.0.1:{port}" for port in free_ports(2))
        urls = ",".join([self.url, *more_urls])
        self._command = [
            *(_program(), "--name=test", f"--data-dir={self._data}", "--log-level=error"),
            *(f"--listen-client-urls={urls}", f"--advertise-client-urls={self.url}"),
            *(f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"),
            f"--initial-cluster=test={peer}",
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([*self._command, *arguments], stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        with urllib3.PoolManager(retries=False) as pool:
            while time.monotonic() < deadline:
                if self._process.poll() is not None:
                    pytest.fail(f"etcd ended: {self._log.read_text()}")
                try:
                    if pool.request("GET", f"{self.url}/health", timeout=1).status == 200:
                        return
                except urllib3.exceptions.HTTPError:
                    pass
                time.sleep(0.05)
        pytest.fail(f"etcd is not healthy: {self._log.read_text()}")

    def stop(self) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def send_signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        if number == signal.SIGSTOP:  # Until its last thread has stopped, it may still answer.
            os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)

    def post(self, path: str, body: dict[str, object]) -> None:
        """Call etcd's JSON gateway: for what brokers never do, so that our client cannot."""
        with urllib3.PoolManager(retries=False) as pool:
            answer = pool.request("POST", f"{self.url}{path}", json=body, timeout=10)
        assert answer.status == 200, answer.data

    def remove(self) -> None:
        """Remove the data, which is at least 64 MB, from the directory which pytest retains."""
        shutil.rmtree(self._data, ignore_errors=True)


@contextmanager
def etcd(directory: Path, *arguments: str, more_urls: Sequence[str] = ()) -> Iterator[EtcdServer]:
    """Run etcd until the context ends."""
    server = EtcdServer(directory, more_urls)
    try:
        server.start(*arguments)
        yield server
    finally:
        server.stop()
        server.remove()


def _program() -> str:
    try:
        return os.environ.get("GAZETTE_ETCD") or shutil.which("etcd") or find_etcd()
    except ConfigError as exc:
        pytest.skip(str(exc))


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
