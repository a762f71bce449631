"""How much members have been assigned."""

from keyspaces import Maker

from gazette_py.core.member_load import loads_of


def test_members_are_told_by_id_with_what_they_serve() -> None:
    maker = Maker()
    maker.member("b/second", limit=5, exiting=True)
    maker.member("a/first", limit=10)
    maker.assign_all("one/journal", "a/first", "b/second")
    maker.assign_all("two/journal", "a/first", "c/gone")
    first, second = loads_of(maker.keyspace())
    assert (str(first.broker.id), first.assignments, first.primaries) == ("a/first", 2, 2)
    assert (str(second.broker.id), second.assignments, second.primaries) == ("b/second", 1, 0)
    assert (second.broker.journal_limit, second.broker.exiting) == (5, True)
