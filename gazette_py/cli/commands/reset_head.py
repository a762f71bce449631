"""`journalctl reset-head`: let journals go on whose brokers have lost what came last.

It first looks, by an append without content, which journals refuse appends for that reason; only
those are changed, and only after a question. Nothing stored is touched. While a broker is about to
leave, what it holds may be what is missing: nothing is changed then, unless by force.
"""

from typing import TYPE_CHECKING, Any

import click

from gazette_py.cli.confirm import confirm
from gazette_py.cli.connection import Broker, changing_broker_options
from gazette_py.cli.errors import CommandError, ExitCode, Failure
from gazette_py.cli.etcd_options import EtcdAccess, etcd_options
from gazette_py.cli.fanout import Outcomes, for_each
from gazette_py.cli.members import ClusterMember, Source, members_of
from gazette_py.cli.options import output_options
from gazette_py.cli.quantities import format_size
from gazette_py.cli.render import Column, Output
from gazette_py.cli.selection import Selection, selection_options
from gazette_py.cli.verb import Verb, run
from gazette_py.errors import IndexHasGreaterOffsetError, WrongAppendOffsetError
from gazette_py.protocol.enums import AppendSuspend, SuspendLevel

if TYPE_CHECKING:
    from gazette_py.client.client import Client

_COLUMNS = (
    Column("NAME", lambda item: item["name"]),
    Column("STATUS", lambda item: item["status"]),
    Column("HEAD", lambda item: item["head"]),
)


@click.command(
    "reset-head",
    cls=Verb,
    epilog="""
    journalctl reset-head acme/orders --dry-run
    journalctl reset-head acme/ --yes
    journalctl reset-head -l env=prod --yes -o jsonl
    """,
)
@selection_options
@click.option("--dry-run", is_flag=True, help="Print which journals need it, and change none.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--force", is_flag=True, help="Also while a broker is exiting, and may hold what is missing."
)
@output_options()
@etcd_options
@changing_broker_options
def command(
    selection: Selection,
    dry_run: bool,
    yes: bool,
    force: bool,
    output: Output,
    etcd: EtcdAccess,
    broker: Broker,
) -> None:
    """Let journals go on at the end of what is stored.

    When all brokers of a journal were lost at once, the others know of stored fragments which reach
    beyond what they hold. They refuse appends then (INDEX_HAS_GREATER_OFFSET): a lost broker may
    come back with content which is in no store. If none can, this has the journal go on behind its
    last fragment. What the lost brokers had not stored stays lost.

    Journals which need nothing (ok) are left as they are; so are those which somebody else has
    appended to meanwhile (raced), and suspended ones.

    A broker which is exiting, and has not stored all of what it holds, may have what is missing.
    While there is one this changes nothing and ends with 4: wait until it has gone.
    """
    selection.require()
    outcomes = run(_reset(selection, broker, etcd, is_dry=dry_run, is_sure=yes, is_forced=force))
    output.print_items("HeadResetList", list(outcomes.results.values()), _COLUMNS)
    outcomes.raise_errors()


async def _reset(
    selection: Selection,
    broker: Broker,
    etcd: EtcdAccess,
    *,
    is_dry: bool,
    is_sure: bool,
    is_forced: bool,
) -> Outcomes[dict[str, Any]]:
    async with broker.connect() as client:
        listed = (await selection.list(client)).journals
        asked = [j.spec.name for j in listed if j.spec.suspend.level is not SuspendLevel.FULL]
        planned = await for_each(asked, lambda name: _plan(client, name))
        needed = [n for n, item in planned.results.items() if item["status"] == "needs-reset"]
        if is_dry or not needed:
            return planned
        if not is_forced:
            await _require_nobody_leaves(client, etcd)
        others = f" and {len(needed) - 1} more" if len(needed) > 1 else ""
        confirm(
            f"Have {needed[0]}{others} go on behind the last stored fragment, without what no"
            " broker holds?",
            is_sure=is_sure,
        )

        async def reset(name: str) -> dict[str, Any]:
            head = planned.results[name]["head"]
            try:
                await client.append(name, offset=head, suspend=AppendSuspend.KEEP)
            except WrongAppendOffsetError:
                return _item(name, "raced", head)
            return _item(name, "reset", head)

        done = await for_each(needed, reset)
    failed = planned.errors | done.errors
    results = planned.results | done.results
    return Outcomes({n: item for n, item in results.items() if n not in failed}, failed)


async def _require_nobody_leaves(client: "Client", etcd: EtcdAccess) -> None:
    """Refuse to go on while a broker which may hold what is missing is about to leave.

    Raises:
        CommandError: One is.
    """
    members = await members_of(client, etcd)
    if members.source is Source.ROUTES:
        click.echo(
            "note: it is not known whether a broker is exiting; --etcd.address would tell", err=True
        )
    for member in members.brokers:
        if member.is_exiting and (held := await _held(client, member)):
            raise CommandError(
                Failure(
                    code=ExitCode.CONFLICT,
                    status="BROKER_EXITING",
                    what=f"broker {member.id}",
                    detail=f"it is exiting, and may hold what is missing: {held}",
                    hints=(
                        "Wait until it has stored what it holds and has gone, as `journalctl"
                        " brokers list` shows; or give --force if that is of no use.",
                    ),
                )
            )


async def _held(client: "Client", member: ClusterMember) -> str:
    """Return what a broker may hold which is in no store; "" if nothing."""
    told = await client.inspect_broker(member.endpoint)
    if told.refusal:
        return told.refusal
    # Copies of what is stored are among it, which is to err on the safe side.
    used = told.spool_used_bytes
    return f"{format_size(used)} are in its spools" if used else ""


async def _plan(client: "Client", name: str) -> dict[str, Any]:
    try:
        done = await client.append(name, suspend=AppendSuspend.KEEP)
    except IndexHasGreaterOffsetError:
        return _item(name, "needs-reset", await client.write_head(name))
    return _item(name, "ok", done.commit.end)


def _item(name: str, status: str, head: int) -> dict[str, Any]:
    return {"name": name, "status": status, "head": head}
