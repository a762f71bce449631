"""Which limit keeps journals from what they ask for."""

from dataclasses import dataclass

import pytest
from keyspaces import Maker

from gazette_py.core.allocator.shortfall import Shortfall, shortfall_now, shortfalls
from gazette_py.core.allocator.solve import current_holders, solve
from gazette_py.core.allocator.state import observe


def found(members: dict[str, int], items: dict[str, int]) -> dict[str, tuple[tuple[str, ...], str]]:
    maker = Maker()
    for member, limit in members.items():
        maker.member(member, limit)
    for name, replication in items.items():
        maker.item(name, replication)
    keyspace = maker.keyspace()
    state = observe(keyspace, 9)
    short = shortfalls(state, solve(state, current_holders(state, keyspace)))
    assert all(isinstance(each, Shortfall) and each.limit == key for key, each in short.items())
    return {key: (each.journals, each.why) for key, each in short.items()}


@pytest.mark.parametrize(
    ("members", "items", "expected"),
    [
        ({"a/broker-1": 10, "b/broker-1": 10}, {"aa/one": 2}, {}),
        ({"a/broker-1": 10}, {"aa/one": 1}, {}),
        (
            {"a/broker-1": 10, "b/broker-1": 10},
            {"aa/one": 2, "aa/two": 3, "bb/one": 4},
            {
                "members": (
                    ("aa/two", "bb/one"),
                    "journal aa/two wants 3 replicas, and there are 2 brokers",
                )
            },
        ),
        (
            {"a/broker-1": 1, "b/broker-1": 1},
            {"aa/one": 2, "aa/two": 1},
            {
                "limits": (
                    ("aa/two",),
                    "journal aa/two wants 1 replicas, and 2 brokers have room for 2 of 3"
                    " assignments (--broker.limit)",
                )
            },
        ),
        (
            {"a/broker-1": 10, "a/broker-2": 10},
            {"aa/one": 2},
            {
                "zones": (
                    ("aa/one",),
                    "journal aa/one wants 2 replicas, and there is one zone (--broker.zone)",
                )
            },
        ),
    ],
)
def test_the_limit_which_binds(
    members: dict[str, int], items: dict[str, int], expected: dict[str, object]
) -> None:
    short = found(members, items)
    if "limits" in expected:
        # Which journal is short is the solver's choice.
        assert short.keys() == expected.keys()
        assert "2 brokers have room for 2 of 3 assignments (--broker.limit)" in short["limits"][1]
    else:
        assert short == expected


def test_other_zones_may_be_there_and_full() -> None:
    members = {"a/broker-1": 10, "a/broker-2": 10, "b/broker-1": 1}
    short = found(members, {"aa/one": 2, "aa/two": 2})
    assert short["zones"][1].endswith(
        "wants 2 replicas, and none of the 1 other zones has room (--broker.limit)"
    )


@dataclass
class Case:
    """A journal as it is assigned now, and what is told of it."""

    name: str
    members: dict[str, int]
    wanted: int
    holders: tuple[str, ...]
    limit: str | None
    reason: str
    others: tuple[tuple[str, ...], ...] = ()  # Holders of other journals.


NOW = [
    Case(
        "all is well", {"a/broker-1": 9, "b/broker-1": 9}, 2, ("a/broker-1", "b/broker-1"), None, ""
    ),
    Case("suspended", {"a/broker-1": 9}, 0, (), None, ""),
    Case(
        "fewer brokers than replicas",
        {"a/broker-1": 9, "b/broker-1": 9},
        3,
        ("a/broker-1", "b/broker-1"),
        "members",
        "wants 3 replicas, and there are 2 brokers",
    ),
    Case(
        "who could take it is full",
        {"a/broker-1": 9, "b/broker-1": 1},
        2,
        ("a/broker-1",),
        "limits",
        "wants 2 replicas, and 2 brokers have room for 10 of 3 assignments (--broker.limit)",
        others=(("b/broker-1",),),
    ),
    Case(
        "nobody has come round to it",
        {"a/broker-1": 9, "b/broker-1": 9},
        2,
        ("a/broker-1",),
        None,
        "and b/broker-1 has room: a/broker-1, which leads the allocator, has not assigned it yet",
    ),
    Case(
        "there is but one zone",
        {"a/broker-1": 9, "a/broker-2": 9},
        2,
        ("a/broker-1", "a/broker-2"),
        "zones",
        "wants 2 replicas, and there is one zone (--broker.zone)",
    ),
    Case(
        "the other zone is full",
        {"a/broker-1": 9, "a/broker-2": 9, "b/broker-1": 1},
        2,
        ("a/broker-1", "a/broker-2"),
        "zones",
        "wants 2 replicas, and none of the 1 other zones has room (--broker.limit)",
        others=(("b/broker-1",),),
    ),
    Case(
        "the other zone has just come",
        {"a/broker-1": 9, "a/broker-2": 9, "b/broker-1": 9},
        2,
        ("a/broker-1", "a/broker-2"),
        None,
        "has 2 of 2 replicas, and b/broker-1 has room",
    ),
    Case(
        "a holder which has left does not count",
        {"a/broker-1": 9, "b/broker-1": 9},
        3,
        ("a/broker-1", "b/broker-1", "c/broker-1"),
        "members",
        "wants 3 replicas, and there are 2 brokers",
    ),
]


@pytest.mark.parametrize("case", NOW, ids=lambda case: case.name)
def test_what_a_journal_lacks_as_it_is_assigned_now(case: Case) -> None:
    maker = Maker()
    for member, limit in case.members.items():
        maker.member(member, limit)
    maker.item("aa/journal", max(1, case.wanted))
    for slot, holder in enumerate(case.holders):
        maker.assign("aa/journal", holder, slot)
    for number, holders in enumerate(case.others):
        maker.item(f"other/{number}", len(holders))
        for slot, holder in enumerate(holders):
            maker.assign(f"other/{number}", holder, slot)
    keyspace = maker.keyspace()
    item = keyspace.items["aa/journal"]
    limit, reason = shortfall_now(observe(keyspace, 9), keyspace, item, case.wanted)
    assert limit == case.limit
    assert case.reason in reason
    assert reason.startswith("journal aa/journal ") == bool(case.reason)


def test_without_brokers_there_are_too_few() -> None:
    maker = Maker()
    maker.item("aa/journal", 1)
    keyspace = maker.keyspace()
    item = keyspace.items["aa/journal"]
    limit, reason = shortfall_now(observe(keyspace, 9), keyspace, item, 1)
    assert (limit, reason) == (
        "members",
        "journal aa/journal wants 1 replicas, and there are 0 brokers",
    )
