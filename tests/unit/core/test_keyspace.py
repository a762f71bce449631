"""The mirror of the cluster's keys: loaded once, then led on by events."""

import pytest
from keyspaces import ROOT, Maker, header, process, spec

from gazette_py.core.keyspace import Delta, KeySpace, KeySpaceInconsistentError
from gazette_py.etcd.base import Event, KeyValue
from gazette_py.protocol import keys
from gazette_py.protocol.route import Route

ONE, TWO = "a/broker-1", "b/broker-2"


@pytest.fixture
def maker() -> Maker:
    made = Maker()
    made.member(ONE)
    made.member(TWO)
    made.item("a/journal")
    made.item("a/b/other", replication=1)
    made.assign_all("a/journal", TWO, ONE)
    return made


def feed(keyspace: KeySpace, *kvs: KeyValue, deletes: bool = False) -> Delta:
    events = [Event(kv, is_delete=deletes) for kv in kvs]
    return keyspace.apply([(header(kvs[-1].mod_revision), events)])


def test_what_is_loaded(maker: Maker) -> None:
    keyspace = maker.keyspace()
    assert [item.name for item in keyspace.items_sorted()] == ["a/b/other", "a/journal"]
    assert set(keyspace.members) == {process(ONE), process(TWO)}
    assert keyspace.header.revision == keyspace.read_through == maker.revision
    item = keyspace.item("a/journal")
    assert item is not None
    assert item.spec == spec("a/journal")
    assert item.create_revision == item.mod_revision == 13
    assert keyspace.item("missing") is None
    assert list(keyspace.assigned_journals()) == ["a/journal"]


def test_a_route_is_in_the_order_of_keys_with_endpoints(maker: Maker) -> None:
    keyspace = maker.keyspace()
    assert keyspace.route_of("a/journal") == Route(
        (process(ONE), process(TWO)), 1, (f"http://{ONE}", f"http://{TWO}")
    )
    assert keyspace.route_of("a/b/other") == Route()
    assert keyspace.is_consistent("a/journal")
    held = keyspace.assignments_by_member(process(TWO))
    assert [(a.journal, a.slot) for a in held] == [("a/journal", 0)]
    assert keyspace.assignments_by_member(process("z/none")) == []


def test_an_endpoint_is_empty_where_the_member_is_gone(maker: Maker) -> None:
    del maker.kvs[keys.member_key(ROOT, process(ONE)).encode()]
    assert maker.keyspace().route_of("a/journal").endpoints == ("", f"http://{TWO}")


def test_a_journal_is_consistent_only_if_every_assignment_shows_its_route(maker: Maker) -> None:
    keyspace = maker.keyspace()
    feed(keyspace, maker.assign("a/journal", "c/broker-3", 2))
    assert not keyspace.is_consistent("a/journal")
    assert keyspace.route_of("a/journal").members[2] == process("c/broker-3")


def test_events_tell_what_changed(maker: Maker) -> None:
    keyspace = maker.keyspace()
    delta = feed(keyspace, maker.item("a/journal", replication=2))
    assert (delta.items, delta.members, delta.journals) == ({"a/journal"}, set(), set())
    assert delta.revision == keyspace.header.revision == maker.revision
    delta = feed(keyspace, maker.member(ONE, exiting=True))
    assert delta.members == {process(ONE)}
    assert keyspace.members[process(ONE)].broker.exiting
    assert keyspace.members[process(ONE)].create_revision == 11
    delta = feed(keyspace, maker.assign("a/b/other", ONE, 0))
    assert delta.journals == {"a/b/other"}
    assert delta


def test_deletions(maker: Maker) -> None:
    keyspace = maker.keyspace()
    for key in (
        keys.item_key(ROOT, "a/journal"),
        keys.member_key(ROOT, process(ONE)),
        keys.assignment_key(ROOT, "a/journal", process(ONE), 1),
        keys.assignment_key(ROOT, "a/journal", process(TWO), 0),
    ):
        assert feed(keyspace, maker.delete(key.encode()), deletes=True)
    assert keyspace.item("a/journal") is None
    assert [item.name for item in keyspace.items_sorted()] == ["a/b/other"]
    assert set(keyspace.members) == {process(TWO)}
    assert keyspace.route_of("a/journal") == Route()
    assert list(keyspace.assigned_journals()) == []
    assert keyspace.assignments_by_member(process(TWO)) == []


def test_a_broker_keeps_its_other_assignments(maker: Maker) -> None:
    maker.assign("a/b/other", TWO, 1)
    keyspace = maker.keyspace()
    key = keys.assignment_key(ROOT, "a/journal", process(TWO), 0)
    assert feed(keyspace, maker.delete(key.encode()), deletes=True)
    assert [a.journal for a in keyspace.assignments_by_member(process(TWO))] == ["a/b/other"]


