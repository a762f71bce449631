"""What is wrong with a journal, by what was seen of it. Pure; see `diagnosis`."""

from collections.abc import Iterable, Iterator

from gazette_py.cli.doctor_facts import BrokerFacts, Facts, JournalFacts, Trouble
from gazette_py.cli.findings import (
    REFUSED,
    SILENT,
    Cause,
    Finding,
    admission,
    note,
    problem,
    warning,
)
from gazette_py.protocol.enums import JournalFlag, SuspendLevel
from gazette_py.protocol.route import ProcessID

_WAITING = ("FRAGMENT_STORE_UNHEALTHY", *SILENT)
"""How appends end which a store keeps waiting: brokers give it some time to become healthy."""


def diagnose_journal(
    journal: JournalFacts, facts: Facts, silent: set[ProcessID], bad_stores: set[str]
) -> Iterator[Finding]:
    """Yield what is wrong with it.

    Args:
        journal: To judge.
        facts: All that was seen.
        silent: Brokers which do not answer, of which it was told.
        bad_stores: URLs of stores which cannot be used, likewise.
    """
    subject, spec = f"journal {journal.name}", journal.spec
    if spec is None:
        yield _not_found(journal)
        return
    explained = list(_as_wanted(journal))
    explained += _replicas(journal, facts.max_replication)
    explained += _ahead(journal, facts.brokers)
    yield from explained
    failed = [(c, what, t) for c, what, t in _failed(journal) if t.status not in REFUSED]
    refused = [t for _, _, t in _failed(journal) if t.status in REFUSED]
    if refused:
        yield admission(facts, subject, refused[0].detail)
    is_cut_off = any(member in silent for member in journal.route.members)
    for cause, what, trouble in failed:
        if not (
            _explains(explained, trouble.status)
            or (is_cut_off and trouble.status in SILENT)
            or (trouble.status in _WAITING and bad_stores & set(spec.fragment.stores))
        ):
            evidence = f"{trouble.status}: {trouble.detail}"
            yield problem(
                cause, subject, what, evidence, f"gazette-journalctl describe {journal.name}"
            )


def _failed(journal: JournalFacts) -> Iterator[tuple[Cause, str, Trouble]]:
    if journal.append is not None:
        yield Cause.APPEND_REFUSED, "it takes no appends", journal.append
    if journal.read is not None:
        yield Cause.READ_REFUSED, "it cannot be read", journal.read


_TOO_FEW = ("NO_JOURNAL_PRIMARY_BROKER", "INSUFFICIENT_JOURNAL_BROKERS")

_EXPLAINED = {
    **dict.fromkeys(_TOO_FEW, (Cause.NO_PRIMARY, Cause.TOO_FEW_BROKERS, Cause.NO_ROOM)),
    "INDEX_HAS_GREATER_OFFSET": (Cause.INDEX_AHEAD,),
    "SUSPENDED": (Cause.SUSPENDED,),
    "NOT_ALLOWED": (Cause.FLAGS,),
}


def _explains(found: Iterable[Finding], status: str) -> bool:
    """Tell whether one of the findings is why calls end with the status (DG2)."""
    return any(finding.cause in _EXPLAINED.get(status, ()) for finding in found)


def _not_found(journal: JournalFacts) -> Finding:
    near = " or ".join(journal.near)
    return problem(
        Cause.NOT_FOUND,
        f"journal {journal.name}",
        "brokers know of no such journal, or do not show it to us",
        f"there is {near}" if near else "no name is like it",
        f"gazette-journalctl doctor {journal.near[0]}"
        if near
        else "gazette-journalctl list  # names all; journalctl apply -f FILE creates one",
    )


def _as_wanted(journal: JournalFacts) -> Iterator[Finding]:
    """Tell what the spec itself forbids."""
    spec, subject = journal.spec, f"journal {journal.name}"
    assert spec is not None
    if spec.suspend.level is SuspendLevel.FULL:
        yield note(
            Cause.SUSPENDED,
            subject,
            "it is suspended, so no broker serves it: reads are refused until an append, which is"
            " not, has brokers take it up again",
            f"it goes on at offset {spec.suspend.offset}",
            f"gazette-journalctl resume {journal.name}",
        )
    if not spec.is_writable or not spec.is_readable:
        yield note(
            Cause.FLAGS,
            subject,
            "its flags say that nobody may "
            + ("append to it" if not spec.is_writable else "read it"),
            f"flags are {JournalFlag(spec.flags).name}",
            f"gazette-journalctl list {journal.name} -o yaml  # change `flags`, and apply it",
        )


def _replicas(journal: JournalFacts, max_replication: int) -> Iterator[Finding]:
    spec, subject = journal.spec, f"journal {journal.name}"
    assert spec is not None
    wanted = spec.desired_replication(max_replication or spec.replication)
    have = len(journal.route.members)
    served = f"{have} of {wanted} brokers serve it"
    evidence = f"{served}; {journal.limit_reason}" if journal.limit_reason else served
    is_short = journal.limit in ("members", "limits") or have < wanted
    is_bound = journal.is_tried and journal.append is None
    is_known = bool(max_replication) or (
        journal.append is not None and journal.append.status in _TOO_FEW
    )
    if is_short and (is_bound or not is_known):
        yield (note if is_bound else warning)(
            Cause.TOO_FEW_BROKERS,
            subject,
            "fewer brokers serve it than it asks for"
            + (", and it takes appends: they bound it" if is_bound else ": perhaps they bound it")
            + " by --broker.max-replication",
            evidence,
            "gazette-py serve --broker.max-replication N ...  # on all brokers alike",
        )
    elif is_short:
        is_full = journal.limit == "limits"
        yield problem(
            Cause.NO_ROOM if is_full else Cause.TOO_FEW_BROKERS,
            subject,
            "it takes no appends: brokers have no room for all of its replicas"
            if is_full
            else "it takes no appends: there are not as many brokers as it wants replicas",
            evidence,
            "gazette-py serve ...  # one more broker; or raise --broker.limit"
            if is_full
            else "gazette-py serve ...  # one more broker; or lower its `replication`",
        )
    if wanted and journal.route.primary < 0:
        yield problem(
            Cause.NO_PRIMARY,
            subject,
            "it takes no appends: no broker is its primary. One has just gone, or none has room",
            evidence,
            f"gazette-journalctl wait {journal.name} --for=primary  # if one has room, it passes",
        )
    if journal.limit == "zones":
        yield warning(
            Cause.TOO_FEW_ZONES,
            subject,
            "all of its replicas are in one zone, and would be lost together",
            evidence,
            "gazette-py serve --broker.zone ZONE ...  # a broker in another zone",
        )


def _ahead(journal: JournalFacts, brokers: Iterable[BrokerFacts]) -> Iterator[Finding]:
    if journal.append is None or journal.append.status != "INDEX_HAS_GREATER_OFFSET":
        return
    leaving = [str(broker.id) for broker in brokers if broker.is_exiting]
    evidence = (
        f"stored fragments end at {journal.stored_end}, beyond what any of its brokers holds"
        if journal.stored_end is not None
        else journal.append.detail
    )
    if leaving:
        evidence += f"; {' and '.join(leaving)} may still store what is missing"
    yield problem(
        Cause.INDEX_AHEAD,
        f"journal {journal.name}",
        "it takes no appends: all brokers which held its end are gone, and no offset may be"
        " written twice in case one comes back",
        evidence,
        f"gazette-journalctl reset-head {journal.name}  # only once none of them can come back",
    )
