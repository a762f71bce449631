"""Which limit keeps journals from what they ask for."""

import pytest
from keyspaces import Maker

from gazette_py.core.allocator.shortfall import Shortfall, shortfalls
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
