"""`journalctl create`: one journal, without YAML."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import click

from gazette_py.cli.changes import Action, Planned
from gazette_py.cli.completing import complete_journals
from gazette_py.cli.connection import Broker, changing_broker_options
from gazette_py.cli.labelling import LabelChange, changed_labels
from gazette_py.cli.options import duration_option, output_options, parsed_by, size_option
from gazette_py.cli.planning import by_names
from gazette_py.cli.quantities import parse_duration_ns
from gazette_py.cli.render import Output
from gazette_py.cli.selection import Selection
from gazette_py.cli.send_changes import COLUMNS, check_conflicts, item_of, send, wait_served
from gazette_py.cli.verb import Verb, run
from gazette_py.protocol.enums import CompressionCodec, JournalFlag
from gazette_py.protocol.journal import FragmentSpec, JournalSpec, Suspend
from gazette_py.protocol.journal_rules import validate_journal_spec

_F = TypeVar("_F", bound=Callable[..., Any])

_CODECS = [codec.name for codec in CompressionCodec if codec is not CompressionCodec.INVALID]
_FLAGS = [flag.name for flag in JournalFlag if flag is not JournalFlag.NOT_SPECIFIED]

_MINUTE_NS = 60_000_000_000
_USUAL = JournalSpec(
    replication=3,
    fragment=FragmentSpec(
        length=256 << 20,
        compression_codec=CompressionCodec.GZIP,
        refresh_interval_ns=5 * _MINUTE_NS,
    ),
)
"""What is not asked for, and which no other journal is like."""


def _interval_option(name: str, text: str) -> Callable[[_F], _F]:
    return duration_option(name, callback=parsed_by(parse_duration_ns), default=None, help=text)


@click.command(
    "create",
    cls=Verb,
    epilog="""
    journalctl create acme/returns --like acme/orders
    journalctl create acme/clicks --store file:/// --replication 1 --label env=prod --wait
    journalctl create acme/daily --like acme/orders --flush-interval 24h --label topic- --dry-run
    """,
)
@click.argument("name")
@click.option(
    "--like",
    metavar="OTHER",
    shell_complete=complete_journals,
    help="Journal whose spec is taken where no option says otherwise.",
)
@click.option("--replication", type=int, help="Replicas, 1 to 5. [3]")
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="NAME=VALUE|NAME+=VALUE|NAME-",
    help="Set a label, add a value, or drop what --like has.",
)
@click.option("--store", "stores", multiple=True, metavar="URL", help="Fragment store, repeatable.")
@size_option("--length", default=None, help="Bytes after which a fragment is closed. [256MiB]")
@click.option("--codec", type=click.Choice(_CODECS), help="Compression of fragments. [GZIP]")
@_interval_option("--refresh-interval", "How often stores are listed. [5m]")
@_interval_option("--flush-interval", "Close fragments so often, too. [0s: by length only]")
@_interval_option("--retention", "How long tools keep fragments. [0s: for ever]")
@click.option("--path-postfix-template", metavar="TEXT", help="Directories between name and files.")
@click.option("--flags", type=click.Choice(_FLAGS), help="What may be done with it. [O_RDWR]")
@size_option("--max-append-rate", default=None, help="Bytes per second. [0: no limit]")
@click.option("--dry-run", is_flag=True, help="Print its YAML, and create nothing.")
@duration_option(
    "--wait",
    is_flag=False,
    flag_value="30s",
    default=None,
    help="Wait until enough brokers serve it; 30s if no time is given (--wait=1m).",
)
@output_options()
@changing_broker_options
def command(
    name: str,
    like: str | None,
    labels: Sequence[str],
    dry_run: bool,
    wait: float | None,
    output: Output,
    broker: Broker,
    **fields: Any,
) -> None:
    """Create a journal.

    The brackets tell what is taken if neither an option nor --like says it.
    """
    changes = [LabelChange.parse(text) for text in labels]
    items: list[dict[str, Any]] = []

    async def create() -> JournalSpec:
        async with broker.connect() as client:
            template = _USUAL
            if like is not None:
                selection = Selection(names=(like,), selector=None, allow_empty=False)
                (other,) = (await selection.list(client)).journals
                template = other.spec
            spec = _spec(name, template, changes, fields)
            validate_journal_spec(spec, is_new=True)
            if dry_run:
                return spec
            listed = (await client.list(by_names([name]))).journals
            change = Planned(
                action=Action.CREATED,
                spec=spec,
                expect_revision=0,
                current_revision=listed[0].mod_revision if listed else 0,
            )
            check_conflicts([change])
            async for sent, revision in send(client, [change], 1):
                items.append(item_of(sent, revision))
            if wait is not None:
                await wait_served(client, {name}, wait)
            return spec

    try:
        spec = run(create())
    finally:
        if items:  # It was created, even if it was not served in time.
            output.print_items("ChangeList", items, COLUMNS)
    if dry_run:
        from gazette_py.cli.tree import Entry, tree_of
        from gazette_py.cli.tree_yaml import write_tree

        click.echo(write_tree(tree_of([Entry(spec=spec)])), nl=False)


def _spec(
    name: str, template: JournalSpec, changes: Sequence[LabelChange], fields: dict[str, Any]
) -> JournalSpec:
    """Return the spec of a new journal: the template's where no field is given."""
    given = {key: value for key, value in fields.items() if value not in (None, ())}
    fragment: dict[str, Any] = {
        key: given[option]
        for key, option in (
            ("length", "length"),
            ("stores", "stores"),
            ("refresh_interval_ns", "refresh_interval"),
            ("flush_interval_ns", "flush_interval"),
            ("retention_ns", "retention"),
            ("path_postfix_template", "path_postfix_template"),
        )
        if option in given
    }
    if "codec" in given:
        fragment["compression_codec"] = CompressionCodec[given["codec"]]
    spec: dict[str, Any] = {
        key: given[key] for key in ("replication", "max_append_rate") if key in given
    }
    if "flags" in given:
        spec["flags"] = JournalFlag[given["flags"]]
    return replace(
        template,
        name=name,
        labels=changed_labels(template.labels, changes),
        fragment=replace(template.fragment, **fragment),
        suspend=Suspend(),  # Of the other journal.
        **spec,
    )
