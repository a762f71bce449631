"""`journalctl read`: print the content of journals, and follow them."""

import sys
from functools import partial
from pathlib import Path

import click

from gazette_py.cli import record_formats
from gazette_py.cli.connection import Broker, broker_options
from gazette_py.cli.errors import usage
from gazette_py.cli.offsets_file import load_offsets, set_aside
from gazette_py.cli.options import duration_option, parsed_by, time_option
from gazette_py.cli.printing import Window
from gazette_py.cli.progress import Progress, no_progress_option
from gazette_py.cli.reading import Reading, Start, parse_start
from gazette_py.cli.selection import Selection, selection_options
from gazette_py.cli.sinks import Rotation, open_sink, parse_rotation
from gazette_py.cli.verb import Verb, run
from gazette_py.clock import SYSTEM
from gazette_py.message.framings import FRAMINGS

_DIRECT_CACHE_SIZE = 256


@click.command(
    "read",
    cls=Verb,
    epilog="""
    journalctl read acme/orders
    journalctl read acme/orders --offset=-4096
    journalctl read acme/orders -f --offset end
    journalctl read -l env=prod -n 10 -o json-envelope
    journalctl read acme/orders --since -1h --until -10m --framing lines
    journalctl read acme/ --offsets-out at.json --to out.ndjson
    journalctl read acme/ --offsets at.json --offsets-out at.json --to next.ndjson
    journalctl read acme/orders --framing lines --to orders.ndjson --rotate 64MiB
    journalctl read acme/orders -n 3 --format '%j %o %t %v\\n'
    """,
)
@selection_options
@click.option(
    "--offset",
    "--from-offset",
    "start",
    callback=parsed_by(parse_start),
    default="beginning",
    show_default=True,
    metavar="beginning|end|stored|N|-N",
    help="Where to begin, unless --offsets tells; -N: so many bytes before the end, with a whole"
    " record.",
)
@time_option(
    "--since",
    help="Skip what is older (-1h, a time): by the clocks of messages where records are printed,"
    " else by when fragments were stored.",
)
@time_option("--until", help="Skip what is younger, or of that age, likewise.")
@click.option("-f", "--follow", is_flag=True, help="Go on as journals grow, and new ones match.")
@click.option("-e", "--exit-at-end", is_flag=True, help="Exit at the end, as without --follow.")
@click.option("-n", "--count", type=click.IntRange(min=1), help="Exit after so many records.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["raw", "jsonl", "json-envelope", "hexdump"]),
    default="raw",
    show_default=True,
    help="raw: bytes. jsonl: records, one on a line. json-envelope: with journal, offsets, and what"
    " their UUIDs say.",
)
@click.option(
    "--format",
    "template",
    metavar="TEMPLATE",
    help="Print records by %j %o %e %v: journal, offset, end, the record; and %u %p %c %t %f: its"
    " UUID, and of that the producer, the clock, as a time, and the flags.",
)
@click.option(
    "--framing",
    type=click.Choice([*FRAMINGS, "none"]),
    help="What a record is. Default: as the content type of the journal says, else lines. If it is"
    " given, raw content is printed by whole records, too.",
)
@click.option("--to", metavar="FILE", default="", help="Write to a file, and not append to it.")
@click.option(
    "--rotate",
    callback=parsed_by(parse_rotation),
    metavar="SIZE|DURATION",
    help="Begin another file once one is so long, or so old: of --to FILE.csv, FILE-000001.csv and"
    " on, after those which are there. A record, or raw a fragment, is in one file.",
)
@click.option("--offsets", "offsets_in", type=Path, help="File of offsets to begin from.")
@click.option("--offsets-out", type=Path, help="File to write offsets to, at the end.")
@duration_option("--commit-every", help="Also write it so often.")
@click.option("--file-root", default="", help="Directory of file:// stores, to read them here.")
@click.option("--no-proxy", is_flag=True, help="Read stored fragments from the store, not brokers.")
@click.option(
    "--wait-for-match/--no-wait-for-match",
    default=True,
    show_default=True,
    help="With --follow: begin also if no journal matches yet.",
)
@no_progress_option
@broker_options
def command(
    selection: Selection,
    start: Start,
    since: int,
    until: int,
    follow: bool,
    exit_at_end: bool,
    count: int | None,
    output: str,
    template: str | None,
    framing: str | None,
    to: str,
    rotate: Rotation | None,
    offsets_in: Path | None,
    offsets_out: Path | None,
    commit_every: float,
    file_root: str,
    no_proxy: bool,
    wait_for_match: bool,
    no_progress: bool,
    broker: Broker,
) -> None:
    """Print the content of journals, from the beginning to the end as it is now.

    Content of several journals is never mixed within an append. Records, which are counted and
    formatted, are lines, rows of CSV or frames with a fixed header. Journals which are fully
    suspended are left out.
    """
    selection.require()
    if follow and exit_at_end:
        raise usage("--exit-at-end", "it contradicts --follow", "Give one of them.")
    if start.must_be_stored and offsets_in is None:
        raise usage("--offset stored", "no file of offsets was given", "Name one by --offsets.")
    if rotate is not None and not to:
        raise usage("--rotate", "there is no file to begin another after", "Name one by --to.")
    if until and since >= until:
        raise usage("--until", "it is not after --since", "Times are like -1h, or 2024-05-01.")
    if until and follow and until <= SYSTEM.now():
        raise usage("--until", "it is past: there is nothing to follow", "Leave out --follow.")
    format_record = _record_format(output, template, framing, has_count=count is not None)
    offsets = load_offsets(offsets_in) if offsets_in else {}
    make = partial(
        Reading,
        start=start,
        window=Window(since=since, until=until),
        framing=framing or "",
        format_chunk=record_formats.hex_dump if output == "hexdump" else None,
        format_record=format_record,
        count_max=count or 0,
        offsets=offsets,
        offsets_path=offsets_out,
        save_interval_s=commit_every,
        is_following=follow,
    )
    cache_size = _DIRECT_CACHE_SIZE if no_proxy else None
    is_printed_there = not to and sys.stdout.isatty()
    must_match = not (follow and wait_for_match)

    async def read() -> None:
        async with broker.connect(file_root=file_root, cache_size=cache_size) as client:
            journals = (await selection.list(client)).journals if must_match else ()
            sink = open_sink(to, rotate)
            try:
                if offsets_in and offsets_in == offsets_out:
                    set_aside(offsets_in)
                # What is printed on the terminal tells how it goes.
                with Progress.on_terminal(hidden=no_progress or is_printed_there) as progress:
                    reading = make(client=client, sink=sink, progress=progress)
                    await reading.run(selection.label_selector(), list(journals))
            finally:
                sink.close()

    run(read())


def _record_format(
    output: str, template: str | None, framing: str | None, *, has_count: bool
) -> record_formats.RecordFormat | None:
    """Return how records are printed; None if content is printed as it comes."""
    if template is not None and output != "raw":
        raise usage("--format", f"it contradicts -o {output}", "Give one of them.")
    formats = {"jsonl": record_formats.json_line, "json-envelope": record_formats.envelope}
    chosen = record_formats.template(template) if template is not None else formats.get(output)
    has_framing = framing is not None and framing != "none"
    if chosen is None and (has_count or has_framing) and output == "raw":
        chosen = record_formats.raw
    if has_count and chosen is None:
        raise usage("--count", f"-o {output} has no records", "Use another format with it.")
    if chosen is not None and framing == "none":
        raise usage("--framing none", "there are no records then", "Use lines, csv or fixed.")
    return chosen
