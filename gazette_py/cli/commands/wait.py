"""`journalctl wait`: for journals to be served, consistent, so long, or stored. It changes none."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import click

from gazette_py.cli.conditions import Condition, lacking, parse_condition
from gazette_py.cli.connection import Broker, broker_options
from gazette_py.cli.errors import CommandError, ExitCode, Failure
from gazette_py.cli.fanout import for_each
from gazette_py.cli.options import duration_option, output_options
from gazette_py.cli.render import Column, Output
from gazette_py.cli.selection import Selection, selection_options
from gazette_py.cli.verb import Verb, run
from gazette_py.clock import SYSTEM
from gazette_py.errors import GazetteError
from gazette_py.protocol.enums import SuspendLevel

if TYPE_CHECKING:
    from gazette_py.client.client import Client
    from gazette_py.client.listing import ListedJournal

_POLL_S = 0.3

_CALL_S_MAX = 3.0
"""Of a call: one which waits for longer would hide that another journal is there, or what lacks."""

_COLUMNS = (
    Column("NAME", lambda item: item["name"]),
    Column("STATUS", lambda item: item["status"]),
    Column("LACKS", lambda item: item["lacks"]),
)


def _conditions(
    ctx: click.Context, param: click.Parameter, values: tuple[str, ...]
) -> tuple[Condition, ...]:
    try:
        return tuple(map(parse_condition, values)) or (Condition("consistent"),)
    except ValueError as exc:
        raise click.BadParameter(str(exc), ctx, param) from exc


@click.command(
    "wait",
    cls=Verb,
    epilog="""
    journalctl wait acme/orders --for=primary
    journalctl wait -l env=prod --for=consistent --timeout 1m
    journalctl wait acme/orders --for='head>=1' -o json
    journalctl wait acme/orders --for=persisted --timeout 5s || echo "not all is stored yet"
    """,
)
@selection_options
@click.option(
    "--for",
    "conditions",
    metavar="WHAT",
    multiple=True,
    callback=_conditions,
    help="primary, consistent, head>=N or persisted; several: all of them. Default: consistent.",
)
@duration_option("--timeout", default="30s", show_default=True, help="How long to wait.")
@output_options()
@broker_options
def command(
    selection: Selection,
    conditions: tuple[Condition, ...],
    timeout: float,
    output: Output,
    broker: Broker,
) -> None:
    """Wait until journals are as they should be.

    primary: a broker takes its appends. consistent: as many brokers serve it as it asks for, and
    they agree on it; fully suspended journals ask for none. head>=N: it has content up to offset N.
    persisted: all that it held when the wait began is in a store. An open fragment is stored once
    it is full, its flush interval has passed, or the journal is suspended.

    A journal is done with once it was so. Ends with 6 when time is over, and says what still lacks.
    """
    selection.require()
    work = _Wait(selection=selection, conditions=conditions, timeout_s=timeout)
    run(work.run(broker))
    output.print_items("WaitList", work.items(), _COLUMNS)
    if work.lacks:
        raise work.failure()


@dataclass(slots=True, kw_only=True)
class _Wait:
    selection: Selection
    conditions: Sequence[Condition]
    timeout_s: float
    names: list[str] = field(default_factory=list)
    lacks: dict[str, str] = field(default_factory=dict)  # By journal which is not done: what.
    heads: dict[str, int] = field(default_factory=dict)  # As the wait began.

    async def run(self, broker: Broker) -> None:
        """Wait until nothing lacks, or time is over."""
        deadline = SYSTEM.monotonic() + self.timeout_s
        async with broker.connect() as client:
            found = (await self.selection.list(client)).journals
        self.names = [journal.spec.name for journal in found]
        self.lacks = dict.fromkeys(self.names, "it was not looked at yet")
        hasty = replace(broker, timeout_s=min(broker.timeout_s, _CALL_S_MAX))
        async with hasty.connect() as client:
            while True:
                await self._look(client)
                if not self.lacks or SYSTEM.monotonic() >= deadline:
                    return
                await SYSTEM.sleep(min(_POLL_S, max(0.0, deadline - SYSTEM.monotonic())))

    async def _look(self, client: "Client") -> None:
        """Look at the journals which lack something."""
        try:
            listed = (await client.list(self.selection.label_selector())).journals
        except GazetteError as exc:
            if not exc.retryable:
                raise
            self.lacks = dict.fromkeys(self.lacks, str(exc))
            return
        there = {journal.spec.name: journal for journal in listed}
        asked = [name for name in self.lacks if name in there]
        gone = dict.fromkeys(self.lacks.keys() - there.keys(), "it is gone, or not selected now")
        outcomes = await for_each(asked, lambda name: self._lacking(client, there[name]))
        for error in outcomes.errors.values():
            if not error.retryable:
                raise error
        failed = {name: str(error) for name, error in outcomes.errors.items()}
        found = gone | failed | {name: text for name, text in outcomes.results.items() if text}
        self.lacks = {name: found[name] for name in self.names if name in found}

    async def _lacking(self, client: "Client", journal: "ListedJournal") -> str:
        name = journal.spec.name
        if (
            Condition("persisted") in self.conditions
            and name not in self.heads
            and journal.spec.suspend.level is not SuspendLevel.FULL
        ):
            self.heads[name] = await client.write_head(name)
        found = [await lacking(client, journal, c, self.heads.get(name)) for c in self.conditions]
        return "; ".join(filter(None, found))

    def items(self) -> list[dict[str, Any]]:
        """Return an item for each journal."""
        return [
            {
                "name": name,
                "for": [str(condition) for condition in self.conditions],
                "status": "waiting" if name in self.lacks else "done",
                "lacks": self.lacks.get(name, ""),
            }
            for name in self.names
        ]

    def failure(self) -> CommandError:
        """Return the error of a wait which is over, and something lacks."""
        name, first = next(iter(self.lacks.items()))
        more = f", one of {len(self.lacks)}" if len(self.lacks) > 1 else ""
        wanted = " and ".join(str(condition) for condition in self.conditions)
        return CommandError(
            Failure(
                code=ExitCode.UNAVAILABLE,
                status="TIMEOUT",
                what=f"journal {name}{more}",
                detail=f"not {wanted} after {self.timeout_s:g}s: {first}",
                hints=(f"`journalctl doctor {name}` tells why.",),
            )
        )
