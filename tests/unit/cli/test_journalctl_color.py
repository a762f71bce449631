"""Color: on terminals, and where it is asked for."""

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from terminals import shown, started

from gazette_py.cli.journalctl import cli
from gazette_py.testing import InProcessCluster

RED, GREEN, BOLD = "\x1b[31m", "\x1b[32m", "\x1b[1m"
SPEC = """\
name: hue/new
replication: 1
fragment: {length: 65536, compression_codec: NONE, stores: ['file:///'], refresh_interval: 1m}
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[InProcessCluster]:
    with InProcessCluster() as cluster:
        cluster.create("hue/journal")
        yield cluster


@pytest.mark.parametrize(
    ("args", "env", "expected"),
    [
        ((), {}, True),
        (("--color", "auto"), {}, True),
        (("--color", "never"), {}, False),
        ((), {"NO_COLOR": "1"}, False),
        ((), {"NO_COLOR": ""}, True),  # As its convention has it.
        ((), {"TERM": "dumb"}, False),
        (("--color", "always"), {"NO_COLOR": "1", "TERM": "dumb"}, True),
    ],
)
def test_terminals_show_color_unless_it_is_not_wanted(
    cluster: InProcessCluster, args: tuple[str, ...], env: dict[str, str], expected: bool
) -> None:
    seen = shown("describe", "hue/journal", *args, "--broker.address", cluster.address, env=env)

    assert "hue/journal" in seen
    assert (f"{BOLD}hue/journal" in seen) is expected
    assert ("\x1b" in seen) is expected


@pytest.mark.parametrize(("args", "expected"), [((), False), (("--color", "always"), True)])
def test_pipes_have_color_only_if_it_is_asked_for(
    cluster: InProcessCluster, tmp_path: Path, args: tuple[str, ...], expected: bool
) -> None:
    (tmp_path / "spec.yaml").write_text(SPEC)
    command = ("diff", "-f", str(tmp_path / "spec.yaml"), *args)
    with started(*command, "--broker.address", cluster.address) as process:
        out = process.communicate()[0].decode()

    assert "+name: hue/new" in out.replace(GREEN, "")
    assert (GREEN in out) is expected


def test_people_see_what_is_changed_before_it_is(cluster: InProcessCluster, tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(SPEC.replace("new", "seen"))
    apply = ("apply", "-f", str(tmp_path / "spec.yaml"), "--broker.address", cluster.address)
    label = ("label", "-l", "name=hue/seen", "env=prod", "--broker.address", cluster.address)

    for command, line in ((apply, "+name: hue/seen"), (label, "+  value: prod")):
        seen = click.unstyle(shown(*command)).replace("\r", "")
        assert f"\n{line}\n" in seen
        assert seen.index(line) < seen.rindex("hue/seen")
    (tmp_path / "spec.yaml").write_text(SPEC.replace("new", "piped"))
    with started(*apply) as process:
        out, err = process.communicate()
    assert b"+name" not in out + err


def test_every_command_has_the_option() -> None:
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        for verb in getattr(command, "commands", {"": command}).values():
            assert "--color" in {opt for param in verb.params for opt in param.opts}
