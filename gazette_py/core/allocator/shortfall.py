"""Which journals cannot be placed as they ask, and which limit binds. Pure."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal

from gazette_py.core.allocator.state import AllocState
from gazette_py.core.keyspace import Item, KeySpace
from gazette_py.protocol.route import ProcessID

Limit = Literal["members", "limits", "zones"]

LIMITS: tuple[Limit, ...] = ("members", "limits", "zones")


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Journals which one limit keeps from what they ask for."""

    limit: Limit
    journals: tuple[str, ...]
    why: str  # Of the first, in words.


def shortfalls(
    state: AllocState, desired: Mapping[str, AbstractSet[ProcessID]]
) -> dict[Limit, Shortfall]:
    """Return what is short, given who shall hold each journal.

    `members`: more replicas are wanted than there are brokers. `limits`: brokers may hold no more
    (`--broker.limit`). `zones`: all replicas are in one zone.
    """
    found: dict[Limit, list[tuple[str, int]]] = {}
    for item, wanted in state.items:
        limit = _limit(state, wanted, desired.get(item.name, frozenset()))
        if limit is not None:
            found.setdefault(limit, []).append((item.name, wanted))
    return {
        limit: Shortfall(limit, tuple(name for name, _ in short), _why(state, limit, *short[0]))
        for limit, short in found.items()
    }


def shortfall_now(
    state: AllocState, keyspace: KeySpace, item: Item, wanted: int
) -> tuple[Limit | None, str]:
    """Return which limit keeps a journal from what it asks for, as it is assigned now, and why.

    Both are empty if nothing is short. Without a limit the words say what is under way: some broker
    has room for what is missing. Other than `shortfalls`, it solves nothing.
    """
    assigned = {assignment.member for assignment in keyspace.assignments_of(item.name)}
    holders = assigned & state.members.keys()
    limit = _limit(state, wanted, holders)
    if limit is None:
        return None, ""
    avoided = {member.zone for member in holders} if limit == "zones" else set()
    roomy = [
        member
        for member, share in state.shares.items()
        if member not in holders
        and member.zone not in avoided
        and len(keyspace.assignments_by_member(member)) < share.effective
    ]
    if limit == "members" or not roomy:
        return limit, _why(state, limit, item.name, wanted)
    leader = state.leader.broker.id if state.leader is not None else "nobody"
    return None, (
        f"journal {item.name} has {len(holders)} of {wanted} replicas, and {roomy[0]} has room:"
        f" {leader}, which leads the allocator, has not assigned it yet"
    )


def _limit(state: AllocState, wanted: int, holders: AbstractSet[ProcessID]) -> Limit | None:
    if len(holders) < wanted:
        return "members" if wanted > len(state.members) else "limits"
    if wanted > 1 and len({member.zone for member in holders}) == 1:
        return "zones"
    return None


def _why(state: AllocState, limit: Limit, journal: str, wanted: int) -> str:
    if limit == "members":
        words = f"there are {len(state.members)} brokers"
    elif limit == "limits":
        words = (
            f"{len(state.members)} brokers have room for {state.capacity} of {state.slots}"
            " assignments (--broker.limit)"
        )
    elif others := len({member.zone for member in state.members}) - 1:
        words = f"none of the {others} other zones has room (--broker.limit)"
    else:
        words = "there is one zone (--broker.zone)"
    return f"journal {journal} wants {wanted} replicas, and {words}"
