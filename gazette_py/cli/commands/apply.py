"""`journalctl apply`: have journals be as YAML files say."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from gazette_py.cli.changes import (
    Action,
    Current,
    Planned,
    Revisions,
    batches,
    deletions,
)
from gazette_py.cli.confirm import confirm
from gazette_py.cli.connection import Broker, changing_broker_options
from gazette_py.cli.errors import usage
from gazette_py.cli.options import duration_option, output_options
from gazette_py.cli.planning import (
    check_revisions_of_deletions,
    plan_changes,
    read_entries,
)
from gazette_py.cli.render import Output
from gazette_py.cli.selection import Selection
from gazette_py.cli.send_changes import (
    COLUMNS,
    TXN_SIZE_DEFAULT,
    check_conflicts,
    item_of,
    send,
    show_changes,
    summary,
    wait_served,
)
from gazette_py.cli.tree import Entry
from gazette_py.cli.verb import Verb, run
from gazette_py.clock import SYSTEM
from gazette_py.errors import RpcUnauthenticatedError
from gazette_py.protocol.journal import JournalSpec
from gazette_py.protocol.labels import LabelSelector

if TYPE_CHECKING:
    from gazette_py.client.client import Client

_ATOMIC_SIZE_MAX = 128
"""Operations which etcd takes in one transaction by default."""


@dataclass(kw_only=True)
class _Apply:
    """The options of a run, and what it has done."""

    entries: list[Entry]
    revisions: Revisions
    preserve_suspend: bool
    prune: LabelSelector | None
    is_sure: bool
    is_dry: bool
    txn_size_max: int
    is_atomic: bool
    wait_s: float | None
    items: list[dict[str, Any]] = field(default_factory=list)

    async def run(self, broker: Broker) -> None:
        """Plan against what there is, send, and wait if asked to."""
        async with broker.connect() as client:
            planned = await plan_changes(
                client, self.entries, self.revisions, preserve_suspend=self.preserve_suspend
            )
            if self.prune is not None:
                planned += await self._deletions(client, self.prune)
            if self.is_atomic and len(batches(planned, _ATOMIC_SIZE_MAX)) > 1:
                raise usage(
                    "--atomic",
                    f"one transaction takes {_ATOMIC_SIZE_MAX} changes, these are more",
                    "Apply the journals in parts, or without --atomic.",
                )
            check_conflicts(planned)
            if self.is_dry:
                _check_allowed(broker, planned)
                self.items += [item_of(change, change.current_revision) for change in planned]
                return
            for change in planned:
                if change.action is Action.UNCHANGED:
                    self.items.append(item_of(change, change.current_revision))
            show_changes(planned)
            async for change, revision in send(client, planned, self.txn_size_max):
                self.items.append(item_of(change, revision))
            if self.wait_s is not None:
                kept = {p.spec.name for p in planned if p.action is not Action.DELETED}
                await wait_served(client, kept, self.wait_s)

    async def _deletions(self, client: "Client", selector: LabelSelector) -> list[Planned]:
        """Plan the deletion of journals which match, and are not in the input."""
        matching = (await client.list(selector)).journals
        pruned = deletions(
            [Current(spec=journal.spec, revision=journal.mod_revision) for journal in matching],
            [entry.spec.name for entry in self.entries],
        )
        if pruned and not self.is_dry:
            confirm(
                f"Delete {len(pruned)} journals which the input does not have, such as"
                f" {pruned[0].spec.name}?",
                is_sure=self.is_sure,
            )
        return pruned


def _check_allowed(broker: Broker, changes: Sequence[Planned]) -> None:
    """Refuse what the brokers would, by the token which we bear; keys allow for everything.

    Raises:
        RpcUnauthenticatedError: The token has expired, or does not allow a change.
        ValidationError: It is none of ours.
    """
    if broker.auth_keys or not broker.auth_token:
        return
    from gazette_py.protocol.claims import Capability
    from gazette_py.rpc.tokens import check_times, read_unverified

    claims = read_unverified(broker.auth_token)
    check_times(claims, SYSTEM.now())
    for change in changes:
        is_deleted = change.action is Action.DELETED
        named = JournalSpec(name=change.spec.name)  # To delete one, its name must be selected.
        labels = (named if is_deleted else change.spec).selectable_labels()
        is_allowed = Capability.APPLY in claims.capability and claims.selector.matches(labels)
        if change.action is not Action.UNCHANGED and not is_allowed:
            raise RpcUnauthenticatedError(
                broker.address,
                "PERMISSION_DENIED",
                f"the token does not allow changes of journal {change.spec.name}",
            )


def _selector(text: str) -> LabelSelector | None:
    if not text:
        return None
    if not text.strip():
        raise usage("--prune-selector", "it is empty, and would delete every other journal")
    return Selection(names=(), selector=text, allow_empty=True).label_selector()


@click.command(
    "apply",
    cls=Verb,
    epilog="""
    journalctl apply -f journals.yaml
    journalctl apply -f specs/ -R --revision=upsert --wait
    journalctl apply -f journals.yaml --dry-run=server
    journalctl list acme/ -o yaml | sed 's/replication: 1/replication: 3/' | journalctl apply -f -
    """,
)
@click.option(
    "-f",
    "--file",
    "files",
    multiple=True,
    required=True,
    metavar="FILE|DIR|-",
    help="What to apply.",
)
@click.option("-R", "--recursive", is_flag=True, help="Also files deeper in directories.")
@click.option(
    "--dry-run",
    type=click.Choice(["none", "client", "server"]),
    default="none",
    show_default=True,
    help="client: check the files alone. server: tell what would change, and whether we may.",
)
@click.option(
    "--revision",
    type=click.Choice([r.value for r in Revisions]),
    default=Revisions.STRICT.value,
    show_default=True,
    help="strict: journals must be at the revision in the file, or not exist if it has none."
    " upsert: use their present revisions. ignore: whatever they are.",
)
@click.option(
    "--preserve-suspend/--no-preserve-suspend",
    default=True,
    show_default=True,
    help="Keep journals suspended where the file does not tell.",
)
@click.option(
    "--prune-selector",
    metavar="SELECTOR",
    default="",
    help="Delete the journals which match, and are not in the files.",
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask before --prune-selector deletes.")
@click.option(
    "--max-txn-size",
    type=click.IntRange(min=1),
    default=TXN_SIZE_DEFAULT,
    show_default=True,
    help="Changes to make in one transaction of etcd.",
)
@click.option("--atomic", is_flag=True, help="Make all changes in one transaction, or none.")
@duration_option(
    "--wait",
    is_flag=False,
    flag_value="30s",
    default=None,
    help="Wait until enough brokers serve the journals; 30s if no time is given (--wait=1m).",
)
@output_options()
@changing_broker_options
def command(
    files: tuple[str, ...],
    recursive: bool,
    dry_run: str,
    revision: str,
    preserve_suspend: bool,
    prune_selector: str,
    yes: bool,
    max_txn_size: int,
    atomic: bool,
    wait: float | None,
    output: Output,
    broker: Broker,
) -> None:
    """Create, update and delete journals, as YAML files say.

    A file has a tree of journals, as `journalctl list -o yaml` prints, or several of them. A
    directory's fields are defaults of all below it. `delete: true` deletes. What is already as it
    should be is not sent. On a terminal, what changes is shown before it does.
    """
    entries = read_entries(files, recursive=recursive)
    if dry_run == "client":
        items = [_checked(entry) for entry in entries]
        output.print_items("ChangeList", items, COLUMNS)
        return
    revisions = Revisions(revision)
    if revisions is Revisions.STRICT:
        check_revisions_of_deletions(entries)
    work = _Apply(
        entries=entries,
        revisions=revisions,
        preserve_suspend=preserve_suspend,
        prune=_selector(prune_selector),
        is_sure=yes,
        is_dry=dry_run == "server",
        is_atomic=atomic,
        txn_size_max=_ATOMIC_SIZE_MAX if atomic else max_txn_size,
        wait_s=wait,
    )
    try:
        run(work.run(broker))
    except BaseException:
        if work.items:  # What was done is told also if not all could be.
            output.print_items("ChangeList", work.items, COLUMNS)
        raise
    output.print_items("ChangeList", work.items, COLUMNS)
    click.echo(summary(work.items, is_dry=work.is_dry), err=True)


def _checked(entry: Entry) -> dict[str, Any]:
    action = "delete" if entry.delete else "upsert"
    return {"name": entry.spec.name, "action": action, "revision": entry.revision}
