"""`journalctl store`: the stores of fragments.

Brokers check their health. What is in them is listed from here, with credentials of our
environment, as the store gives it: no more than a page is held, and for sums a row for each
journal.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gazette_py.cli.connection import Broker, broker_options
from gazette_py.cli.errors import ExitCode, usage
from gazette_py.cli.examples import GroupWithExamples
from gazette_py.cli.fanout import Outcomes, for_each
from gazette_py.cli.options import output_options
from gazette_py.cli.progress import counted
from gazette_py.cli.quantities import format_age, format_size, format_time
from gazette_py.cli.render import Column, Output
from gazette_py.cli.verb import Verb, run
from gazette_py.clock import SYSTEM
from gazette_py.errors import StoreUnhealthyError

if TYPE_CHECKING:
    from gazette_py.lake.inventory import StoredObject, Usage

_F = TypeVar("_F", bound=Callable[..., Any])

_COLUMNS = (
    Column("STORE", lambda item: item["store"]),
    Column("STATUS", lambda item: item["status"]),
    Column("ERROR", lambda item: item["error"] or ""),
)


@click.group(
    "store",
    cls=GroupWithExamples,
    epilog="""
    journalctl store health file:///
    journalctl store du file:/// --file-root data/fragments
    """,
)
def command() -> None:
    """Stores of fragments: whether they work, and what is in them."""


@command.command(
    "health",
    cls=Verb,
    epilog="""
    journalctl store health file:///
    journalctl store health file:/// --check-delete-prefix acme/ -o json
    """,
)
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
@click.option(
    "--check-delete-prefix",
    metavar="PREFIX/",
    help="Check also that brokers may delete below it; '' is the root of the store.",
)
@output_options()
@broker_options
def health(
    urls: tuple[str, ...], check_delete_prefix: str | None, output: Output, broker: Broker
) -> None:
    """Have a broker write, read, list and sign an object of each store.

    The broker does so with its own credentials: from here the store may be out of reach. Ends with
    8 if a store is unhealthy.
    """
    outcomes = run(_health(urls, check_delete_prefix, broker))
    errors = outcomes.results
    items = [
        {"store": url, "status": "unhealthy" if error else "healthy", "error": error or None}
        for url, error in errors.items()
    ]
    output.print_items("StoreHealthList", items, _COLUMNS, name="store")
    outcomes.raise_errors()
    if any(errors.values()):
        click.get_current_context().exit(ExitCode.UNHEALTHY)


async def _health(
    urls: tuple[str, ...], check_delete_prefix: str | None, broker: Broker
) -> Outcomes[str]:
    async with broker.connect() as client:

        async def check(url: str) -> str:
            try:
                await client.store_health(url, check_delete_prefix=check_delete_prefix)
            except StoreUnhealthyError as exc:
                return exc.detail
            return ""

        return await for_each(dict.fromkeys(urls), check)


def _listing_options(command: _F) -> _F:
    """Give a command what a listing of stores needs."""
    for option in (
        click.option(
            "--offline",
            is_flag=True,
            help="Ask no broker which journals there are: each directory counts as one.",
        ),
        click.option(
            "--prefix", metavar="DIR/", default="", help="Only what is below this directory."
        ),
        click.option("--file-root", default="", help="Directory of file:// stores, as it is here."),
        click.argument("urls", nargs=-1, required=True, metavar="URL..."),
    ):
        command = option(command)
    return command


@command.command(
    "ls",
    cls=Verb,
    epilog="""
    journalctl store ls file:/// --file-root data/fragments
    journalctl store ls file:/// --file-root data/fragments --prefix acme/ -o csv
    journalctl store ls file:/// --file-root data/fragments --orphans -o name
    """,
)
@_listing_options
@click.option("--orphans", is_flag=True, help="Only what no journal has a use for.")
@output_options()
@broker_options
def ls(
    urls: tuple[str, ...],
    file_root: str,
    prefix: str,
    offline: bool,
    orphans: bool,
    output: Output,
    broker: Broker,
) -> None:
    """List the objects of stores, and whose they are.

    Kinds: fragment, watermark, check (of health checks), unfinished (file stores: of a put which
    has not ended; an old one never will), and foreign, whose name is none of ours. Orphans are
    those of the last two kinds, and fragments of journals which do not exist; journals which are
    hidden from us seem not to.

    Objects are printed as the store lists them, in its order.
    """
    columns = _object_columns(is_for_people=output.is_for_people)

    async def work() -> None:
        with output.stream("StoredObjectList", columns, name="path") as stream:
            found = _objects(urls, file_root, prefix, broker, offline=offline)
            async with aclosing(found) as listing:
                async for url, each in listing:
                    if each.is_orphan or not orphans:
                        stream.add(_object_item(url, each))

    run(work())


@command.command(
    "du",
    cls=Verb,
    epilog="""
    journalctl store du file:/// --file-root data/fragments
    journalctl store du file:/// --file-root data/fragments --offline -o json
    """,
)
@_listing_options
@output_options()
@broker_options
def du(
    urls: tuple[str, ...],
    file_root: str,
    prefix: str,
    offline: bool,
    output: Output,
    broker: Broker,
) -> None:
    """Sum up what each journal has in stores.

    SIZE is what the store holds of fragments, CONTENT what they hold before compression. OTHER
    counts objects which are no fragments. Directories of fragments which no journal has come last,
    as orphans, and what is of no directory, as other.
    """
    items = run(_usage(urls, file_root, prefix, broker, offline=offline))
    columns = _usage_columns(is_for_people=output.is_for_people)
    output.print_items("StoreUsageList", items, columns)
    fragments = sum(item["fragments"] for item in items)
    size = sum(item["stored_bytes"] + item["other_bytes"] for item in items)
    orphans = sum(item["stored_bytes"] for item in items if item["status"] == "orphan")
    click.echo(
        f"{fragments} fragments, {format_size(size)} with all else,"
        f" {format_size(orphans)} in orphans.",
        err=True,
    )


async def _usage(
    urls: tuple[str, ...], file_root: str, prefix: str, broker: Broker, *, offline: bool
) -> list[dict[str, Any]]:
    from gazette_py.lake.inventory import Usages

    usages = {url: Usages() for url in urls}
    with counted("objects") as shown:
        found = _objects(urls, file_root, prefix, broker, offline=offline)
        async with aclosing(found) as listing:
            async for url, each in listing:
                usages[url].add(each)
                shown.advance()
    return [_usage_item(url, row) for url, of_url in usages.items() for row in of_url.rows()]


async def _objects(
    urls: tuple[str, ...], file_root: str, prefix: str, broker: Broker, *, offline: bool
) -> "AsyncGenerator[tuple[str, StoredObject], None]":
    """Yield the objects of stores, one store after the other."""
    from gazette_py.lake.inventory import Journals, objects
    from gazette_py.protocol.store_url import StoreURL
    from gazette_py.stores.registry import StoreRegistry

    for url in urls:
        StoreURL.parse(url, path=f"store {url}")
    if prefix and not prefix.endswith("/"):
        raise usage(f"--prefix {prefix}", "a directory's name ends in '/'", "Or leave it out.")
    names: list[str] | None = None
    if not offline:
        async with broker.connect() as client:
            names = [journal.spec.name for journal in (await client.list()).journals]
    registry = StoreRegistry(SYSTEM, file_root=file_root)
    try:
        for url in dict.fromkeys(urls):
            store = registry.get(url).store
            async with aclosing(objects(store, Journals(url, names), prefix)) as listing:
                async for each in listing:
                    yield url, each
    finally:
        await registry.close()


def _object_item(url: str, found: "StoredObject") -> dict[str, Any]:
    fragment = found.fragment
    return {
        "store": url,
        "path": found.path,
        "kind": found.kind.value,
        "journal": found.journal or None,
        "begin": fragment.begin if fragment else None,
        "end": fragment.end if fragment else None,
        "stored_bytes": found.stored_bytes,
        "stored": format_time(found.mod_time),
        "mod_time": found.mod_time,
        "is_orphan": found.is_orphan,
    }


def _usage_item(url: str, row: "Usage") -> dict[str, Any]:
    return {
        "store": url,
        "name": row.name or None,
        "status": row.status.value,
        "fragments": row.fragments,
        "stored_bytes": row.stored_bytes,
        "content_bytes": row.content_bytes,
        "begin": row.begin,
        "end": row.end,
        "oldest": format_time(row.oldest) if row.fragments else None,
        "newest": format_time(row.newest) if row.fragments else None,
        "others": row.others,
        "other_bytes": row.other_bytes,
    }


def _size(value: object) -> str:
    return format_size(int(str(value)))


def _object_columns(*, is_for_people: bool) -> list[Column]:
    now = SYSTEM.now()

    def stored(item: Mapping[str, Any]) -> object:
        # Relative times are for people: what a program reads shall not change by the second.
        return f"{format_age(item['mod_time'], now)} ago" if is_for_people else item["stored"]

    def optional(name: str) -> Callable[[Mapping[str, Any]], object]:
        return lambda item: "" if item[name] is None else item[name]

    return [
        Column("KIND", lambda item: item["kind"]),
        Column("ORPHAN", lambda item: "orphan" if item["is_orphan"] else ""),
        Column("JOURNAL", optional("journal")),
        Column("BEGIN", optional("begin")),
        Column("END", optional("end")),
        Column("SIZE", lambda item: item["stored_bytes"], _size),
        Column("STORED", stored),
        Column("PATH", lambda item: item["path"]),
        Column("STORE", lambda item: item["store"], is_wide=True),
    ]


def _usage_columns(*, is_for_people: bool) -> list[Column]:
    def day(name: str) -> Callable[[Mapping[str, Any]], object]:
        return lambda item: (item[name] or "")[: 10 if is_for_people else None]

    return [
        Column("NAME", lambda item: item["name"] or ""),
        Column("STATUS", lambda item: item["status"]),
        Column("FRAGMENTS", lambda item: item["fragments"]),
        Column("SIZE", lambda item: item["stored_bytes"], _size),
        Column("CONTENT", lambda item: item["content_bytes"], _size),
        Column("BEGIN", lambda item: item["begin"], is_wide=True),
        Column("END", lambda item: item["end"], is_wide=True),
        Column("OLDEST", day("oldest")),
        Column("NEWEST", day("newest")),
        Column("OTHER", lambda item: item["others"]),
        Column("STORE", lambda item: item["store"], is_wide=True),
    ]
