"""`journalctl diff`: what applying files would change."""

from collections.abc import Iterator
from difflib import unified_diff
from typing import Any

import click

from gazette_py.cli.changes import Action, Planned, Revisions, plan
from gazette_py.cli.connection import Broker, broker_options
from gazette_py.cli.errors import ExitCode
from gazette_py.cli.planning import current_journals, read_entries
from gazette_py.cli.render import print_json_line
from gazette_py.cli.tree_fields import spec_fields
from gazette_py.cli.verb import Verb, run
from gazette_py.protocol.journal import JournalSpec


@click.command(
    "diff",
    cls=Verb,
    epilog="""
    journalctl diff -f journals.yaml
    journalctl diff -f specs/ -R -o jsonl
    journalctl list acme/ -o yaml | sed 's/replication: 1/replication: 3/' | journalctl diff -f -
    """,
)
@click.option(
    "-f",
    "--file",
    "files",
    multiple=True,
    required=True,
    metavar="FILE|DIR|-",
    help="What would be applied.",
)
@click.option("-R", "--recursive", is_flag=True, help="Also files deeper in directories.")
@click.option(
    "--preserve-suspend/--no-preserve-suspend",
    default=True,
    show_default=True,
    help="Keep journals suspended where the file does not tell.",
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["diff", "jsonl"]),
    default="diff",
    show_default=True,
    help="diff: unified, of YAML. jsonl: each field which changes, with its old and new value.",
)
@broker_options
def command(
    files: tuple[str, ...], recursive: bool, preserve_suspend: bool, output: str, broker: Broker
) -> None:
    """Print what applying YAML files would change, and change nothing.

    Ends with 1 if there is a difference, and 0 if there is none. Revisions in the files are
    ignored.
    """
    entries = read_entries(files, recursive=recursive)

    async def compare() -> list[tuple[JournalSpec | None, Planned]]:
        async with broker.connect() as client:
            current = await current_journals(client, [entry.spec.name for entry in entries])
        planned = plan(entries, current, Revisions.UPSERT, preserve_suspend=preserve_suspend)
        found = {name: journal.spec for name, journal in current.items()}
        return [(found.get(change.spec.name), change) for change in planned]

    changes = [pair for pair in run(compare()) if pair[1].action is not Action.UNCHANGED]
    for current, change in changes:
        if output == "jsonl":
            for item in _field_changes(current, change):
                print_json_line(item)
        else:
            click.echo("".join(_diff(current, change)), nl=False)
    if changes:
        click.get_current_context().exit(ExitCode.ERROR)


def _specs(current: JournalSpec | None, change: Planned) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the fields before and after; none where there is no journal."""
    before = spec_fields(current) if current is not None else {}
    after = {} if change.action is Action.DELETED else spec_fields(change.spec)
    return before, after


def _diff(current: JournalSpec | None, change: Planned) -> Iterator[str]:
    before, after = (_yaml_lines(fields) for fields in _specs(current, change))
    name = change.spec.name
    names = (name if before else "/dev/null", name if after else "/dev/null")
    color = {"-": "red", "+": "green", "@": "cyan"}
    for line in unified_diff(before, after, *names):
        # Colours go to terminals only: `echo` takes them out elsewhere.
        yield click.style(line, fg=color.get(line[0]))


def _yaml_lines(fields: dict[str, Any]) -> list[str]:
    import yaml

    if not fields:
        return []
    return yaml.safe_dump(fields, sort_keys=False).splitlines(keepends=True)


def _field_changes(current: JournalSpec | None, change: Planned) -> Iterator[dict[str, Any]]:
    before, after = (_flat(fields) for fields in _specs(current, change))
    op = {Action.CREATED: "create", Action.DELETED: "delete"}.get(change.action, "update")
    for path in dict.fromkeys((*before, *after)):
        if before.get(path) != after.get(path):
            yield {
                "name": change.spec.name,
                "op": op,
                "path": path,
                "old": before.get(path),
                "new": after.get(path),
            }


def _flat(fields: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return fields by their paths, such as fragment.length."""
    found: dict[str, Any] = {}
    for key, value in fields.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found
