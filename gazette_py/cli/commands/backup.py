"""`journalctl backup`: what etcd alone knows of journals, in a file.

It changes nothing. For registers it asks each journal's brokers by an append without content.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gazette_py.cli.connection import Broker, broker_options
from gazette_py.cli.fanout import for_each
from gazette_py.cli.progress import counted
from gazette_py.cli.selection import Selection, selection_options
from gazette_py.cli.tree import Entry
from gazette_py.cli.verb import Verb, run
from gazette_py.cli.whole_file import write_whole
from gazette_py.clock import SYSTEM
from gazette_py.errors import GazetteError
from gazette_py.protocol.enums import AppendSuspend, SuspendLevel

if TYPE_CHECKING:
    from gazette_py.cli.backup_file import JournalState
    from gazette_py.client.client import Client
    from gazette_py.client.listing import ListedJournal, ListResult


@click.command(
    "backup",
    cls=Verb,
    epilog="""
    journalctl backup --to backup.yaml
    journalctl backup -l env=prod --no-registers --to prod.yaml
    journalctl backup --format json | gzip > backup.json.gz
    """,
)
@selection_options
@click.option(
    "--to",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write this file, all at once, rather than standard output.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["yaml", "json"]),
    help="Default: as the name of the file ends, else yaml.",
)
@click.option(
    "--registers/--no-registers",
    default=True,
    show_default=True,
    help="Ask brokers for the registers and the write head of each journal.",
)
@broker_options
def command(
    selection: Selection, to: Path | None, form: str | None, registers: bool, broker: Broker
) -> None:
    """Write the specs of journals, with their suspensions, for `journalctl restore`.

    Without NAME or -l, of all journals which we may see. `apply` and `diff` read the file, too.
    Registers and write heads are those of the moment; a journal whose brokers do not answer is
    named, and its spec is in the file nevertheless. Content is in stores, and in none of this.
    """
    from gazette_py.cli.backup_file import backup_text

    result, states = run(_backup(selection, broker, asks=registers))
    header = result.header.etcd
    text = backup_text(
        [Entry(spec=journal.spec, revision=journal.mod_revision) for journal in result.journals],
        states,
        made=datetime.fromtimestamp(SYSTEM.now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        etcd={"cluster_id": f"{header.cluster_id:016x}", "revision": header.revision},
        form=form or ("json" if to is not None and to.suffix == ".json" else "yaml"),
    )
    if to is None:
        click.echo(text, nl=False)
    else:
        write_whole(to, text)
    for state in states:
        if state.problem:
            click.echo(f"warning: registers of {state.name}: {state.problem}", err=True)
    click.echo(f"{len(result.journals)} journals are in the backup.", err=True)


async def _backup(
    selection: Selection, broker: Broker, *, asks: bool
) -> "tuple[ListResult, list[JournalState]]":
    async with broker.connect() as client:
        result = await selection.list(client)
        if not asks:
            return result, []
        by_name = {journal.spec.name: journal for journal in result.journals}
        with counted("journals asked", len(by_name)) as shown:

            async def ask(name: str) -> "JournalState":
                state = await _state(client, by_name[name])
                shown.advance()
                return state

            asked = await for_each(by_name, ask)
    assert not asked.errors, "errors are part of a state"
    return result, list(asked.results.values())


async def _state(client: "Client", journal: "ListedJournal") -> "JournalState":
    from gazette_py.cli.backup_file import JournalState

    spec = journal.spec
    if spec.suspend.level is SuspendLevel.FULL:  # Nobody serves it: it has no registers.
        return JournalState(name=spec.name, head=spec.suspend.offset)
    try:
        # Not repeated: one journal in trouble shall not hold up the others.
        done = await client.append(spec.name, suspend=AppendSuspend.KEEP, retry=False)
    except GazetteError as exc:
        problem = str(exc)
    else:
        return JournalState(name=spec.name, head=done.commit.end, registers=done.registers)
    try:
        return JournalState(
            name=spec.name, head=await client.write_head(spec.name), problem=problem
        )
    except GazetteError:
        return JournalState(name=spec.name, problem=problem)
