"""What is wrong, by what was seen. That the facts are seen is shown in tests/cluster."""

from dataclasses import replace
from typing import Any

import pytest

from gazette_py.cli.diagnosis import diagnose
from gazette_py.cli.doctor_facts import (
    BrokerFacts,
    Credentials,
    Facts,
    JournalFacts,
    Shadow,
    StoreFacts,
    Trouble,
)
from gazette_py.cli.findings import Cause, Finding, Severity
from gazette_py.protocol.enums import JournalFlag, SuspendLevel
from gazette_py.protocol.journal import FragmentSpec, JournalSpec, Suspend
from gazette_py.protocol.route import ProcessID, Route

NOW = 1_000_000.0
A, B, C = ProcessID("a", "broker-0"), ProcessID("b", "broker-1"), ProcessID("c", "broker-2")
STORE = "s3://bucket/"
SPEC = JournalSpec(name="acme/orders", replication=2, fragment=FragmentSpec(stores=(STORE,)))
WELL = JournalFacts(name="acme/orders", spec=SPEC, route=Route((A, B), 0), stored_end=12)


def broker(member: ProcessID, **more: Any) -> BrokerFacts:
    return BrokerFacts(id=member, endpoint=f"http://{member.suffix}", **more)


def facts(*journals: JournalFacts, **more: Any) -> Facts:
    """Return what is seen of journals in a cluster which is well, unless more is given."""
    made: dict[str, Any] = {
        "brokers": (broker(A), broker(B)),
        "stores": (StoreFacts(url=STORE, journals=("acme/orders",)),),
        **more,
    }
    return Facts(address="http://x:8080", now=NOW, journals=journals, **made)


def only(seen: Facts) -> Finding:
    (finding,) = diagnose(seen)
    assert finding.evidence
    assert finding.mend
    return finding


def causes(seen: Facts) -> list[Cause]:
    return [finding.cause for finding in diagnose(seen)]


def with_append(status: str, **more: Any) -> JournalFacts:
    return replace(WELL, append=Trouble(status, "why"), **more)


def test_nothing_is_wrong() -> None:
    assert diagnose(facts(WELL)) == ()


# The connection.


def test_nobody_is_at_the_address() -> None:
    seen = facts(trouble=Trouble("UNAVAILABLE", "connection refused"))
    found = only(seen)
    assert (found.cause, found.severity) == (Cause.WRONG_ADDRESS, Severity.PROBLEM)
    assert "http://x:8080" in found.subject
    known = only(replace(seen, known_endpoints=("http://a:1", "http://b:1")))
    assert known.mend == ("export BROKER_ADDRESS=http://a:1  # etcd knows http://a:1 or http://b:1")


@pytest.mark.parametrize(
    ("status", "detail"), [("UNIMPLEMENTED", "?"), ("UNAVAILABLE", "Failed parsing HTTP/2")]
)
def test_something_else_is_at_the_address(status: str, detail: str) -> None:
    assert only(facts(trouble=Trouble(status, detail))).cause is Cause.NOT_A_BROKER


def test_a_failure_of_another_kind_is_told_as_it_is() -> None:
    found = only(facts(trouble=Trouble("ABORTED", "who knows")))
    assert (found.cause, found.evidence) == (Cause.CONNECTION, "ABORTED: who knows")


@pytest.mark.parametrize(
    ("credentials", "cause", "says"),
    [
        (Credentials(), Cause.NOT_ADMITTED, "none was given"),
        (Credentials(kind="keys"), Cause.NOT_ADMITTED, "tokens of these keys"),
        (Credentials(kind="token"), Cause.NOT_ADMITTED, "do not accept this token"),
        (
            Credentials(kind="token", expires_at=NOW + 60),
            Cause.NOT_ADMITTED,
            "do not accept this token",
        ),
        (
            Credentials(kind="token", issued_at=NOW - 9000, expires_at=NOW - 7200),
            Cause.TOKEN_EXPIRED,
            "it expired 2 hours ago",
        ),
        (
            Credentials(kind="token", issued_at=NOW + 300, expires_at=NOW + 3900),
            Cause.TOKEN_EARLY,
            "it is valid only in 5 minutes",
        ),
    ],
)
def test_who_is_not_let_in(credentials: Credentials, cause: Cause, says: str) -> None:
    trouble = Trouble("UNAUTHENTICATED", "no")
    found = only(facts(trouble=trouble, credentials=credentials))
    assert found.cause is cause
    assert says in found.says
    # The same of a token which may list, and not append.
    assert only(facts(with_append("UNAUTHENTICATED"), credentials=credentials)).cause is cause


