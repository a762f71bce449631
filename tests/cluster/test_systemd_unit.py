"""The unit of deploy/systemd: what it starts is a broker, which ends when systemd would end it."""

import configparser
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import urllib3
from etcd_server import etcd
from local_clusters import spec

from gazette_py.client import Change, connect
from gazette_py.local.ports import free_ports

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(60)]

UNIT = Path(__file__).parents[2] / "deploy" / "systemd"


def service() -> configparser.SectionProxy:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # Names are of either case.
    unit.read(UNIT / "gazette-broker.service")
    return unit["Service"]


def settings() -> dict[str, str]:
    lines = (UNIT / "broker.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def wait_ready(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 20
    with urllib3.PoolManager(retries=False) as pool:
        while time.monotonic() < deadline and process.poll() is None:
            try:
                if pool.request("GET", url, timeout=1).status == 200:
                    return
            except urllib3.exceptions.HTTPError:
                pass
            time.sleep(0.05)
    pytest.fail(f"the broker is not ready, exit code {process.poll()}")


async def test_the_unit_runs_a_broker_which_serves_and_ends(tmp_path: Path) -> None:
    program, *arguments = shlex.split(service()["ExecStart"])
    command = [str(Path(sys.executable).parent / Path(program).name), *arguments]
    state = tmp_path / service()["StateDirectory"]
    state.mkdir()
    port, http = free_ports(2)
    with etcd(tmp_path) as server:
        env = settings()
        assert env["BROKER_SPOOL_DIR"] == f"/var/lib/{service()['StateDirectory']}"
        env |= {
            "PATH": os.environ["PATH"],
            "ETCD_ADDRESS": server.url,
            "BROKER_HOST": "127.0.0.1",
            "BROKER_PORT": str(port),
            "BROKER_HTTP_PORT": str(http),
            "BROKER_SPOOL_DIR": str(state),
            "BROKER_FILE_ROOT": str(tmp_path),
        }
        process = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)
        try:
            wait_ready(f"http://127.0.0.1:{http}/debug/ready", process)
            async with connect(f"http://127.0.0.1:{port}") as client:
                one = spec("one/journal", replication=1)
                await client.apply([Change(upsert=one, expect_mod_revision=0)])
                await client.append("one/journal", b"hello\n")
                assert any(state.rglob("*")), "no spool is where the unit keeps its state"
                await client.apply([Change(delete="one/journal", expect_mod_revision=-1)])
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=20) == 0
        finally:
            process.kill()
            process.wait()


def test_what_cannot_be_used_ends_the_broker_for_good(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).parent / "gazette-py"), "serve"]
    env = settings() | {"PATH": os.environ["PATH"], "BROKER_SERVER_CA_FILE": "ca.pem"}
    done = subprocess.run(command, env=env, capture_output=True, timeout=20, check=False)
    assert str(done.returncode) == service()["RestartPreventExitStatus"], done.stderr


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not here")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    text = (UNIT / "gazette-broker.service").read_text()
    unit = tmp_path / "gazette-broker.service"
    unit.write_text(text.replace("/opt/gazette-py/bin/gazette-py", sys.executable))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", str(unit)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    complaints = [line for line in done.stderr.splitlines() if "gazette" in line]
    assert (done.returncode, complaints) == (0, []), done.stderr
