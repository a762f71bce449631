"""Who serves a request, by the order of checks."""

import pytest
from keyspaces import Maker, process

from gazette_py.core.resolver import (
    MISSING_MEMBER,
    ResolveOptions,
    local_id,
    resolve,
    unrouted_header,
)
from gazette_py.protocol.enums import Status, SuspendLevel
from gazette_py.protocol.journal import Suspend
from gazette_py.protocol.labels import LabelSelector, LabelSet
from gazette_py.protocol.route import ProcessID, Route

US, PEER, OTHER = "a/broker-1", "b/broker-2", "c/broker-3"


@pytest.fixture
def maker() -> Maker:
    made = Maker()
    for member in (US, PEER, OTHER):
        made.member(member)
    made.item("we/lead")
    made.assign_all("we/lead", US, PEER)
    made.item("we/follow")
    made.assign_all("we/follow", PEER, US)
    made.item("of/others")
    made.assign_all("of/others", PEER, OTHER)
    made.item("no/primary")
    made.assign("no/primary", US, 1)
    made.item("no/members")
    made.item("suspended", suspend=Suspend(SuspendLevel.FULL, 5))
    return made


@pytest.mark.parametrize(
    ("journal", "may_proxy", "primary", "status", "target"),
    [
        ("we/lead", True, True, Status.OK, US),
        ("we/lead", False, True, Status.OK, US),
        ("we/lead;meta", False, False, Status.OK, US),
        ("we/follow", True, True, Status.OK, PEER),
        ("we/follow", False, True, Status.NOT_JOURNAL_PRIMARY_BROKER, US),
        ("we/follow", False, False, Status.OK, US),
        ("of/others", True, True, Status.OK, PEER),
        ("of/others", True, False, Status.OK, None),
        ("of/others", False, True, Status.NOT_JOURNAL_PRIMARY_BROKER, US),
        ("of/others", False, False, Status.NOT_JOURNAL_BROKER, US),
        ("no/primary", True, True, Status.NO_JOURNAL_PRIMARY_BROKER, US),
        ("no/primary", True, False, Status.OK, US),
        ("no/members", True, True, Status.NO_JOURNAL_PRIMARY_BROKER, US),
        ("no/members", True, False, Status.INSUFFICIENT_JOURNAL_BROKERS, US),
        ("suspended", True, True, Status.SUSPENDED, US),
        ("missing", True, True, Status.JOURNAL_NOT_FOUND, US),
    ],
)
def test_resolutions(
    maker: Maker, journal: str, may_proxy: bool, primary: bool, status: Status, target: str | None
) -> None:
    keyspace = maker.keyspace()
    options = ResolveOptions(may_proxy=may_proxy, requires_primary=primary)
    found = resolve(keyspace, process(US), journal, options)
    assert found.status is status
    assert found.header.process_id == (process(target) if target else ProcessID())
    assert found.is_local is (target == US)
    assert found.header.etcd == keyspace.header
    assert ";" not in found.journal


def test_a_token_which_does_not_select_the_journal_hides_it(maker: Maker) -> None:
    selector = LabelSelector(LabelSet.of(("name", "other")))
    options = ResolveOptions(may_proxy=True, requires_primary=False, selector=selector)
    found = resolve(maker.keyspace(), process(US), "we/lead", options)
    assert found.status is Status.JOURNAL_NOT_FOUND
    assert found.header.route == Route()
    assert found.item is None


def test_without_our_member_key_we_can_still_proxy(maker: Maker) -> None:
    keyspace, us = maker.keyspace(), process("z/unknown")
    options = ResolveOptions(may_proxy=True, requires_primary=False)
    assert resolve(keyspace, us, "we/lead", options).header.process_id == ProcessID()
    assert resolve(keyspace, us, "missing", options).header.process_id == MISSING_MEMBER
    assert local_id(keyspace, us) == MISSING_MEMBER
    assert unrouted_header(keyspace, us).process_id == ProcessID()
    assert unrouted_header(keyspace, process(US)).process_id == process(US)


def test_a_route_is_advertised_when_all_assignments_show_it(maker: Maker) -> None:
    options = ResolveOptions(may_proxy=True, requires_primary=True)
    assert resolve(maker.keyspace(), process(US), "we/lead", options).is_advertised
    assert not resolve(maker.keyspace(), process(US), "no/primary", options).is_advertised
