"""`journalctl list`: journals, their status and who serves them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from gazette_py.cli import wire
from gazette_py.cli.conditions import Condition, lacking
from gazette_py.cli.connection import Broker, broker_options
from gazette_py.cli.errors import usage
from gazette_py.cli.fanout import for_each
from gazette_py.cli.journal_items import journal_item
from gazette_py.cli.options import output_options
from gazette_py.cli.quantities import format_size
from gazette_py.cli.render import Column, Output, print_json_line, print_rows
from gazette_py.cli.selection import Selection, selection_options
from gazette_py.cli.tree import Entry, tree_of
from gazette_py.cli.verb import Verb, run

if TYPE_CHECKING:
    from gazette_py.client.listing import ListResult


@click.command(
    "list",
    cls=Verb,
    epilog="""
    journalctl list
    journalctl list acme/ -o wide              # all below a directory
    journalctl list -l 'env=prod' -L content-type --heads
    journalctl list -l 'env=prod' -o yaml      # to edit, and give to journalctl apply -f -
    journalctl list -o name | xargs journalctl head
    """,
)
@selection_options
@click.option("-L", "--label", "labels", multiple=True, help="Add a column with a label's values.")
@click.option("--heads", is_flag=True, help="Ask for write heads, too: a call for each journal.")
@click.option(
    "--consistent", is_flag=True, help="Ask whether brokers agree, too: a call for each replica."
)
@click.option("-w", "--watch", is_flag=True, help="Go on with each change of a spec.")
@click.option("--compat-json", is_flag=True, help="The JSON of gazctl.")
@output_options("proto")
@broker_options
def command(
    selection: Selection,
    labels: tuple[str, ...],
    heads: bool,
    consistent: bool,
    watch: bool,
    compat_json: bool,
    output: Output,
    broker: Broker,
) -> None:
    """List journals: all of them, those named, those below a directory, or those selected.

    RF is the number of brokers which serve the journal, and the number which should.
    """
    if watch:
        if output.format not in ("", "table", "wide", "jsonl"):
            raise usage("--watch", f"not with -o {output.format}", "Use -o table or -o jsonl.")
        run(_watch(selection, labels, output, broker))
        return
    asked = [name for name, is_asked in (("head", heads), ("consistent", consistent)) if is_asked]
    result, answers = run(_list(selection, broker, asked))
    if compat_json:
        click.echo(wire.list_json(result), nl=False)
    elif output.format == "proto":
        click.echo(wire.list_text(result), nl=False)
    elif output.format == "yaml" and not output.query:
        from gazette_py.cli.tree_yaml import write_tree  # YAML, not for `--help`.

        entries = [Entry(spec=j.spec, revision=j.mod_revision) for j in result.journals]
        click.echo(write_tree(tree_of(entries)), nl=False)
    else:
        items = [journal_item(journal) for journal in result.journals]
        items = [
            item | {field: answers[field].get(item["name"]) for field in asked} for item in items
        ]
        columns = _columns(labels, asked)
        cursor = result.header.etcd.revision
        output.print_items("JournalList", items, columns, cursor=cursor)
        if not items and output.is_for_people:
            click.echo("There are no journals.", err=True)


async def _list(
    selection: Selection, broker: Broker, asked: Sequence[str]
) -> "tuple[ListResult, dict[str, Mapping[str, object]]]":
    """Return the listing, and what else was asked of journals, by field and name."""
    async with broker.connect() as client:
        if selection.names:
            result = await selection.list(client)
        else:
            result = await client.list(selection.label_selector())
        served = {j.spec.name: j for j in result.journals if j.route.members}

        async def is_consistent(name: str) -> bool:
            return not await lacking(client, served[name], Condition("consistent"), None)

        calls: dict[str, Callable[[str], Awaitable[object]]] = {
            "head": client.write_head,
            "consistent": is_consistent,
        }
        return result, {field: (await for_each(served, calls[field])).results for field in asked}


async def _watch(
    selection: Selection, labels: tuple[str, ...], output: Output, broker: Broker
) -> None:
    """Print what each snapshot changed: everything at first."""
    columns = output.chosen((_EVENT, *_columns(labels, ())))
    is_json = output.effective_format == "jsonl"
    before: dict[str, dict[str, Any]] = {}
    widths: list[int] = []
    async with broker.connect() as client:
        async for snapshot in client.watch(selection.label_selector()):
            now = {journal.spec.name: journal_item(journal) for journal in snapshot.journals}
            changed = _events(before, now)
            if is_json:
                for item in changed:
                    print_json_line(item)
            else:
                widths = print_rows(changed, columns, with_titles=not widths, widths_min=widths)
            before = now


def _events(
    before: dict[str, dict[str, Any]], now: dict[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    events = []
    for name in sorted(before.keys() | now.keys()):
        if name not in now:
            events.append({"event": "deleted", **before[name]})
        elif before.get(name) != now[name]:
            events.append({"event": "changed" if name in before else "added", **now[name]})
    return events


_AS_WORD = {True: "yes", False: "no", None: ""}
"""Whether brokers agree; None: there are none, or they could not be asked."""

_EVENT = Column("EVENT", lambda item: item["event"])


def _columns(labels: tuple[str, ...], asked: Sequence[str]) -> list[Column]:
    columns = [
        Column("NAME", lambda item: item["name"]),
        Column("RF", lambda item: f"{item['brokers_actual']}/{item['brokers_desired']}", _show_rf),
        Column("PRIMARY", lambda item: item["route"]["primary"] or "<none>"),
    ]
    if "head" in asked:
        columns.append(Column("HEAD", lambda item: "" if item["head"] is None else item["head"]))
    if "consistent" in asked:
        columns.append(Column("CONSISTENT", lambda item: _AS_WORD[item["consistent"]]))
    columns += [
        Column("CODEC", lambda item: _fragment(item).get("compression_codec", "")),
        Column("STATUS", lambda item: item["status"], _show_status),
        Column("REPLICAS", _replicas, is_wide=True),
        Column("LENGTH", lambda item: _fragment(item).get("length", 0), _show_size, is_wide=True),
        Column("STORE", _first_store, is_wide=True),
        Column("REVISION", lambda item: item["mod_revision"], is_wide=True),
    ]
    return columns + [_label_column(label) for label in labels]


def _label_column(label: str) -> Column:
    def values(item: Any) -> str:
        found = [v["value"] for v in item["spec"].get("labels", ()) if v["name"] == label]
        return ",".join(found) if found else "<none>"

    return Column(label, values)


def _fragment(item: Any) -> dict[str, Any]:
    fragment: dict[str, Any] = item["spec"].get("fragment", {})
    return fragment


def _first_store(item: Any) -> str:
    stores = _fragment(item).get("stores", ())
    return str(stores[0]) if stores else ""


def _replicas(item: Any) -> str:
    members = [f"{member['zone']}/{member['suffix']}" for member in item["route"]["members"]]
    return ",".join(member for member in members if member != item["route"]["primary"])


def _show_size(value: object) -> str:
    return format_size(int(str(value)))


def _show_rf(value: object) -> str:
    actual, _, desired = str(value).partition("/")
    return click.style(str(value), fg="red") if int(actual) < int(desired) else str(value)


def _show_status(value: object) -> str:
    text = str(value)
    return click.style(text, fg="red") if text in ("no-primary", "under-replicated") else text
