"""`journalctl diff`: what applying files would change."""

import click

from gazette_py.cli.changes import Action, Planned, Revisions
from gazette_py.cli.connection import Broker, broker_options
from gazette_py.cli.errors import ExitCode
from gazette_py.cli.planning import plan_changes, read_entries
from gazette_py.cli.render import print_json_line
from gazette_py.cli.spec_diff import diff_text, field_changes
from gazette_py.cli.verb import Verb, run


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

    async def compare() -> list[Planned]:
        async with broker.connect() as client:
            return await plan_changes(
                client, entries, Revisions.UPSERT, preserve_suspend=preserve_suspend
            )

    changes = [change for change in run(compare()) if change.action is not Action.UNCHANGED]
    for change in changes:
        if output == "jsonl":
            for item in field_changes(change):
                print_json_line(item)
        else:
            click.echo(diff_text(change), nl=False)
    if changes:
        click.get_current_context().exit(ExitCode.ERROR)
