"""`journalctl brokers`: the members of the cluster, how they are, and draining one.

Lists and describes by whatever can be reached: etcd, brokers, or the routes of journals. Draining
writes one key of etcd, and only after a question.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from gazette_py.cli.confirm import confirm
from gazette_py.cli.connection import Broker, broker_options, changing_broker_options
from gazette_py.cli.draining import REPLICATION_MAX, Drain
from gazette_py.cli.errors import usage
from gazette_py.cli.etcd_options import EtcdAccess, etcd_options, unavailable
from gazette_py.cli.examples import GroupWithExamples
from gazette_py.cli.members import ClusterMember, Members, find_member, members_of
from gazette_py.cli.options import duration_option, output_options
from gazette_py.cli.quantities import format_size
from gazette_py.cli.render import Column, Output
from gazette_py.cli.verb import Verb, run
from gazette_py.errors import EtcdError

if TYPE_CHECKING:
    from gazette_py.client.client import Client
    from gazette_py.client.inspection import InspectedBroker
    from gazette_py.client.listing import ListedJournal

_TITLE_WIDTH = 13


def _known(value: object) -> object:
    return "" if value is None else value


_COLUMNS = (
    Column("NAME", lambda item: item["name"]),
    Column("STATUS", lambda item: item["status"]),
    Column("JOURNALS", lambda item: item["assignments"]),
    Column("PRIMARIES", lambda item: item["primaries"]),
    Column("LIMIT", lambda item: _known(item["limit"])),
    Column("ENDPOINT", lambda item: item["endpoint"]),
    Column("ZONE", lambda item: item["zone"], is_wide=True),
)


@click.group(
    "brokers",
    cls=GroupWithExamples,
    epilog="journalctl brokers list",
)
def command() -> None:
    """List, describe and drain brokers."""


@command.command(
    "list",
    cls=Verb,
    epilog="""
    journalctl brokers list
    journalctl brokers list --columns name,journals,limit -o csv
    journalctl brokers list -o json --query 'items[?exiting].name'
    """,
)
@output_options()
@etcd_options
@broker_options
def list_(output: Output, etcd: EtcdAccess, broker: Broker) -> None:
    """List the brokers of the cluster: their load, their limits, and who is exiting.

    It is read from etcd if --etcd.address is given and can be reached, else a broker is asked.
    Brokers of Gazette do not tell: there it is read off the routes of journals, and what is not
    known then is said, and left empty.
    """
    members = run(_members(etcd, broker))
    _tell(members)
    output.print_items("BrokerList", [each.item() for each in members.brokers], _COLUMNS)


async def _members(etcd: EtcdAccess, broker: Broker) -> Members:
    async with broker.connect() as client:
        return await members_of(client, etcd)


def _tell(members: Members) -> None:
    if members.etcd_error:
        click.echo(f"note: {members.etcd_error}; brokers were asked instead", err=True)
    for note in members.notes:
        click.echo(f"note: {note}", err=True)


# Describe.


@command.command(
    "describe",
    cls=Verb,
    epilog="""
    journalctl brokers describe broker-0
    journalctl brokers describe broker-0 -o json --query 'items[0].disk_free'
    """,
)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@output_options()
@etcd_options
@broker_options
def describe(names: tuple[str, ...], output: Output, etcd: EtcdAccess, broker: Broker) -> None:
    """Describe brokers: what they serve, the disk under their spools, and their clock.

    NAME is ZONE/SUFFIX as in `journalctl brokers list`, or the suffix alone. Each broker is asked
    at its own endpoint.
    """
    members, items = run(_describe(names, etcd, broker))
    _tell(members)
    if output.format or output.columns or output.query:
        output.print_items("BrokerDescriptionList", items, _COLUMNS)
    else:
        click.echo("\n\n".join("\n".join(_lines(item)) for item in items))


async def _describe(
    names: tuple[str, ...], etcd: EtcdAccess, broker: Broker
) -> tuple[Members, list[dict[str, Any]]]:
    async with broker.connect() as client:
        members = await members_of(client, etcd)
        by_id = {each.id: each for each in members.brokers}
        chosen = [by_id[find_member(name, tuple(by_id))] for name in names]
        journals = (await client.list()).journals
        return members, [await _item(client, each, journals) for each in chosen]


async def _item(
    client: "Client", member: ClusterMember, journals: "tuple[ListedJournal, ...]"
) -> dict[str, Any]:
    told = await client.inspect_broker(member.endpoint)
    return (
        member.item()
        | {"refusal": told.refusal}
        | _told(told)
        | {
            "journals": [
                {"name": j.spec.name, "is_primary": j.route.primary_id == member.id}
                for j in journals
                if member.id in j.route.members
            ]
        }
    )


def _told(told: "InspectedBroker") -> dict[str, Any]:
    if told.refusal:
        return {}
    return {
        "spool_used": told.spool_used_bytes,
        "spool_max": told.spool_max_bytes,
        "disk_free": told.disk_free_bytes,
        "clock_ahead_s": round(told.clock_ahead_s, 3),
        "clock_error_s": round(told.clock_error_s, 3),
        "max_replication": told.max_replication,
    }


def _lines(item: Mapping[str, Any]) -> Iterator[str]:
    yield click.style(item["name"], bold=True)
    for title, value in _facts(item):
        yield f"  {title:{_TITLE_WIDTH}}{value}"
    if item["journals"]:
        yield "  Journals"
        for journal in item["journals"]:
            yield f"    {journal['name']}{' (primary)' if journal['is_primary'] else ''}"


def _facts(item: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "Status", item["status"]
    yield "Endpoint", item["endpoint"] or "unknown"
    limit = "" if item["limit"] is None else f" of at most {item['limit']}"
    yield "Load", f"{item['assignments']} journals{limit}, {item['primaries']} as primary"
    if item["refusal"]:
        yield "Itself", item["refusal"]
        return
    yield (
        "Spools",
        f"{format_size(item['spool_used'])} of at most {format_size(item['spool_max'])};"
        f" {format_size(item['disk_free'])} of the disk are free",
    )
    ahead = item["clock_ahead_s"]
    side = "ahead of" if ahead >= 0 else "behind"
    yield "Clock", f"{abs(ahead):.3f} s {side} ours, give or take {item['clock_error_s']:.3f} s"


# Drain.

_DRAIN_COLUMNS = (
    Column("NAME", lambda item: item["name"]),
    Column("STATUS", lambda item: item["status"]),
    Column("JOURNALS", lambda item: item["assignments"]),
)

_AFTER = {
    "ours": "It takes no journals until it restarts. End it by SIGTERM, which is quick now.",
    "gazette": "A broker of Gazette ends by itself once it has no journals. Do not signal it"
    " before: it would end at once, with what it holds.",
    "unknown": "It could not be asked which kind of broker it is: do not signal it before it is"
    " drained.",
}


@command.command(
    "drain",
    cls=Verb,
    epilog="""
    journalctl brokers drain broker-1 --dry-run
    journalctl brokers drain broker-1 --yes --wait
    """,
)
@click.argument("name", metavar="NAME")
@click.option("--dry-run", is_flag=True, help="Say what would happen, and change nothing.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@duration_option(
    "--wait",
    is_flag=False,
    flag_value="10m",
    default=None,
    help="Wait until it has no journals; 10m if no time is given (--wait=1h).",
)
@output_options()
@etcd_options
@changing_broker_options
def drain(
    name: str,
    dry_run: bool,
    yes: bool,
    wait: float | None,
    output: Output,
    etcd: EtcdAccess,
    broker: Broker,
) -> None:
    """Have other brokers take over all journals of a broker, before it is ended.

    It is marked as exiting in etcd, as it marks itself when it gets SIGTERM: so etcd must be
    reached from here. Appends go on meanwhile. The mark stays until the broker ends or restarts;
    one which loses its lease joins anew without it.

    A broker of Gazette ends by itself once it has no journals. Do not signal it before: it would
    end at once. Ends with 6 if it was not drained in time, and says what is missing.
    """
    etcd.require("a broker is drained by its key in etcd")
    try:
        item, kind = run(_drain(name, etcd, broker, is_dry=dry_run, is_sure=yes, wait_s=wait))
    except EtcdError as exc:
        raise unavailable(etcd, exc) from exc
    output.print_items("BrokerDrainList", [item], _DRAIN_COLUMNS)
    if item["status"] == "left":
        return
    click.echo(f"note: {_AFTER[kind]}", err=True)


async def _drain(
    name: str,
    etcd: EtcdAccess,
    broker: Broker,
    *,
    is_dry: bool,
    is_sure: bool,
    wait_s: float | None,
) -> tuple[dict[str, Any], str]:
    async with etcd.connect() as connected, broker.connect() as client:
        keyspace = await etcd.load(connected)
        found = find_member(name, sorted(keyspace.members))
        member = keyspace.members[found]
        kind, max_replication = await _kind(client, member.broker.endpoint)
        work = Drain(etcd=etcd, connected=connected, member=found, max_replication=max_replication)
        journals = work.assigned(keyspace)
        if obstacle := work.obstacle(keyspace):
            click.echo(f"note: {found} cannot be drained wholly now: {obstacle}", err=True)
        if is_dry:
            return _drained(found, "would-drain", journals), kind
        if not member.broker.exiting:
            if len(keyspace.members) == 1:
                raise usage(
                    f"broker {found}",
                    "it is the only one: nobody could take its journals",
                    "Start another broker first; or end this one, which keeps all in its store.",
                )
            confirm(
                f"Have other brokers take over the {journals} journals of {found}?",
                is_sure=is_sure,
            )
            await work.mark(member)
        if wait_s is None:
            return _drained(found, "exiting", journals), kind

        def tell(left: int) -> None:
            click.echo(f"{found}: {left} journals left", err=True)

        status = await work.wait(member.lease, wait_s, tell)
        return _drained(found, status, 0), kind


async def _kind(client: "Client", endpoint: str) -> tuple[str, int]:
    """Return whose broker is there, and what bounds replication."""
    from gazette_py.client.inspection import NOT_OURS

    told = await client.inspect_broker(endpoint)
    if not told.refusal:
        return "ours", told.max_replication
    return ("gazette" if told.refusal == NOT_OURS else "unknown"), REPLICATION_MAX


def _drained(name: object, status: str, journals: int) -> dict[str, Any]:
    return {"name": str(name), "status": status, "assignments": journals}
