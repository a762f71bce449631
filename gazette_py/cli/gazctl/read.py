"""`journalctl journals read`."""

from pathlib import Path

import click

from gazette_py.cli.connection import Broker
from gazette_py.cli.errors import TerminatedError
from gazette_py.cli.gazctl.flags import GazctlVerb, Log, common_options, selector_option
from gazette_py.cli.offsets_file import load_offsets, set_aside
from gazette_py.cli.printing import Window
from gazette_py.cli.reading import Reading, Start
from gazette_py.cli.selection import Selection
from gazette_py.cli.sinks import open_sink
from gazette_py.cli.verb import run


@click.command(
    "read",
    cls=GazctlVerb,
    epilog="""
    journalctl journals read -l name=acme/orders
    journalctl journals read -l env=prod -o out.ndjson --offsets-out at.json
    journalctl journals read -l env=prod -o out.ndjson --offsets at.json --offsets-out at.json
    """,
)
@selector_option()
@click.option("-b", "--block", is_flag=True, help="Go on as journals grow, until a signal.")
@click.option("--tail", is_flag=True, help="Begin at the write heads, where --offsets has none.")
@click.option("-o", "--output", "path", metavar="FILE|-", default="-", help="File to write.")
@click.option("--offsets", "offsets_in", type=Path, help="File of offsets to begin from.")
@click.option("--offsets-out", type=Path, help="File to write offsets to, at the end.")
@click.option("--file-root", default="", help="Directory of file:// stores, to read them here.")
@click.option(
    "--from", "since", type=int, default=0, metavar="UNIX", help="Skip fragments stored before."
)
@common_options
def command(
    selection: Selection,
    block: bool,
    tail: bool,
    path: str,
    offsets_in: Path | None,
    offsets_out: Path | None,
    file_root: str,
    since: int,
    broker: Broker,
    log: Log,
) -> None:
    """Print the content of the journals selected, to their ends, or with --block until a signal.

    SIGINT and SIGTERM end it in order, with exit code 0. --block waits if no journal matches yet.
    With --broker.cache.size, stored fragments are read from their stores.
    """
    offsets = load_offsets(offsets_in) if offsets_in else {}
    if offsets_in and offsets_in == offsets_out:
        set_aside(offsets_in)

    async def read() -> None:
        async with broker.connect(file_root=file_root) as client:
            journals = [] if block else list((await selection.list(client)).journals)
            if not journals and not block:
                log.warning("no journals were matched by the selector")
            sink = open_sink("" if path == "-" else path)
            try:
                reading = Reading(
                    client=client,
                    sink=sink,
                    start=Start(offset=-1 if tail else 0),
                    window=Window(since=since),
                    offsets=offsets,
                    offsets_path=offsets_out,
                    is_following=block,
                )
                await reading.run(selection.label_selector(), journals)
            finally:
                sink.close()
        for name, offset in sorted(offsets.items()):
            log.info("read finished", journal=name, offset=offset)

    try:
        run(read())
    except (KeyboardInterrupt, TerminatedError):
        log.info("read was signaled")
