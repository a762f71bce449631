"""`journalctl append`: append a file or standard input."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from gazette_py.cli.appending import RATE_MIN, Appending, Batching
from gazette_py.cli.byte_input import open_input
from gazette_py.cli.completing import complete_journals
from gazette_py.cli.connection import Broker, changing_broker_options
from gazette_py.cli.errors import usage
from gazette_py.cli.options import duration_option, size_option
from gazette_py.cli.pace import Pace
from gazette_py.cli.progress import Progress, no_progress_option
from gazette_py.cli.render import json_line
from gazette_py.cli.routing import KEYED_MAPPINGS, MAPPINGS, Router, pick
from gazette_py.cli.selection import Selection
from gazette_py.cli.stamping import Stamper, Stamps
from gazette_py.cli.verb import Verb, run
from gazette_py.clock import SYSTEM
from gazette_py.message.framings import FRAMINGS, splitter_of
from gazette_py.message.json_pointer import parse_pointer
from gazette_py.message.serdes import UUID_POINTER_LABEL, Serde, serde_of
from gazette_py.protocol.enums import AppendSuspend
from gazette_py.protocol.labels import LabelSet

if TYPE_CHECKING:
    from gazette_py.client.client import Client

_RATE_WHOLE_MIN = 2 * RATE_MIN
"""Of one append: brokers see less of it while the network is busy."""


def _parse_uuid_pointer(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> str | None:
    """Refuse what is no pointer: likely the name of a journal, which follows the option."""
    if value:
        try:
            parse_pointer(value)
        except ValueError as exc:
            reason = f"{exc}; {value!r} is taken for one unless it stands before the option"
            raise click.BadParameter(reason, ctx, param) from exc
    return value


@click.command(
    "append",
    cls=Verb,
    epilog="""
    echo '{"id": 1}' | journalctl append acme/orders
    journalctl append acme/orders -i orders.ndjson --framing lines
    journalctl append -l topic=orders --framing lines --mapping modulo --key-jsonpointer /id < in
    tail -F app.log | journalctl append acme/logs --framing lines -q
    journalctl append acme/orders -i orders.ndjson --framing lines --attach-uuid
    journalctl append acme/orders -i batch --check-register epoch=7 -o jsonl
    """,
)
@click.argument("name", required=False, shell_complete=complete_journals)
@click.option("-l", "--selector", metavar="SELECTOR", help="Journals to spread the input over.")
@click.option("-i", "--input", "source", metavar="FILE|-", default="-", help="What to append.")
@click.option(
    "--framing",
    type=click.Choice(["none", *FRAMINGS]),
    default="none",
    show_default=True,
    help="none: all of it in one append. Else records, each whole; neighbours share appends.",
)
@click.option(
    "--mapping",
    type=click.Choice(MAPPINGS),
    default="random",
    show_default=True,
    help="How a record's journal is chosen. But for random, its key precedes it, framed alike;"
    " direct: the key is the journal's name.",
)
@click.option(
    "--key-jsonpointer",
    metavar="/A/B",
    help="The key is in the record, which is JSON, or a row of CSV: /0 is its first field.",
)
@click.option("--base64", "is_base64", is_flag=True, help="Keys which precede records are base64.")
@click.option(
    "--partial-line",
    type=click.Choice(["reject", "append", "drop"]),
    default="reject",
    show_default=True,
    help="What to do with a last line without its end; append: with the newline it lacks.",
)
@click.option(
    "--attach-uuid",
    metavar="[=/A/B]",
    is_flag=False,
    flag_value="",
    callback=_parse_uuid_pointer,
    help="Give each record a UUID, by which readers know it again: JSON at this pointer, else where"
    " the journal's label gazette-py.dev/uuid-ptr says, else at /UUID; rows in a new first field.",
)
@click.option("--offset", type=click.IntRange(min=0), help="Append at this offset or nowhere.")
@click.option("--check-register", "checks", multiple=True, metavar="K=V", help="Or do not append.")
@click.option("--set-register", "sets", multiple=True, metavar="K=V", help="Set as it commits.")
@click.option("--drop-register", "drops", multiple=True, metavar="K=V", help="Drop as it commits.")
@duration_option(
    "--linger",
    default="50ms",
    show_default=True,
    help="How long records may wait for others, to be appended together.",
)
@size_option(
    "--max-inflight",
    default="4MiB",
    show_default=True,
    help="How much of records to append at once.",
)
@size_option(
    "--rate",
    default="0",
    metavar="BYTES/s",
    help="Append no faster than this: 0 is as fast as brokers take it.",
)
@click.option("--no-resume", is_flag=True, help="Refuse if the journal is suspended.")
@click.option(
    "-o", "--output", type=click.Choice(["table", "jsonl"]), default="table", show_default=True
)
@click.option("-q", "--quiet", is_flag=True, help="Print nothing about appends which succeed.")
@no_progress_option
@changing_broker_options
def command(
    name: str | None,
    selector: str | None,
    source: str,
    framing: str,
    mapping: str,
    key_jsonpointer: str | None,
    is_base64: bool,
    partial_line: str,
    attach_uuid: str | None,
    offset: int | None,
    checks: tuple[str, ...],
    sets: tuple[str, ...],
    drops: tuple[str, ...],
    linger: float,
    max_inflight: int,
    rate: int,
    no_resume: bool,
    output: str,
    quiet: bool,
    no_progress: bool,
    broker: Broker,
) -> None:
    """Append a file, or standard input, to a journal or to the journals of a selector.

    Prints journal, begin, end and SHA-1 of each append. A broker which vanishes while it commits
    may have committed, or not: that is exit code 8, and nothing is sent again. --offset or
    --check-register refuses content which is there already. UUIDs of --attach-uuid are new in each
    run: to repeat one, attach them first, by `journalctl attach-uuids`.
    """
    _check(name, selector, framing, mapping, key_jsonpointer, is_base64, offset, attach_uuid)
    if rate and rate < _RATE_WHOLE_MIN and framing == "none":
        raise usage(
            "--rate",
            f"brokers refuse an append which takes its time, below {RATE_MIN} bytes/s",
            f"At least {_RATE_WHOLE_MIN // 1024}KiB are safe; or give --framing, for many appends.",
        )
    options = _append_options(offset, checks, sets, drops, no_resume=no_resume)
    # A second's worth at once is even enough.
    bytes_max = max(1, min(max_inflight, rate or max_inflight))
    batching = Batching(bytes_max=bytes_max, linger_s=linger, partial=partial_line)

    progress = Progress.on_terminal(hidden=no_progress)

    def tell(item: dict[str, Any]) -> None:
        if not quiet:
            progress.print(_as_line(item, is_json=output == "jsonl"))

    async def append() -> None:
        async with broker.connect() as client:
            needs_labels = attach_uuid == "" and framing == "lines"
            journals = await _journals(client, name, selector, needs_labels=needs_labels)
            names = list(journals)
            work = Appending(client=client, timeout_s=broker.timeout_s, tell=tell, options=options)
            work.pace = Pace(SYSTEM, rate) if rate else None
            work.progress = progress
            with open_input(source) as data, progress:
                if framing == "none":
                    await work.whole(names[pick(len(names))], data)
                    return
                splitter = splitter_of(framing)
                if attach_uuid is not None:
                    serdes = _serdes(journals, framing, attach_uuid)
                    work.stamper = Stamper(Stamps(SYSTEM), splitter, serdes)
                router = Router(
                    names,
                    mapping,
                    splitter=splitter,
                    serde=serde_of(framing),
                    pick=pick,
                    key_pointer=key_jsonpointer,
                    is_base64=is_base64,
                )
                await work.records(data, splitter, router, batching)

    run(append())


def _check(
    name: str | None,
    selector: str | None,
    framing: str,
    mapping: str,
    key_jsonpointer: str | None,
    is_base64: bool,
    offset: int | None,
    attach_uuid: str | None,
) -> None:
    """Refuse options which contradict each other."""
    if (name is None) == (selector is None):
        raise usage(
            "journal",
            "neither NAME nor -l was given" if name is None else "both NAME and -l were given",
            "Name the journal to append to, or select several by -l.",
        )
    if name is not None and name.endswith("/"):
        raise usage(
            f"journal {name}",
            "this is the name of a directory",
            f"-l 'name:prefix={name}' appends to the journals below it.",
        )
    if framing == "none" and mapping != "random":
        raise usage("--mapping", f"{mapping} is for records", "Give --framing lines, csv or fixed.")
    if framing == "csv" and mapping in KEYED_MAPPINGS and key_jsonpointer is None:
        raise usage(
            "--mapping",
            f"rows have no keys before them, which {mapping} could use",
            "--key-jsonpointer /0 takes the first field of each.",
        )
    if attach_uuid is not None and framing not in ("lines", "csv"):
        raise usage(
            "--attach-uuid",
            f"where records of --framing {framing} have their UUIDs is not known",
            "Give --framing lines or csv.",
        )
    if attach_uuid and framing == "csv":
        raise usage("--attach-uuid", "the UUID of a row is its first field", "Leave out /A/B.")
    if key_jsonpointer is not None and mapping not in KEYED_MAPPINGS:
        raise usage(
            "--key-jsonpointer", f"--mapping {mapping} uses no key", "Give --mapping modulo."
        )
    if is_base64 and (framing != "lines" or mapping not in KEYED_MAPPINGS or key_jsonpointer):
        raise usage(
            "--base64",
            "there are no keys which are lines",
            "It goes with --framing lines, and with --mapping modulo, rendezvous or direct.",
        )
    if offset is not None and framing != "none":
        raise usage("--offset", "it is for one append", "Leave out --framing.")
    if offset == 0:
        raise usage(
            "--offset",
            "brokers take 0 for any offset",
            "--check-register and --set-register keep others from a journal which is empty.",
        )


def _append_options(
    offset: int | None,
    checks: Sequence[str],
    sets: Sequence[str],
    drops: Sequence[str],
    *,
    no_resume: bool,
) -> dict[str, Any]:
    """Return the arguments of Client.append which all appends have."""
    options: dict[str, Any] = {"offset": offset or 0}
    if checks:
        selection = Selection(names=(), selector=", ".join(checks), allow_empty=True)
        options["check_registers"] = selection.label_selector()
    if sets:
        options["union_registers"] = _registers(sets)
    if drops:
        options["subtract_registers"] = _registers(drops)
    if no_resume:
        options["suspend"] = AppendSuspend.NO_RESUME
    return options


def _registers(pairs: Sequence[str]) -> LabelSet:
    split = [pair.partition("=") for pair in pairs]
    return LabelSet.of(*((name.strip(), value.strip()) for name, _, value in split))


async def _journals(
    client: "Client", name: str | None, selector: str | None, *, needs_labels: bool
) -> dict[str, LabelSet]:
    """Return the journals to append to, and their labels.

    One which is named is not looked up unless it is for its labels: brokers know it, or not.
    """
    if name is not None and not needs_labels:
        return {name: LabelSet()}
    names = () if name is None else (name,)
    selection = Selection(names=names, selector=selector, allow_empty=False)
    listed = (await selection.list(client)).journals
    return {journal.spec.name: journal.spec.labels for journal in listed}


def _serdes(journals: Mapping[str, LabelSet], framing: str, uuid_pointer: str) -> dict[str, Serde]:
    """Return what attaches UUIDs to the records of journals."""
    serdes = {}
    for name, labels in journals.items():
        try:
            pointer = uuid_pointer or labels.value_of(UUID_POINTER_LABEL)
            serdes[name] = serde_of(framing, pointer)
        except ValueError as exc:
            raise usage(f"journal {name}", f"its label {UUID_POINTER_LABEL}: {exc}") from exc
    return serdes


def _as_line(item: dict[str, Any], *, is_json: bool) -> str:
    if is_json:
        return json_line(item)
    delimiter = "  " if sys.stdout.isatty() else "\t"
    return delimiter.join(str(item[key]) for key in ("journal", "begin", "end", "sha1"))
