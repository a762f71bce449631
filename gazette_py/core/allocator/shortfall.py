"""Which journals cannot be placed as they ask, and which limit binds. Pure."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal

from gazette_py.core.allocator.state import AllocState
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
        holders = desired.get(item.name, frozenset())
        limit: Limit | None = None
        if len(holders) < wanted:
            limit = "members" if wanted > len(state.members) else "limits"
        elif wanted > 1 and len({member.zone for member in holders}) == 1:
            limit = "zones"
        if limit is not None:
            found.setdefault(limit, []).append((item.name, wanted))
    zones = len({member.zone for member in state.members})
    words: dict[Limit, str] = {
        "members": f"there are {len(state.members)} brokers",
        "limits": (
            f"{len(state.members)} brokers have room for {state.capacity} of {state.slots}"
            " assignments (--broker.limit)"
        ),
        "zones": (
            "there is one zone (--broker.zone)"
            if zones == 1
            else f"none of the {zones - 1} other zones has room (--broker.limit)"
        ),
    }
    return {
        limit: Shortfall(
            limit,
            tuple(name for name, _ in short),
            f"journal {short[0][0]} wants {short[0][1]} replicas, and {words[limit]}",
        )
        for limit, short in found.items()
    }
