"""What is waited for of a journal, and what it lacks."""

import pytest

from gazette_py.cli.conditions import (
    Condition,
    lacking_brokers,
    lacking_persisted,
    lacking_primary,
    parse_condition,
)
from gazette_py.client.listing import ListedJournal
from gazette_py.protocol.enums import SuspendLevel
from gazette_py.protocol.fragment import Fragment
from gazette_py.protocol.journal import JournalSpec, Suspend
from gazette_py.protocol.route import ProcessID, Route

MEMBERS = (ProcessID("a", "broker-0"), ProcessID("b", "broker-1"))


def listed(route: Route, level: SuspendLevel = SuspendLevel.NONE) -> ListedJournal:
    spec = JournalSpec(name="acme/orders", replication=2, suspend=Suspend(level))
    return ListedJournal(spec=spec, mod_revision=2, create_revision=1, route=route)


def fragment(begin: int, end: int, mod_time: int) -> Fragment:
    return Fragment(journal="acme/orders", begin=begin, end=end, mod_time=mod_time)


@pytest.mark.parametrize("text", ["primary", "consistent", "persisted", "head>=0", "head>=12"])
def test_conditions_are_read_and_written(text: str) -> None:
    assert str(parse_condition(text)) == text


def test_blanks_do_not_count() -> None:
    assert parse_condition("head >= 7") == Condition("head", 7)


@pytest.mark.parametrize("text", ["", "head", "head>7", "head>=-1", "primaries"])
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is none of primary, consistent, persisted or head>=N"):
        parse_condition(text)


def test_a_primary() -> None:
    assert lacking_primary(listed(Route(MEMBERS, 1))) == ""
    assert lacking_primary(listed(Route(MEMBERS, -1))) == "no broker is its primary"
    assert "journalctl resume" in lacking_primary(listed(Route(), SuspendLevel.FULL))


def test_brokers() -> None:
    assert lacking_brokers(listed(Route(MEMBERS, 0))) == ""
    assert lacking_brokers(listed(Route(MEMBERS[:1], 0))) == "1 of 2 brokers serve it"
    assert lacking_brokers(listed(Route(MEMBERS, -1))) == "no broker is its primary"
    assert lacking_brokers(listed(Route(MEMBERS[:1], 0), SuspendLevel.PARTIAL)) == ""
    assert lacking_brokers(listed(Route(), SuspendLevel.FULL)) == ""


@pytest.mark.parametrize(
    ("fragments", "end", "lacks"),
    [
        ([], 0, ""),
        ([], 5, "offsets from 0 to 5 are in no store yet"),
        ([fragment(0, 5, 1)], 5, ""),
        ([fragment(0, 5, 1), fragment(5, 9, 0)], 5, ""),
        ([fragment(0, 5, 1), fragment(5, 9, 0)], 9, "offsets from 5 to 9 are in no store yet"),
        ([fragment(0, 5, 0), fragment(5, 9, 2)], 9, "offsets from 0 to 9 are in no store yet"),
    ],
)
def test_what_is_in_no_store(fragments: list[Fragment], end: int, lacks: str) -> None:
    assert lacking_persisted(fragments, end) == lacks
