"""`journalctl fragments`: the files which hold journals' content."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from gazette_py.cli import wire
from gazette_py.cli.connection import Broker, broker_options
from gazette_py.cli.errors import usage
from gazette_py.cli.fanout import Outcomes, for_each
from gazette_py.cli.options import duration_option, output_options, time_option
from gazette_py.cli.quantities import format_age, format_size, format_time
from gazette_py.cli.render import Column, Output
from gazette_py.cli.selection import Selection, selection_options
from gazette_py.cli.verb import Verb, run
from gazette_py.clock import SYSTEM
from gazette_py.core.fragment_index import IndexEntry
from gazette_py.protocol.enums import SuspendLevel
from gazette_py.protocol.fragment import Fragment, content_path

if TYPE_CHECKING:
    from gazette_py.client.client import ListedFragment


@click.command(
    "fragments",
    cls=Verb,
    epilog="""
    journalctl fragments acme/orders
    journalctl fragments acme/ --from -1h -o wide
    journalctl fragments acme/orders --url-ttl 10m -o jsonl
    journalctl fragments acme/orders --covering --unpersisted exclude --columns path
    """,
)
@selection_options
@time_option("--from", "begin", help="Only those stored since then.")
@time_option("--to", "end", help="Only those stored before.")
@duration_option("--url-ttl", help="Add URLs which work for so long.")
@click.option(
    "--covering",
    is_flag=True,
    help="As few as hold all bytes; SKIP tells how many of each to leave out, which others have.",
)
@click.option(
    "--unpersisted",
    type=click.Choice(["include", "only", "exclude"]),
    default="include",
    show_default=True,
    help="Fragments which brokers have not stored yet; never listed with --to.",
)
@click.option("--compat-json", is_flag=True, help="The JSON of gazctl.")
@output_options()
@broker_options
def command(
    selection: Selection,
    begin: int,
    end: int,
    url_ttl: float,
    covering: bool,
    unpersisted: str,
    compat_json: bool,
    output: Output,
    broker: Broker,
) -> None:
    """List fragments: spans of a journal's content, and the files which hold them.

    Times are those at which stores took the files. They are Unix seconds, RFC 3339, or relative
    as in -1h. Journals which are fully suspended have no broker to ask, and are left out.
    """
    selection.require()
    if compat_json and covering:
        raise usage("--compat-json", "it lists all fragments", "Leave out --covering.")
    if end and begin >= end:
        raise usage("--to", "it is not after --from", "Nothing is stored between them.")
    if end and unpersisted == "only":
        raise usage(
            "--unpersisted only",
            "it contradicts --to: what is not stored was not stored before",
            "Leave one of them out.",
        )
    outcomes = run(_fragments(selection, begin, end, url_ttl, broker))
    items = []
    for listed in outcomes.results.values():
        chosen = [entry for entry in listed if _is_wanted(entry.fragment, unpersisted)]
        if compat_json:
            click.echo("".join(wire.fragment_json(entry) for entry in chosen), nl=False)
        items += _covering(chosen) if covering else [_item(e.fragment, e.url) for e in chosen]
    if compat_json:
        outcomes.raise_errors()
        return
    columns = _columns(is_for_people=output.is_for_people, with_skip=covering)
    output.print_items("FragmentList", items, columns, name="path")
    outcomes.raise_errors()


async def _fragments(
    selection: Selection, begin: int, end: int, url_ttl_s: float, broker: Broker
) -> "Outcomes[list[ListedFragment]]":
    async with broker.connect() as client:
        journals = (await selection.list(client)).journals

        async def fragments(name: str) -> "list[ListedFragment]":
            pages = client.fragments(
                name, begin_mod_time=begin, end_mod_time=end, url_ttl_s=url_ttl_s
            )
            return [entry async for entry in pages]

        served = [j.spec.name for j in journals if j.spec.suspend.level is not SuspendLevel.FULL]
        if left_out := len(journals) - len(served):
            click.echo(f"Left out, since fully suspended: {left_out}.", err=True)
        return await for_each(served, fragments)


def _is_wanted(fragment: Fragment, unpersisted: str) -> bool:
    is_stored = bool(fragment.backing_store)
    return unpersisted == "include" or is_stored == (unpersisted == "exclude")


def _covering(listed: "Iterable[ListedFragment]") -> list[dict[str, Any]]:
    """Return fragments which hold each byte once, each with the bytes of it to skip."""
    from gazette_py.lake.cover import Slice, cover

    urls = {entry.fragment: entry.url for entry in listed}
    parts = cover(map(IndexEntry, urls), min((fragment.begin for fragment in urls), default=0))
    return [
        _item(part.file.fragment, urls[part.file.fragment]) | {"skip": part.skip}
        for part in parts
        if isinstance(part, Slice)
    ]


def _item(fragment: Fragment, url: str) -> dict[str, Any]:
    item = {
        "journal": fragment.journal,
        "begin": fragment.begin,
        "end": fragment.end,
        "length": fragment.length,
        "compression_codec": fragment.compression_codec.name,
        "persisted": format_time(fragment.mod_time) if fragment.mod_time else None,
        "mod_time": fragment.mod_time,
        "store": fragment.backing_store or None,
        "path": content_path(fragment) if fragment.backing_store else None,
        "sha1": fragment.sum.hex(),
    }
    return item | {"url": url} if url else item


def _columns(*, is_for_people: bool, with_skip: bool) -> list[Column]:
    now = SYSTEM.now()

    def persisted(item: Mapping[str, Any]) -> object:
        # Relative times are for people: what a program reads shall not change by the second.
        if is_for_people and item["mod_time"]:
            return f"{format_age(item['mod_time'], now)} ago"
        return item["persisted"] or ""

    return [
        Column("JOURNAL", lambda item: item["journal"]),
        Column("BEGIN", lambda item: item["begin"]),
        Column("END", lambda item: item["end"]),
        Column("LENGTH", lambda item: item["length"], lambda value: format_size(int(str(value)))),
        Column("SKIP", lambda item: item.get("skip", ""), is_wide=not with_skip),
        Column("CODEC", lambda item: item["compression_codec"]),
        Column("PERSISTED", persisted),
        Column("STORE", lambda item: item["store"] or ""),
        Column("PATH", lambda item: item["path"] or "", is_wide=True),
        Column("SHA1", lambda item: item["sha1"], is_wide=True),
        Column("URL", lambda item: item.get("url", ""), is_wide=True),
    ]
