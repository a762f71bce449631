"""`journalctl tree`: the hierarchy of journals' names, with counts and sizes."""

from typing import TYPE_CHECKING, Any

import click

from gazette_py.cli.completing import complete_journals
from gazette_py.cli.connection import Broker, broker_options
from gazette_py.cli.errors import no_match, usage
from gazette_py.cli.fanout import Outcomes, for_each
from gazette_py.cli.hierarchy import Place, hierarchy, lines
from gazette_py.cli.options import output_options
from gazette_py.cli.progress import counted
from gazette_py.cli.quantities import format_size
from gazette_py.cli.render import Column, Output
from gazette_py.cli.selection import Selection
from gazette_py.cli.verb import Verb, run
from gazette_py.protocol.enums import SuspendLevel

if TYPE_CHECKING:
    from gazette_py.client.client import Client

_DEPTH_MAX = 1 << 30


@click.command(
    "tree",
    cls=Verb,
    epilog="""
    journalctl tree
    journalctl tree acme/ --depth 1
    journalctl tree --no-sizes -o name
    journalctl tree -o json --query 'items[?journals > `1`].name'
    """,
)
@click.argument("prefix", default="", metavar="[PREFIX]", shell_complete=complete_journals)
@click.option("--depth", type=click.IntRange(min=1), help="Show no more levels than these.")
@click.option(
    "--sizes/--no-sizes",
    default=True,
    show_default=True,
    help="Ask for the fragments of each journal.",
)
@output_options()
@broker_options
def command(prefix: str, depth: int | None, sizes: bool, output: Output, broker: Broker) -> None:
    """Show the hierarchy of journals' names, all of it or below a directory.

    Each line tells how many journals are there or below, and how many bytes of content they have,
    stored or not yet. Journals which are fully suspended count with what was written to them.
    """
    if prefix and not prefix.endswith("/"):
        raise usage(f"prefix {prefix}", "the name of a directory ends in '/'", f"Try {prefix}/.")
    outcomes = run(_sizes(broker, prefix, with_sizes=sizes))
    known: dict[str, int | None] = {**outcomes.results, **dict.fromkeys(outcomes.errors)}
    root = hierarchy(known, prefix)
    shown = lines(root, depth or _DEPTH_MAX)
    items = [_item(place) for place in shown if place.name]
    columns = [column for column in _COLUMNS if sizes or column.title != "SIZE"]
    if output.effective_format == "table":
        columns[0] = _INDENTED
    output.print_items("PlaceList", items, columns)
    click.echo(f"{root.journals} journals{_total(root) if sizes else ''}.", err=True)
    outcomes.raise_errors()


async def _sizes(broker: Broker, prefix: str, *, with_sizes: bool) -> Outcomes[int]:
    async with broker.connect() as client:
        selection = Selection(names=(prefix,) if prefix else (), selector=None, allow_empty=True)
        journals = {
            j.spec.name: j for j in (await client.list(selection.label_selector())).journals
        }
        if prefix and not journals:
            raise no_match(f"journal {prefix}", "no journal is below this name")
        if not with_sizes:
            return Outcomes(dict.fromkeys(journals, 0))
        with counted("journals", len(journals)) as meter:

            async def size_of(name: str) -> int:
                suspend = journals[name].spec.suspend
                is_away = suspend.level is SuspendLevel.FULL
                size = suspend.offset if is_away else await _size(client, name)
                meter.advance()
                return size

            return await for_each(journals, size_of)


async def _size(client: "Client", journal: str) -> int:
    """Return how many bytes of content the journal's fragments have, each counted once."""
    size = end = 0
    async for listed in client.fragments(journal):
        fragment = listed.fragment
        size += max(0, fragment.end - max(fragment.begin, end))
        end = max(end, fragment.end)
    return size


def _item(place: Place) -> dict[str, Any]:
    return {
        "name": place.name,
        "depth": place.depth,
        "is_directory": place.is_directory,
        "journals": place.journals,
        "size": place.size,
    }


def _total(root: Place) -> str:
    return "" if root.size is None else f", {format_size(root.size)}"


def _indented(item: Any) -> str:
    """Return the last part of the name, below the parts before it; the root's is whole."""
    name, depth = str(item["name"]), int(item["depth"])
    if depth == 0:
        return name
    last = name.removesuffix("/").rpartition("/")[2]
    return "  " * (depth - 1) + last + ("/" if name.endswith("/") else "")


def _show_size(value: object) -> str:
    return "?" if value == "" else format_size(int(str(value)))


_COLUMNS = (
    Column("NAME", lambda item: item["name"]),
    Column("JOURNALS", lambda item: item["journals"]),
    Column("SIZE", lambda item: "" if item["size"] is None else item["size"], _show_size),
)
_INDENTED = Column("NAME", _indented)
