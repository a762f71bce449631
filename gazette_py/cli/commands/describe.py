"""`journalctl describe`: all that is known of a journal, and what is wrong with it."""

from collections.abc import Awaitable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gazette_py.cli.connection import Broker, broker_options
from gazette_py.cli.fanout import Outcomes, for_each
from gazette_py.cli.journal_items import journal_item
from gazette_py.cli.options import output_options
from gazette_py.cli.quantities import format_age, format_size, format_time
from gazette_py.cli.render import Column, Output
from gazette_py.cli.selection import Selection, selection_options
from gazette_py.cli.verb import Verb, run
from gazette_py.clock import SYSTEM
from gazette_py.errors import GazetteError
from gazette_py.protocol.enums import SuspendLevel
from gazette_py.protocol.fragment import Fragment, content_path

if TYPE_CHECKING:
    from gazette_py.client.client import Client
    from gazette_py.client.inspection import Inspected
    from gazette_py.client.listing import ListedJournal

_T = TypeVar("_T")

_TITLE_WIDTH = 13


@click.command(
    "describe",
    cls=Verb,
    epilog="""
    journalctl describe acme/orders
    journalctl describe acme/ -o jsonl          # all below a directory
    journalctl describe -l env=prod --columns name,status,limit,conflicts -o csv
    journalctl describe acme/orders -o json --query 'items[0].limit'
    """,
)
@selection_options
@output_options()
@broker_options
def command(selection: Selection, output: Output, broker: Broker) -> None:
    """Describe journals: spec, brokers, write head, fragments, stores, and what is wrong.

    Limit tells what keeps a journal from the replicas which it asks for: `members` (there are not
    so many brokers), `limits` (those have no more room), or `zones` (they are all in one).

    Conflicts are fragments of the same extent and different content: two brokers have been primary
    of it, and at most one of the files was ever acknowledged.

    Brokers are called at their own endpoints.
    """
    selection.require()
    outcomes = run(_describe(selection, broker))
    items = list(outcomes.results.values())
    if output.format or output.columns or output.query:
        output.print_items("JournalDescriptionList", items, _COLUMNS)
    else:
        click.echo("\n\n".join("\n".join(_lines(item)) for item in items))
    outcomes.raise_errors()


async def _describe(selection: Selection, broker: Broker) -> Outcomes[dict[str, Any]]:
    async with broker.connect() as client:
        journals = {j.spec.name: j for j in (await selection.list(client)).journals}
        return await for_each(journals, lambda name: _item(client, journals[name]))


async def _item(client: "Client", journal: "ListedJournal") -> dict[str, Any]:
    spec = journal.spec
    inspected = await client.inspect(journal)
    head: int | None = spec.suspend.offset
    head_error = ""
    fragments: list[Fragment] = []
    if spec.suspend.level is not SuspendLevel.FULL:
        head, head_error = await _or_error(client.write_head(spec.name))
        listed, _ = await _or_error(_fragments(client, spec.name)) if not head_error else (None, "")
        fragments = listed or []
    replicas = [_replica(each, journal.route.primary_id) for each in inspected]
    limit, reason = next(
        ((each.limit, each.limit_reason) for each in inspected if each.limit_reason), ("", "")
    )
    return journal_item(journal) | {
        "head": head,
        "head_error": head_error,
        "limit": limit or None,
        "limit_reason": reason,
        "fragments": _summary(fragments),
        "stores": [await _store(client, url) for url in spec.fragment.stores],
        "replicas": replicas,
        "conflicts": _conflicts(inspected),
    }


async def _or_error(call: Awaitable[_T]) -> tuple[_T | None, str]:
    """Make a call whose failure is something to tell."""
    try:
        return await call, ""
    except GazetteError as exc:
        return None, str(exc)


async def _fragments(client: "Client", journal: str) -> list[Fragment]:
    return [listed.fragment async for listed in client.fragments(journal)]


async def _store(client: "Client", url: str) -> dict[str, Any]:
    _, error = await _or_error(client.store_health(url))
    return {"url": url, "is_healthy": not error, "error": error}


def _summary(fragments: list[Fragment]) -> dict[str, Any]:
    stored = [fragment for fragment in fragments if fragment.mod_time]
    newest = max((fragment.mod_time for fragment in stored), default=0)
    return {
        "count": len(fragments),
        "begin": fragments[0].begin if fragments else 0,
        "end": fragments[-1].end if fragments else 0,
        "unpersisted": sum(f.length for f in fragments if not f.mod_time),
        "newest": format_time(newest) if newest else None,
        "newest_mod_time": newest,
    }


