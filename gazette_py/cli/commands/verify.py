"""`journalctl verify`: compare stored fragments with their names, and find what is missing."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from gazette_py.cli.connection import Broker, broker_options
from gazette_py.cli.errors import ExitCode, usage
from gazette_py.cli.options import output_options
from gazette_py.cli.progress import Progress, no_progress_option
from gazette_py.cli.quantities import format_size
from gazette_py.cli.render import Column, Output
from gazette_py.cli.selection import Selection, selection_options
from gazette_py.cli.verb import Verb, run

if TYPE_CHECKING:
    from gazette_py.lake.verify import Counts, Finding

_COLUMNS = (
    Column("JOURNAL", lambda item: item["journal"]),
    Column("KIND", lambda item: item["kind"]),
    Column("BEGIN", lambda item: item["begin"]),
    Column("END", lambda item: item["end"]),
    Column("DETAIL", lambda item: item["detail"]),
)


@click.command(
    "verify",
    cls=Verb,
    epilog="""
    journalctl verify acme/orders --file-root data/fragments
    journalctl verify acme/ --file-root data/fragments --no-content    # names alone
    journalctl verify acme/orders --store file:/// --file-root data/fragments -o jsonl
    """,
)
@selection_options
@click.option("--file-root", default="", help="Directory of file:// stores, as it is here.")
@click.option(
    "--store",
    "stores",
    multiple=True,
    metavar="URL",
    help="Look into this store, and ask no broker. Journals are named one by one.",
)
@click.option(
    "--content/--no-content",
    default=True,
    show_default=True,
    help="Read each file, and compare it with the SHA-1 of its name.",
)
@no_progress_option
@output_options()
@broker_options
def command(
    selection: Selection,
    file_root: str,
    stores: tuple[str, ...],
    content: bool,
    no_progress: bool,
    output: Output,
    broker: Broker,
) -> None:
    """Compare the stored fragments of journals with their names, and find what is missing.

    Kinds of findings: corrupt (a file is not what its name says), unreadable (the store does not
    give it), conflict (files of the same offsets differ), gap (offsets which no file has: lost,
    unless brokers still hold them), and overlap (files have the same offsets, which is no damage).

    Files are read from here, with credentials of our environment. Ends with 8 if there is damage.
    """
    from gazette_py.lake.verify import Counts

    selection.require()
    if stores and (selection.selector is not None or any(n.endswith("/") for n in selection.names)):
        raise usage("journals", "a store cannot tell which there are", "Name each journal in full.")

    counts = Counts()
    with Progress.on_terminal(hidden=no_progress) as progress:
        meter = progress.meter("verifying")
        counts.tell = lambda: meter.move(counts.content_bytes, counts.listed_bytes)
        items = run(_verify(selection, stores, file_root, broker, counts, reads=content))
    output.print_items("FindingList", items, _COLUMNS, name="journal")
    damage = sum(item["is_damage"] for item in items)
    if counts.skipped:
        click.echo(
            f"{counts.skipped} objects are no fragments, by their names: `journalctl store ls"
            " --orphans` lists them.",
            err=True,
        )
    read = f", {format_size(counts.content_bytes)} read" if content else ""
    click.echo(f"{counts.files} files{read}: {damage or 'no'} damage found.", err=True)
    if damage:
        click.get_current_context().exit(ExitCode.UNHEALTHY)


async def _verify(
    selection: Selection,
    stores: Sequence[str],
    file_root: str,
    broker: Broker,
    counts: "Counts",
    *,
    reads: bool,
) -> list[dict[str, Any]]:
    from gazette_py.lake import Lake
    from gazette_py.lake.verify import verify

    stores_of = await _stores_of(selection, stores, broker)
    urls = dict.fromkeys(url for found in stores_of.values() for url in found)
    lakes = {url: Lake(url, file_root=file_root) for url in urls}
    items: list[dict[str, Any]] = []
    try:
        for journal, found in stores_of.items():
            findings = verify(
                [lakes[url] for url in found], journal, list(stores_of), reads=reads, counts=counts
            )
            items += [_item(finding) async for finding in findings]
    finally:
        for lake in lakes.values():
            await lake.close()
    return items


def _item(finding: "Finding") -> dict[str, Any]:
    return asdict(finding) | {"is_damage": finding.is_damage}


async def _stores_of(
    selection: Selection, stores: Sequence[str], broker: Broker
) -> Mapping[str, Sequence[str]]:
    """Return the stores of each journal."""
    if stores:
        return dict.fromkeys(selection.names, stores)
    async with broker.connect() as client:
        listed = (await selection.list(client)).journals
    return {journal.spec.name: journal.spec.fragment.stores for journal in listed}
