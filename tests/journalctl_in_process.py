"""`journalctl` called within this process, at brokers of it."""

import json
from typing import Any

from click.testing import CliRunner, Result

from gazette_py.cli.errors import ExitCode
from gazette_py.cli.journalctl import cli
from gazette_py.testing import InProcessCluster


def call(cluster: InProcessCluster, *args: str, code: int = ExitCode.OK, stdin: str = "") -> Result:
    """Run a command, which must end so."""
    address = ("--broker.address", cluster.addresses[0])
    result = CliRunner().invoke(cli, [*args, *address], input=stdin, prog_name="journalctl")
    assert result.exit_code == code, result.output
    return result


def items(result: Result) -> list[dict[str, Any]]:
    """Return what was printed as lines of JSON; the brokers of this process log between."""
    return [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
