"""What is wrong, by what was seen: causes in plain words, with what mends them. Pure.

Invariants:
    DG1  Each finding has evidence which was seen now, and a way out.
    DG2  One cause is told once: what follows from a finding is no finding of its own.
    DG3  A refusal which no cause explains is told as it is.
"""

from collections.abc import Iterable, Iterator
from statistics import median

from gazette_py.cli.doctor_facts import BrokerFacts, Facts, JournalFacts, Shadow, StoreFacts
from gazette_py.cli.findings import (
    CLOCK_S_MAX,
    REFUSED,
    SILENT,
    Cause,
    Finding,
    admission,
    ago,
    note,
    problem,
    warning,
)
from gazette_py.cli.journal_diagnosis import diagnose_journal

_FREE_MIN = 1 << 20
_SPOOL_SHARE_MAX = 0.98

_NOT_GRPC = ("HTTP/2", "http1")
"""What gRPC says of a server which speaks another HTTP."""


def diagnose(facts: Facts) -> tuple[Finding, ...]:
    """Return all findings, of what others depend on first."""
    found = list(_connection(facts))
    if facts.trouble is None:
        found += _brokers(facts)
        for store in facts.stores:
            found += _store(store)
        silent = {broker.id for broker in facts.brokers if broker.refusal}
        bad_stores = {store.url for store in facts.stores if store.error}
        found += _listings(facts.journals, bad_stores)
        for journal in facts.journals:
            found += diagnose_journal(journal, facts, silent, bad_stores)
    found += [_shadow(shadow) for shadow in facts.shadows]
    return tuple(found)


# The connection.


def _connection(facts: Facts) -> Iterator[Finding]:
    if facts.etcd_error:
        yield warning(
            Cause.ETCD,
            "etcd",
            "etcd cannot be reached from here, so brokers were asked instead",
            facts.etcd_error,
            "give --etcd.address as the brokers have it, or leave it out",
        )
    if facts.trouble is None:
        return
    status, detail = facts.trouble.status, facts.trouble.detail
    if status in REFUSED:
        yield admission(facts, f"brokers at {facts.address}", detail)
    elif status in SILENT and not any(mark in detail for mark in _NOT_GRPC):
        known = " or ".join(facts.known_endpoints)
        yield problem(
            Cause.WRONG_ADDRESS,
            f"address {facts.address}",
            "no broker answers there",
            f"{status}: {detail}",
            f"export BROKER_ADDRESS={facts.known_endpoints[0]}  # etcd knows {known}"
            if known
            else "export BROKER_ADDRESS=http://HOST:PORT  # of a broker which runs; 8080 is usual",
        )
    elif status in ("UNIMPLEMENTED", "UNKNOWN", "INTERNAL", *SILENT):
        yield problem(
            Cause.NOT_A_BROKER,
            f"address {facts.address}",
            "something answers there which is no broker",
            f"{status}: {detail}",
            "export BROKER_ADDRESS=http://HOST:PORT  # the gRPC port, not the HTTP port after it",
        )
    else:
        yield problem(
            Cause.CONNECTION,
            f"address {facts.address}",
            "brokers cannot be asked",
            f"{status}: {detail}",
            "see what it says",
        )


# Brokers.


def _brokers(facts: Facts) -> Iterator[Finding]:
    for broker in facts.brokers:
        if broker.refusal:
            yield _silent(broker)
        elif not broker.is_untold:
            yield from _disk(broker)
    yield from _clocks([b for b in facts.brokers if not b.refusal and not b.is_untold])


def _silent(broker: BrokerFacts) -> Finding:
    return problem(
        Cause.BROKER_SILENT,
        f"broker {broker.id}",
        "it is a member of the cluster, and does not answer: its journals wait for it until its"
        " lease (--etcd.lease) runs out",
        broker.refusal,
        f"start it again, or wait; is {broker.endpoint or 'its endpoint'} reachable from here?",
    )


def _disk(broker: BrokerFacts) -> Iterator[Finding]:
    used, most, free = broker.spool_used_bytes, broker.spool_max_bytes, broker.disk_free_bytes
    if free >= _FREE_MIN and used < most * _SPOOL_SHARE_MAX:
        return
    where = "the disk under its spools is full" if free < _FREE_MIN else "its spools are full"
    yield problem(
        Cause.DISK_FULL,
        f"broker {broker.id}",
        f"{where}: it takes no appends, and can be no replica of one",
        f"{used:,} of at most {most:,} bytes are in its spools, and {free:,} are free",
        "make room on the disk of --broker.spool-dir; if its stores are slow or away, mend those",
    )