def _replica(inspected: "Inspected", primary: object) -> dict[str, Any]:
    item: dict[str, Any] = {
        "broker": str(inspected.broker) if inspected.endpoint else None,
        "endpoint": inspected.endpoint,
        "is_primary": bool(inspected.endpoint) and inspected.broker == primary,
        "refusal": inspected.refusal,
    }
    if (replica := inspected.replica) is not None:
        item |= {
            "begin": replica.begin,
            "end": replica.end,
            "fragments": replica.fragments,
            "unpersisted": replica.unpersisted_bytes,
            "is_listed": replica.is_listed,
            "listing_error": replica.listing_error,
        }
    return item


def _conflicts(inspected: "tuple[Inspected, ...]") -> list[dict[str, Any]]:
    """Return what any replica found; all list the same stores, at other times."""
    found = {
        (fragments[0].begin, fragments[0].end): fragments
        for each in inspected
        if each.replica is not None
        for fragments in each.replica.conflicts
    }
    return [
        {
            "begin": begin,
            "end": end,
            "fragments": [
                {
                    "path": content_path(fragment),
                    "store": fragment.backing_store,
                    "sha1": fragment.sum.hex(),
                    "mod_time": fragment.mod_time,
                }
                for fragment in sorted(fragments, key=content_path)
            ],
        }
        for (begin, end), fragments in sorted(found.items())
    ]


_COLUMNS = (
    Column("NAME", lambda item: item["name"]),
    Column("STATUS", lambda item: item["status"]),
    Column("HEAD", lambda item: "" if item["head"] is None else item["head"]),
    Column("LIMIT", lambda item: item["limit"] or ""),
    Column("CONFLICTS", lambda item: len(item["conflicts"])),
)


# For people.


def _lines(item: Mapping[str, Any]) -> Iterator[str]:
    yield click.style(item["name"], bold=True)
    for title, value in _facts(item):
        yield f"  {title:{_TITLE_WIDTH}}{value}"
    for title, lines in (
        ("Brokers", [_replica_line(replica) for replica in item["replicas"]]),
        ("Stores", [_store_line(store) for store in item["stores"]]),
        ("Conflicts", [line for each in item["conflicts"] for line in _conflict_lines(each)]),
    ):
        if lines:
            yield f"  {title}"
            yield from (f"    {line}" for line in lines)


def _facts(item: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    spec, fragment = item["spec"], item["spec"].get("fragment", {})
    yield (
        "Status",
        f"{item['status']}, {item['brokers_actual']} of {item['brokers_desired']} brokers",
    )
    if item["limit_reason"]:
        yield "Limit", item["limit_reason"]
    if item["suspended"] != "NONE":
        yield "Suspended", item["suspended"]
    if item["head_error"]:
        yield "Write head", f"unknown: {item['head_error']}"
    else:
        yield "Write head", str(item["head"])
    if item["fragments"]["count"]:
        yield "Fragments", _fragments_line(item["fragments"])
    yield (
        "Fragmenting",
        ", ".join(f"{name} {value}" for name, value in fragment.items() if name != "stores"),
    )
    if labels := spec.get("labels"):
        yield "Labels", ", ".join(f"{label['name']}={label['value']}" for label in labels)
    if flags := spec.get("flags"):
        yield "Flags", str(flags)
    if rate := spec.get("max_append_rate"):
        yield "Append rate", f"at most {format_size(rate)}/s"
    yield "Revisions", f"created {item['create_revision']}, changed {item['mod_revision']}"


def _fragments_line(summary: Mapping[str, Any]) -> str:
    size = summary["end"] - summary["begin"]
    line = f"{summary['count']} of [{summary['begin']}, {summary['end']}), {format_size(size)}"
    if summary["newest"]:
        line += f"; the last was stored {format_age(summary['newest_mod_time'], SYSTEM.now())} ago"
    if summary["unpersisted"]:
        line += f"; {format_size(summary['unpersisted'])} in no store yet"
    return line


def _replica_line(replica: Mapping[str, Any]) -> str:
    if replica["broker"] is None:
        return f"none{': ' + replica['refusal'] if replica['refusal'] else ''}"
    role = "primary" if replica["is_primary"] else "replica"
    line = f"{replica['broker']} ({role}, {replica['endpoint']})"
    if replica["refusal"]:
        return f"{line}: {replica['refusal']}"
    if "end" not in replica:
        return f"{line}: has not taken it up yet"
    line += f": [{replica['begin']}, {replica['end']})"
    if replica["unpersisted"]:
        line += f", {format_size(replica['unpersisted'])} in no store yet"
    if replica["listing_error"]:
        return f"{line}, cannot list the stores: {replica['listing_error']}"
    return line if replica["is_listed"] else f"{line}, has not listed the stores yet"


def _store_line(store: Mapping[str, Any]) -> str:
    return f"{store['url']}: {'healthy' if store['is_healthy'] else store['error']}"


def _conflict_lines(conflict: Mapping[str, Any]) -> Iterator[str]:
    yield click.style(f"[{conflict['begin']}, {conflict['end']}) is in", fg="red")
    for file in conflict["fragments"]:
        yield f"  {file['store']}{file['path']}"
