"""`journalctl doctor`: why a journal cannot be appended to or read, and what mends it.

It only looks: appends without content, and checks which brokers do anyway.
"""

from collections.abc import Iterator
from typing import Any

import click

from gazette_py.cli.connection import Broker, broker_options
from gazette_py.cli.diagnosis import diagnose
from gazette_py.cli.doctor_facts import Facts
from gazette_py.cli.errors import ExitCode
from gazette_py.cli.etcd_options import EtcdAccess, etcd_options
from gazette_py.cli.examination import examine
from gazette_py.cli.findings import Finding, Severity
from gazette_py.cli.options import output_options
from gazette_py.cli.render import Column, Output
from gazette_py.cli.selection import Selection, selection_options
from gazette_py.cli.verb import Verb, run

_COLORS = {Severity.PROBLEM: "red", Severity.WARNING: "yellow", Severity.NOTE: "blue"}

_COLUMNS = (
    Column("SEVERITY", lambda item: item["severity"]),
    Column("CAUSE", lambda item: item["cause"]),
    Column("SUBJECT", lambda item: item["subject"]),
    Column("SAYS", lambda item: item["says"]),
    Column("EVIDENCE", lambda item: item["evidence"], is_wide=True),
    Column("MEND", lambda item: item["mend"], is_wide=True),
)


@click.command(
    "doctor",
    cls=Verb,
    epilog="""
    journalctl doctor acme/orders
    journalctl doctor -l env=prod -o jsonl
    journalctl doctor -o json --query 'items[].mend'
    """,
)
@selection_options
@click.option(
    "--check-delete",
    is_flag=True,
    help="Have a broker try to delete from stores, too. Where it may not, a small file stays.",
)
@output_options()
@etcd_options
@broker_options
def command(
    selection: Selection, check_delete: bool, output: Output, etcd: EtcdAccess, broker: Broker
) -> None:
    """Tell why journals cannot be appended to, or read, and what mends it.

    Each journal which is named or selected is tried by an append without content and a read of its
    first byte; its brokers, their disks and clocks, and its stores are looked at: of stores, how
    brokers' last check and listing went. Without a name or -l, journals are looked at in the
    listing only; and whether the short name `journalctl` stands before systemd's.

    problem: appends or reads fail. warning: they work, and something is not as it should be. note:
    it is as somebody wanted it. Ends with 8 if there is a problem or a warning, else with 0.
    """
    is_chosen = bool(selection.names) or selection.selector is not None
    facts = run(examine(broker, etcd, selection if is_chosen else None, check_delete=check_delete))
    findings = diagnose(facts)
    if output.format or output.columns or output.query:
        output.print_items("Diagnosis", [_item(f) for f in findings], _COLUMNS, name="cause")
    elif findings:
        click.echo("\n\n".join("\n".join(_lines(finding)) for finding in findings))
    if any(finding.severity is not Severity.NOTE for finding in findings):
        click.get_current_context().exit(ExitCode.UNHEALTHY)
    click.echo(f"Nothing is wrong with {_seen(facts)}.", err=True)


def _seen(facts: Facts) -> str:
    counts = (
        (len(facts.journals), "journals"),
        (len(facts.brokers), "brokers"),
        (len(facts.stores), "stores"),
    )
    return ", ".join(f"{n} {word.removesuffix('s') if n == 1 else word}" for n, word in counts)


def _item(finding: Finding) -> dict[str, Any]:
    return {
        "severity": finding.severity.value,
        "cause": finding.cause.value,
        "subject": finding.subject,
        "says": finding.says,
        "evidence": finding.evidence,
        "mend": finding.mend,
    }


def _lines(finding: Finding) -> Iterator[str]:
    severity = click.style(finding.severity.value, fg=_COLORS[finding.severity])
    yield f"{severity}: {finding.subject}: {finding.says}"
    yield f"  seen  {finding.evidence}"
    yield f"  mend  {finding.mend}"
