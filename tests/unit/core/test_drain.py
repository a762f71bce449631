"""What a broker which cannot leave yet tells its operator."""

from keyspaces import Maker, process

from gazette_py.core.allocator.drain import why_needed, why_not_drained
from gazette_py.core.allocator.state import observe

A, B, C, D = "a/broker-1", "b/broker-1", "c/broker-1", "d/broker-1"


def told(maker: Maker, assigned: int = 1) -> str:
    return why_needed(observe(maker.keyspace(), 9), process(A), assigned)


def test_a_journal_wants_as_many_brokers_as_there_are() -> None:
    maker = Maker()
    maker.member(A, exiting=True)
    for member in (B, C):
        maker.member(member)
    maker.item("small/journal", 2)
    maker.item("wide/journal", 3)
    assert told(maker) == (
        "journal wide/journal wants 3 brokers, and there are 2 beside this one: start another"
        " broker, or lower its replication"
    )


def test_others_have_no_room() -> None:
    maker = Maker()
    maker.member(A, 4, exiting=True)
    for member in (B, C, D):
        maker.member(member, 1)
    for name in ("aa/one", "aa/two"):
        maker.item(name, 2)
    assert told(maker) == (
        "other brokers have room for 3 of 4 assignments: start another broker, or raise their"
        " --broker.limit"
    )


def test_it_is_only_a_matter_of_time() -> None:
    maker = Maker()
    maker.member(B, 10)
    maker.member(A, 10, exiting=True)
    maker.member(C, 10)
    maker.item("aa/one", 2)
    assert told(maker, 7) == (
        "7 assignments have not been moved yet; b/broker-1 leads the allocator"
    )


def test_it_has_no_lease_any_more() -> None:
    maker = Maker()
    maker.member(B)
    assert told(maker, 3) == "it is no member any more, and ends 3 replicas"


def test_it_was_alone_and_there_are_no_journals() -> None:
    maker = Maker()
    maker.member(A, exiting=True)
    assert "nobody" not in told(maker, 0)


def test_who_could_be_drained_is_told_before_anything_is_changed() -> None:
    maker = Maker()
    for member in (A, B):
        maker.member(member, 10)
    maker.item("small/journal", 1)
    maker.assign_all("small/journal", A)
    keyspace = maker.keyspace()
    assert why_not_drained(keyspace, process(A), 9) == ""
    assert not keyspace.members[process(A)].broker.exiting


def test_who_could_not_is_told_why() -> None:
    maker = Maker()
    for member in (A, B):
        maker.member(member, 10)
    maker.item("wide/journal", 3)
    maker.assign_all("wide/journal", A, B)
    assert why_not_drained(maker.keyspace(), process(A), 9).startswith(
        "journal wide/journal wants 3 brokers, and there are 1 beside this one"
    )
    # Brokers which bound replication by 1 place one replica only.
    assert why_not_drained(maker.keyspace(), process(A), 1) == ""