def test_etcd_which_was_given_is_away() -> None:
    assert only(facts(etcd_error="refused")).cause is Cause.ETCD


# Brokers.


def test_a_broker_which_is_silent_explains_what_fails_at_its_journals() -> None:
    seen = facts(with_append("UNAVAILABLE"), brokers=(broker(A, refusal="gone"), broker(B)))
    found = only(seen)
    assert (found.cause, found.subject) == (Cause.BROKER_SILENT, "broker a/broker-0")
    other = facts(
        replace(with_append("UNAVAILABLE"), route=Route((B, C), 0)),
        brokers=(broker(A, refusal="gone"), broker(B), broker(C)),
    )
    assert causes(other) == [Cause.BROKER_SILENT, Cause.APPEND_REFUSED]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"disk_free_bytes": 0}, "the disk under its spools is full"),
        ({"spool_used_bytes": 99, "spool_max_bytes": 100}, "its spools are full"),
    ],
)
def test_a_full_disk(more: dict[str, int], says: str) -> None:
    found = only(facts(brokers=(broker(A, **more), broker(B))))
    assert found.cause is Cause.DISK_FULL
    assert found.says.startswith(says)


def test_of_a_broker_which_does_not_tell_nothing_is_assumed() -> None:
    untold = broker(A, is_untold=True, disk_free_bytes=0, clock_ahead_s=99.0)
    assert diagnose(facts(brokers=(untold,))) == ()


def clocks(*ahead: float) -> list[str]:
    brokers = tuple(
        broker(member, clock_ahead_s=s, clock_error_s=0.5)
        for member, s in zip((A, B, C), ahead, strict=False)
    )
    return [finding.subject for finding in diagnose(facts(brokers=brokers))]


@pytest.mark.parametrize(
    ("ahead", "subjects"),
    [
        ((), []),
        ((5.4, -5.4, 0.0), []),  # Within what brokers bear, and what was not measured.
        ((5.6, 0.0, 0.0), ["broker a/broker-0"]),
        ((-60.0,), ["broker a/broker-0"]),  # Or ours, as it says.
        ((60.0, 61.0, 60.5), ["this machine"]),
        ((60.0, 61.0, 0.0), ["this machine", "broker c/broker-2"]),
        ((60.0, -60.0), ["broker a/broker-0", "broker b/broker-1"]),
    ],
)
def test_whose_clock_is_off(ahead: tuple[float, ...], subjects: list[str]) -> None:
    assert clocks(*ahead) == subjects


# Stores.


def test_a_store_which_is_away_explains_what_it_stops() -> None:
    store = StoreFacts(url=STORE, journals=("acme/orders", "acme/logs"), error="refused")
    seen = facts(
        with_append("FRAGMENT_STORE_UNHEALTHY", listing_errors=(("broker a/broker-0", "refused"),)),
        stores=(store,),
    )
    found = only(seen)
    assert (found.cause, found.evidence) == (Cause.STORE, "refused")
    assert "acme/orders and 1 more" in found.says
    assert "journalctl store health 's3://bucket/'" in found.mend


def test_stores_which_cannot_be_listed_are_told_once() -> None:
    errors = (("broker a/broker-0", "refused"), ("broker b/broker-1", "refused"))
    one = replace(WELL, listing_errors=errors)
    found = only(facts(one, replace(one, name="acme/logs")))
    assert (found.cause, found.subject) == (Cause.LISTING, f"store {STORE}")
    assert found.evidence == "broker a/broker-0, and 1 more: refused"


def test_a_store_from_which_nothing_can_be_deleted() -> None:
    store = StoreFacts(url=STORE, journals=("acme/orders",), delete_error="denied")
    found = only(facts(WELL, stores=(store,)))
    assert (found.cause, found.severity) == (Cause.STORE_DELETE, Severity.WARNING)


# Journals.


def test_a_journal_which_does_not_exist() -> None:
    near = JournalFacts(name="acme/order", near=("acme/orders",))
    found = only(facts(near))
    assert (found.cause, found.evidence) == (Cause.NOT_FOUND, "there is acme/orders")
    assert found.mend == "gazette-journalctl doctor acme/orders"
    assert only(facts(JournalFacts(name="zzz"))).evidence == "no name is like it"


