"""`journalctl journals append`."""

import click

from gazette_py.cli.appending import Appending, Batching
from gazette_py.cli.byte_input import open_input
from gazette_py.cli.connection import Broker
from gazette_py.cli.errors import usage
from gazette_py.cli.gazctl.flags import GazctlVerb, Log, changing_options, selector_option
from gazette_py.cli.routing import MAPPINGS, Router, pick
from gazette_py.cli.selection import Selection
from gazette_py.cli.verb import run
from gazette_py.message.framings import splitter_of
from gazette_py.message.serdes import serde_of

_BATCH_BYTES_MAX = 4 << 20
_LINGER_S = 0.05


@click.command(
    "append",
    cls=GazctlVerb,
    epilog="""
    journalctl journals append -l name=acme/orders -i orders.ndjson
    journalctl journals append -l topic=orders --framing lines --mapping random < orders.ndjson
    printf 'key\\nrecord\\n' | journalctl journals append -l topic=orders -f lines -m modulo
    """,
)
@selector_option()
@click.option("-i", "--input", "source", metavar="FILE|-", default="-", help="What to append.")
@click.option(
    "-f",
    "--framing",
    type=click.Choice(["none", "lines", "fixed"]),
    default="none",
    show_default=True,
    help="none: all of it in one append. Else records, each whole; neighbours share appends.",
)
@click.option(
    "-m",
    "--mapping",
    type=click.Choice(MAPPINGS),
    default="random",
    show_default=True,
    help="How a record's journal is chosen. But for random, its key precedes it, framed alike;"
    " direct: the key is the journal's name.",
)
@click.option("--base64", "is_base64", is_flag=True, help="Keys are base64, framed as lines.")
@changing_options
def command(
    selection: Selection,
    source: str,
    framing: str,
    mapping: str,
    is_base64: bool,
    broker: Broker,
    log: Log,
) -> None:
    """Append a file, or standard input, to a random journal of those selected, or to all of them.

    Nothing is printed if it succeeds, but with --log.level=debug.
    """
    if framing == "none" and mapping != "random":
        raise usage("--mapping", f"{mapping} is for records", "Give --framing lines or fixed.")
    if is_base64 and (framing != "lines" or mapping == "random"):
        raise usage("--base64", "it is for keys which are lines", "Give --framing and --mapping.")
    must_match = Selection(names=(), selector=selection.selector, allow_empty=False)

    async def append() -> None:
        async with broker.connect() as client:
            journals = [j.spec.name for j in (await must_match.list(client)).journals]
            work = Appending(
                client=client,
                timeout_s=broker.timeout_s,
                tell=lambda item: log.debug("append response", **item),
            )
            with open_input(source) as data:
                if framing == "none":
                    await work.whole(journals[pick(len(journals))], data)
                    return
                splitter = splitter_of(framing)
                router = Router(
                    journals,
                    mapping,
                    splitter=splitter,
                    serde=serde_of(framing),
                    pick=pick,
                    is_base64=is_base64,
                )
                batching = Batching(bytes_max=_BATCH_BYTES_MAX, linger_s=_LINGER_S)
                await work.records(data, splitter, router, batching)

    run(append())
