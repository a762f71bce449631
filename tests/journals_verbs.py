"""`journalctl journals` as a process, at brokers of this process: what it prints, byte for byte."""

import os
import subprocess
import sys
from collections.abc import Mapping

from gazette_py.testing import InProcessCluster


def journals(
    cluster: InProcessCluster,
    *args: str,
    stdin: bytes = b"",
    code: int = 0,
    env: Mapping[str, str] | None = None,
) -> str:
    """Run a verb, which must end so, and return its standard output; of failures, its error."""
    done = subprocess.run(
        [sys.executable, "-m", "gazette_py.cli.journalctl", "journals", *args],
        env={**os.environ, "BROKER_ADDRESS": cluster.addresses[0], **(env or {})},
        input=stdin,
        capture_output=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == code, done.stdout.decode() + done.stderr.decode()
    return (done.stderr if code else done.stdout).decode()
