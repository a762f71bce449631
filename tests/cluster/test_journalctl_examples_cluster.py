"""The examples of every command's help, run as they stand, one after another, on a real cluster."""

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from dev_process import dev

from gazette_py.cli.journalctl import cli

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

ORDER = (
    *("apply", "append", "label", "list", "describe", "head", "fragments", "read", "lake"),
    *("verify", "tree", "create", "prune", "attach-uuids", "suspend", "resume", "reset-head"),
    *("store", "diff", "brokers", "wait", "explain", "edit", "journals", "backup", "restore"),
    *("doctor", "delete", "token", "context", "config", "completion"),
)
"""What later commands need is made by earlier ones."""

SPECS = """\
name: acme/
replication: 1
fragment: {length: 65536, compression_codec: GZIP, stores: ['file:///'], refresh_interval: 1s}
children:
- name: acme/logs
  labels: [{name: env, value: test}]
- name: acme/orders
  labels: [{name: env, value: prod}, {name: topic, value: orders}]
- name: acme/tmp/
  children: [{name: acme/tmp/one}]
"""

FOLLOWING_S = 5
"""Some examples follow a journal or a file without end. They are interrupted, as by Ctrl-C."""


def examples() -> list[str]:
    context = click.Context(cli)
    assert set(ORDER) == set(cli.list_commands(context))
    found = []
    for name in ORDER:
        command = cli.get_command(context, name)
        verbs = [command]
        if isinstance(command, click.Group):
            verbs += [command.get_command(context, verb) for verb in command.list_commands(context)]
        for verb in verbs:
            assert verb is not None
            assert verb.epilog is not None
            found += [line.strip() for line in verb.epilog.strip().splitlines()]
    return found


def prepare(directory: Path) -> None:
    (directory / "journals.yaml").write_text(SPECS)
    (directory / "specs" / "deep").mkdir(parents=True)
    (directory / "specs" / "deep" / "more.yaml").write_text(SPECS.replace("acme/", "more/"))
    lines = "".join(f'{{"id": {n}}}\n' for n in range(20))
    for name in (
        *("orders.ndjson", "batch", "in", "app.log"),
        *("orders.csv", "monday.csv", "tuesday.csv"),
    ):
        (directory / name).write_text(lines)


def wait_stored(directory: Path, env: dict[str, str]) -> None:
    """Wait until brokers tell of a stored fragment of the journal."""
    name = "/".join(directory.parts[-2:])
    listing = f"gazette-journalctl fragments {name} --unpersisted exclude --allow-empty"
    script = f"until {listing} | grep -q . ; do sleep 0.2 ; done"
    subprocess.run(["timeout", "30", "bash", "-c", script], env=env, check=True)


def test_every_example_does_what_it_says(tmp_path: Path) -> None:
    prepare(tmp_path)
    with dev("--brokers", "2") as (_, ready):
        env = {
            **os.environ,
            "BROKER_ADDRESS": ready["brokers"][0],
            "XDG_CONFIG_HOME": str(tmp_path / "config"),
            "ETCD_ADDRESS": ready["etcd"],
            "EDITOR": "true",  # It changes nothing.
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "fragments").symlink_to(ready["file_root"])
        for example in examples():
            if " lake " in example:
                wait_stored(tmp_path / "data" / "fragments" / "acme" / "orders", env)
            follows = " -f --offset" in example or "tail -F" in example
            limit = ["timeout", "-s", "INT", str(FOLLOWING_S if follows else 60)]
            done = subprocess.run(
                [*limit, "bash", "-c", example],
                cwd=tmp_path,
                env=env,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            expected = (0, 124) if follows else (0, 1) if "journalctl diff" in example else (0,)
            assert done.returncode in expected, f"$ {example}\n{done.stdout}{done.stderr}"
            assert "Traceback" not in done.stderr, f"$ {example}\n{done.stderr}"