def test_a_deletion_of_what_is_not_known_moves_the_revision_only(maker: Maker) -> None:
    keyspace = maker.keyspace()
    for key in (
        keys.item_key(ROOT, "unknown"),
        keys.member_key(ROOT, process("z/none")),
        keys.assignment_key(ROOT, "a/journal", process(ONE), 7),
        f"{ROOT}/elsewhere",
    ):
        maker.revision += 1
        gone = KeyValue(key=key.encode(), mod_revision=maker.revision)
        assert not feed(keyspace, gone, deletes=True)
        assert keyspace.header.revision == maker.revision


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (keys.item_key(ROOT, "a/journal"), b"\xff\xff"),
        (keys.item_key(ROOT, "a/journal"), b""),
        (keys.member_key(ROOT, process(ONE)), b"\xff"),
        (keys.member_key(ROOT, process(ONE)), b""),
        (keys.assignment_key(ROOT, "a/journal", process(ONE), 1), b"\xff"),
        (keys.assignment_key(ROOT, "a/journal", process(ONE), 1), b"\x10\x07"),
    ],
)
def test_a_bad_value_leaves_the_last_good_one(maker: Maker, key: str, value: bytes) -> None:
    keyspace = maker.keyspace()
    before = (
        keyspace.item("a/journal"),
        dict(keyspace.members),
        keyspace.assignments_of("a/journal"),
    )
    delta = feed(keyspace, maker.put(key, value))
    assert list(delta.undecodable) == [key.encode()]
    assert delta.undecodable[key.encode()], "why"
    assert before == (
        keyspace.item("a/journal"),
        keyspace.members,
        keyspace.assignments_of("a/journal"),
    )
    assert keyspace.header.revision == maker.revision


def test_values_which_are_of_another_key_are_ignored(maker: Maker) -> None:
    value = maker.kvs[keys.item_key(ROOT, "a/journal").encode()].value
    maker.put(keys.item_key(ROOT, "other/name"), value)
    value = maker.kvs[keys.member_key(ROOT, process(ONE)).encode()].value
    maker.put(keys.member_key(ROOT, process("z/other")), value)
    maker.put(f"{ROOT}-b/items/a/journal", b"of another cluster")
    keyspace = maker.keyspace()
    assert keyspace.item("other/name") is None
    assert process("z/other") not in keyspace.members


def test_an_unknown_suspend_level_is_a_bad_value(maker: Maker) -> None:
    good = maker.kvs[keys.item_key(ROOT, "a/journal").encode()].value
    keyspace = maker.keyspace()
    assert not feed(
        keyspace, maker.put(keys.item_key(ROOT, "a/journal"), good + b"\x42\x02\x08\x09")
    )
    assert feed(keyspace, maker.put(keys.item_key(ROOT, "a/journal"), good))


def test_progress_moves_the_read_through_revision_only(maker: Maker) -> None:
    keyspace = maker.keyspace()
    assert not keyspace.apply([(header(maker.revision + 50), ())])
    assert keyspace.header.revision == maker.revision
    assert keyspace.read_through == maker.revision + 50


def test_progress_which_events_have_overtaken_is_late_and_no_more(maker: Maker) -> None:
    """A server under load sends both by queues of their own. A broker once ended because of it."""
    keyspace = maker.keyspace()
    kv = maker.item("a/journal")
    keyspace.apply([(header(kv.mod_revision), [Event(kv)]), (header(kv.mod_revision - 1), [])])
    assert keyspace.header.revision == kv.mod_revision
    assert keyspace.read_through == kv.mod_revision
    assert not keyspace.apply([(header(kv.mod_revision - 1), [])])
    assert keyspace.read_through == kv.mod_revision


def test_a_response_with_events_is_read_through_to_its_last_event(maker: Maker) -> None:
    keyspace = maker.keyspace()
    kv = maker.item("a/journal")
    keyspace.apply([(header(kv.mod_revision + 9), [Event(kv)])])
    assert keyspace.read_through == kv.mod_revision


def test_contradictions_are_fatal_and_nothing_is_applied(maker: Maker) -> None:
    keyspace = maker.keyspace()
    old = maker.revision
    kv = maker.item("new/journal")
    later = KeyValue(key=kv.key, value=kv.value, mod_revision=kv.mod_revision + 1)
    for batch in (
        (header(kv.mod_revision, cluster_id=2), [Event(kv)]),
        (header(old - 1), [Event(later)]),
        (header(kv.mod_revision), [Event(KeyValue(key=kv.key, value=kv.value, mod_revision=old))]),
    ):
        with pytest.raises(KeySpaceInconsistentError):
            keyspace.apply([(header(kv.mod_revision), [Event(kv)]), batch])
        assert keyspace.item("new/journal") is None
        assert keyspace.header.revision == old


def test_a_second_load_replaces_everything(maker: Maker) -> None:
    keyspace = maker.keyspace()
    keyspace.load(header(99), [], 99)
    assert keyspace.items_sorted() == []
    assert keyspace.members == {}
    assert keyspace.route_of("a/journal") == Route()
