"""A client which shares nothing with us but the wire: generated from the reference's own proto.

It runs in a process of its own, since two registrations of the package `protocol` would clash.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from dev_process import dev

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

GOLDEN_STEPS = Path(__file__).parent / "wire_client.py"


def test_the_golden_sequences(tmp_path: Path, go_checkout: str) -> None:
    stubs = tmp_path / "stubs"
    stubs.mkdir()
    # Options of gogoproto never change bytes; their import is cut, so that protoc needs nothing.
    source = (Path(go_checkout) / "broker" / "protocol" / "protocol.proto").read_text()
    (stubs / "protocol.proto").write_text(_without_options(source))
    subprocess.run(
        [
            *(_tools(), "-m", "grpc_tools.protoc", f"-I{stubs}"),
            *(f"--python_out={stubs}", f"--grpc_python_out={stubs}", "protocol.proto"),
        ],
        check=True,
    )
    with dev("--brokers", "4") as (_, ready):
        done = subprocess.run(
            [sys.executable, str(GOLDEN_STEPS), str(stubs), ready["brokers"][0]],
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "all steps passed"


def _tools() -> str:
    """Return a Python with grpcio-tools: that of `proto/generate`."""
    root = Path(__file__).parents[2]
    tools = Path(os.environ.get("GAZETTE_PROTO_VENV", root / ".cache" / "proto-venv"))
    python = tools / "bin" / "python"
    if not python.exists():
        pytest.skip("proto/generate has not been run: it installs the compiler of protos")
    return str(python)


def _without_options(source: str) -> str:
    """Cut the import and every option of gogoproto out of a proto file."""
    text = re.sub(r'^import "gogoproto[^;]*;|^option [^;]*;', "", source, flags=re.M)
    text = re.sub(r"^\s*option \(gogoproto[^;]*;", "", text, flags=re.M)
    # Of fields. Texts within may hold brackets.
    return re.sub(r'\s*\[\s*\((?:"[^"]*"|[^\]"])*\]\s*;', ";", text)