def test_a_suspended_journal_is_no_problem() -> None:
    spec = replace(SPEC, suspend=Suspend(SuspendLevel.FULL, 7))
    found = only(facts(replace(WELL, spec=spec, route=Route())))
    assert (found.cause, found.severity) == (Cause.SUSPENDED, Severity.NOTE)
    assert found.mend == "gazette-journalctl resume acme/orders"


def test_flags_are_as_somebody_wanted_them() -> None:
    read_only = replace(WELL, spec=replace(SPEC, flags=JournalFlag.O_RDONLY))
    assert only(facts(read_only)).says == "its flags say that nobody may append to it"
    assert only(facts(read_only)).evidence == "flags are O_RDONLY"
    write_only = replace(
        WELL,
        spec=replace(SPEC, flags=JournalFlag.O_WRONLY),
        read=Trouble("NOT_ALLOWED", "flags"),
    )
    found = only(facts(write_only))
    assert (found.says, found.severity) == ("its flags say that nobody may read it", Severity.NOTE)


def test_no_primary_because_brokers_are_full() -> None:
    journal = with_append(
        "NO_JOURNAL_PRIMARY_BROKER", route=Route(), limit="limits", limit_reason="they are full"
    )
    found = diagnose(facts(journal))
    assert [each.cause for each in found] == [Cause.NO_ROOM, Cause.NO_PRIMARY]
    assert all(each.evidence == "0 of 2 brokers serve it; they are full" for each in found)


def test_too_few_brokers() -> None:
    journal = with_append("INSUFFICIENT_JOURNAL_BROKERS", route=Route((A,), 0), limit="members")
    found = only(facts(journal))
    assert (found.cause, found.evidence) == (Cause.TOO_FEW_BROKERS, "1 of 2 brokers serve it")


def test_fewer_replicas_than_asked_for_are_no_problem_if_brokers_bound_them() -> None:
    listed = replace(WELL, route=Route((A,), 0))
    assert only(facts(listed, max_replication=3)).severity is Severity.PROBLEM
    assert only(facts(listed)).severity is Severity.WARNING  # Of brokers which do not tell.
    tried = replace(listed, is_tried=True)
    found = only(facts(tried))
    assert (found.cause, found.severity) == (Cause.TOO_FEW_BROKERS, Severity.NOTE)
    assert diagnose(facts(tried, max_replication=1)) == ()


def test_who_may_neither_append_nor_read_is_told_once() -> None:
    journal = replace(with_append("UNAUTHENTICATED"), read=Trouble("UNAUTHENTICATED", "no"))
    assert only(facts(journal)).cause is Cause.NOT_ADMITTED


def test_one_zone_is_a_warning() -> None:
    found = only(facts(replace(WELL, limit="zones", limit_reason="there is one zone")))
    assert (found.cause, found.severity) == (Cause.TOO_FEW_ZONES, Severity.WARNING)


def test_an_index_ahead_tells_who_may_still_store_what_is_missing() -> None:
    journal = with_append("INDEX_HAS_GREATER_OFFSET")
    found = only(facts(journal))
    assert found.cause is Cause.INDEX_AHEAD
    assert found.evidence == "stored fragments end at 12, beyond what any of its brokers holds"
    assert found.mend.startswith("gazette-journalctl reset-head acme/orders")
    leaving = facts(journal, brokers=(broker(A, is_exiting=True), broker(B)))
    assert only(leaving).evidence.endswith("a/broker-0 may still store what is missing")


def test_what_nothing_explains_is_told_as_it_is() -> None:
    journal = replace(with_append("REGISTER_MISMATCH"), read=Trouble("READ_FAILED", "corrupt"))
    found = diagnose(facts(journal))
    assert [each.cause for each in found] == [Cause.APPEND_REFUSED, Cause.READ_REFUSED]
    assert [each.evidence for each in found] == ["REGISTER_MISMATCH: why", "READ_FAILED: corrupt"]


# This program.


def test_shadowing_of_systemd_is_worse_for_root() -> None:
    shadow = Shadow("this user", "/home/me/bin/journalctl", "/usr/bin/journalctl")
    assert only(facts(shadows=(shadow,))).severity is Severity.NOTE
    found = only(facts(shadows=(replace(shadow, whose="root"),)))
    assert (found.cause, found.severity) == (Cause.SHADOWED, Severity.WARNING)
    # It is told also if no broker is there.
    away = facts(shadows=(shadow,), trouble=Trouble("UNAVAILABLE", "refused"))
    assert causes(away) == [Cause.WRONG_ADDRESS, Cause.SHADOWED]