def _clocks(brokers: list[BrokerFacts]) -> Iterator[Finding]:
    """Tell whose clock is off: ours, if brokers agree with each other."""
    if not brokers:
        return
    common = median(broker.clock_ahead_s for broker in brokers)
    agreeing = [b for b in brokers if _differs(b, common) <= CLOCK_S_MAX]
    is_ours = abs(common) > CLOCK_S_MAX and len(agreeing) > 1
    if is_ours:
        yield warning(
            Cause.CLOCK,
            "this machine",
            f"its clock is {_side(-common)} those of the brokers: they refuse tokens which are"
            " signed here",
            f"{len(agreeing)} brokers agree, {_side(common)} ours",
            "timedatectl set-ntp true",
        )
    for broker in brokers:
        if _differs(broker, common if is_ours else 0.0) > CLOCK_S_MAX:
            other = "those of other brokers" if is_ours else "ours"
            ahead = broker.clock_ahead_s - (common if is_ours else 0.0)
            yield warning(
                Cause.CLOCK,
                f"broker {broker.id}",
                f"its clock is {_side(ahead)} {other}: it misjudges tokens and the ends of flush"
                " intervals, and stores refuse what it signs if that is far",
                f"{broker.clock_ahead_s:+.1f} s, give or take {broker.clock_error_s:.1f} s",
                "timedatectl set-ntp true  # on the broker's machine; or here, if ours is wrong",
            )


def _differs(broker: BrokerFacts, other_s: float) -> float:
    return abs(broker.clock_ahead_s - other_s) - broker.clock_error_s


def _side(ahead_s: float) -> str:
    return f"{ago(abs(ahead_s))} {'ahead of' if ahead_s >= 0 else 'behind'}"


# Stores.


def _store(store: StoreFacts) -> Iterator[Finding]:
    whose = store.journals[0] if store.journals else ""
    if len(store.journals) > 1:
        whose += f" and {len(store.journals) - 1} more"
    if store.error:
        yield problem(
            Cause.STORE,
            f"store {store.url}",
            f"brokers cannot use it, which {whose} name: content piles up on their disks, and"
            " new journals take no appends",
            store.error,
            f"gazette-journalctl store health '{store.url}'  # once its server, credentials or"
            " bucket are mended",
        )
    elif store.delete_error:
        yield warning(
            Cause.STORE_DELETE,
            f"store {store.url}",
            "brokers may write and read it, and not delete: nothing can be pruned",
            store.delete_error,
            f"gazette-journalctl store health '{store.url}' --check-delete-prefix ''  # once the"
            " brokers' credentials allow it",
        )


def _listings(journals: Iterable[JournalFacts], bad_stores: set[str]) -> Iterator[Finding]:
    """Tell which stores brokers failed to list last, once for all journals of the same ones."""
    failed: dict[tuple[str, ...], dict[str, str]] = {}
    for journal in journals:
        stores = journal.spec.fragment.stores if journal.spec is not None else ()
        if journal.listing_errors and not bad_stores & set(stores):
            failed.setdefault(stores, {}).update(journal.listing_errors)
    for stores, errors in failed.items():
        broker, error = next(iter(errors.items()))
        more = f", and {len(errors) - 1} more" if len(errors) > 1 else ""
        yield problem(
            Cause.LISTING,
            f"store {' or '.join(stores)}",
            "brokers cannot list it: they do not see what is in it, and if it is away, content"
            " piles up on their disks",
            f"{broker}{more}: {error}",
            f"gazette-journalctl store health '{stores[0]}'  # once its server, network or"
            " credentials are mended",
        )


# This program.


def _shadow(shadow: Shadow) -> Finding:
    is_root = shadow.whose == "root"
    return (warning if is_root else note)(
        Cause.SHADOWED,
        f"command journalctl of {shadow.whose}",
        f"it is ours, and comes before systemd's: calls which are meant for {shadow.system} are"
        " handed over to it",
        f"{shadow.path} is found first",
        f"rm {shadow.path}  # gazette-journalctl stays; install by `uv tool install` or pipx"
        if is_root
        else "nothing need be done; in scripts, write gazette-journalctl",
    )
