"""`journalctl journals fragments`."""

from typing import TYPE_CHECKING

import click

from gazette_py.cli.connection import Broker
from gazette_py.cli.fanout import Outcomes, for_each
from gazette_py.cli.gazctl import messages, table
from gazette_py.cli.gazctl.flags import GazctlVerb, Log, common_options, selector_option
from gazette_py.cli.gazctl.humanize import binary_size, relative_time
from gazette_py.cli.options import duration_option
from gazette_py.cli.selection import Selection
from gazette_py.cli.verb import run
from gazette_py.clock import SYSTEM
from gazette_py.protocol.enums import SuspendLevel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gazette_py.client.client import FragmentPage
    from gazette_py.pb.protocol_pb2 import FragmentsResponse

_TITLES = ("Journal", "Offset", "Length", "Persisted", "SHA1", "Compression")


@click.command(
    "fragments",
    cls=GazctlVerb,
    epilog="""
    journalctl journals fragments -l name=acme/orders
    journalctl journals fragments -l env=prod --url-ttl 1h --format json
    journalctl journals fragments -l env=prod --from 1714564800 --to 1714651200 -o proto
    """,
)
@selector_option(is_required=False)
@click.option(
    "-o",
    "--format",
    "form",
    type=click.Choice(["table", "json", "proto"]),
    default="table",
    show_default=True,
    help="json: one object on a line. proto: each answer of a broker as protobuf text.",
)
@click.option("--from", "begin", type=int, default=0, metavar="UNIX", help="Those stored since.")
@click.option("--to", "end", type=int, default=0, metavar="UNIX", help="Those stored before.")
@duration_option("--url-ttl", help="Add URLs which work for so long.")
@common_options
def command(
    selection: Selection, form: str, begin: int, end: int, url_ttl: float, broker: Broker, log: Log
) -> None:
    """List the fragments of the journals selected, but for those which are fully suspended.

    --from and --to are Unix seconds, of when stores took the files.
    """
    del log  # There is nothing to tell.
    outcomes = run(_fragments(selection, begin, end, url_ttl, broker))
    responses = [_response(pages) for pages in outcomes.results.values()]
    match form:
        case "json":
            for response in responses:
                for fragment in response.fragments:
                    click.echo(messages.json_of(fragment))
        case "proto":
            for response in responses:
                click.echo(messages.text_of(response), nl=False)
        case _:
            click.echo(_table(responses, with_urls=url_ttl != 0), nl=False)
    outcomes.raise_errors()


async def _fragments(
    selection: Selection, begin: int, end: int, url_ttl_s: float, broker: Broker
) -> "Outcomes[list[FragmentPage]]":
    async with broker.connect() as client:
        journals = (await selection.list(client)).journals

        async def pages(name: str) -> "list[FragmentPage]":
            found = client.fragment_pages(
                name, begin_mod_time=begin, end_mod_time=end, url_ttl_s=url_ttl_s
            )
            return [page async for page in found]

        served = [j.spec.name for j in journals if j.spec.suspend.level is not SuspendLevel.FULL]
        return await for_each(served, pages)


def _response(pages: "Iterable[FragmentPage]") -> "FragmentsResponse":
    """Return the pages of a journal as one answer, with the header of the first."""
    from gazette_py.pb import protocol_pb2 as pb
    from gazette_py.protocol import convert

    pages = list(pages)
    response = pb.FragmentsResponse(header=convert.header_to_pb(pages[0].header))
    for page in pages:
        for entry in page.fragments:
            response.fragments.add(
                spec=convert.fragment_to_pb(entry.fragment), signed_url=entry.url
            )
    return response


def _table(responses: "Iterable[FragmentsResponse]", *, with_urls: bool) -> str:
    from gazette_py.protocol import convert

    now = SYSTEM.now()
    rows = []
    for response in responses:
        for entry in response.fragments:
            fragment = convert.fragment_from_pb(entry.spec)
            row = [
                fragment.journal,
                str(fragment.begin),
                binary_size(fragment.length),
                relative_time(fragment.mod_time, now) if fragment.mod_time else "",
                f"{fragment.sum[:6].hex()}...",
                fragment.compression_codec.name,
            ]
            rows.append([*row, entry.signed_url] if with_urls else row)
    return table.draw([*_TITLES, "URL"] if with_urls else _TITLES, rows)
