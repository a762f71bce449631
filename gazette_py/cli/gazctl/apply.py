"""`journalctl journals apply`.

As gazctl, it sends what the file says, without a look at what there is: also what changes nothing,
which gets a new revision by that.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from gazette_py.cli.connection import Broker
from gazette_py.cli.gazctl.flags import GazctlVerb, Log, changing_options, txn_size_option
from gazette_py.cli.planning import check_revisions_of_deletions, read_entries
from gazette_py.cli.tree import Entry
from gazette_py.cli.verb import run

if TYPE_CHECKING:
    from gazette_py.client.change import Change


@click.command(
    "apply",
    cls=GazctlVerb,
    epilog="""
    journalctl journals apply --specs journals.yaml --dry-run
    journalctl journals list -l env=prod -o yaml | journalctl journals apply --max-txn-size 100
    sed s/acme/moved/ journals.yaml | journalctl journals apply --log.level=info
    """,
)
@click.option("--specs", metavar="FILE|-", default="-", show_default=True, help="What to apply.")
@click.option("--dry-run", is_flag=True, help="Print the request as protobuf text, and send none.")
@txn_size_option
@changing_options
def command(specs: str, dry_run: bool, max_txn_size: int, broker: Broker, log: Log) -> None:
    """Create, update and delete journals, as one tree of them in YAML says.

    A journal must be at the revision in the file; without one it must not exist; -1 is any.
    `delete: true` deletes. Nothing is printed if it succeeds, but with --log.level=info.
    """
    entries = read_entries([specs], recursive=False)
    check_revisions_of_deletions(entries)
    changes = _changes(entries)
    if dry_run:
        _print_request(changes)
        return
    size = max_txn_size or max(1, len(changes))

    async def send() -> None:
        async with broker.connect() as client:
            for at in range(0, len(changes), size):
                revision = await client.apply(changes[at : at + size])
                log.info("successfully applied", revision=revision)

    run(send())


def _changes(entries: Sequence[Entry]) -> "list[Change]":
    from gazette_py.client.change import Change

    return [
        Change(expect_mod_revision=entry.revision, delete=entry.spec.name)
        if entry.delete
        else Change(expect_mod_revision=entry.revision, upsert=entry.spec)
        for entry in entries
    ]


def _print_request(changes: "Sequence[Change]") -> None:
    from gazette_py.cli.gazctl import messages
    from gazette_py.client.change import change_to_pb
    from gazette_py.pb import protocol_pb2 as pb

    request = pb.ApplyRequest(changes=[change_to_pb(change) for change in changes])
    click.echo(messages.text_of(request), nl=False)
