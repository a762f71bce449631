"""What the allocator decides upon: members, items and assignments as of one revision.

Source: gazette/core allocator/alloc_state.go.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from gazette_py.core.keyspace import Item, KeySpace, Member
from gazette_py.protocol.route import ProcessID


@dataclass(frozen=True, slots=True)
class Share:
    """What a member can take."""

    limit: int  # Assignments, of its spec.
    shed: int  # Of those, how many it gives up as it leaves.

    @property
    def effective(self) -> int:
        """Assignments which it may hold in the long run."""
        return self.limit - self.shed


@dataclass(frozen=True, slots=True)
class AllocState:
    """One revision of the key space, as the allocator sees it."""

    leader: Member | None
    members: dict[ProcessID, Member]  # By ascending ID.
    shares: dict[ProcessID, Share]
    items: tuple[tuple[Item, int], ...]  # Each with its replication, by name.
    slots: int  # Replication of all items.

    @property
    def capacity(self) -> int:
        """Assignments which members can take in the long run."""
        return sum(share.effective for share in self.shares.values())

    def fingerprint(self) -> tuple[object, ...]:
        """Return what the desired assignment depends on; it is solved anew when this changes."""
        return (
            tuple((member, self.shares[member]) for member in self.members),
            tuple((item.name, replication) for item, replication in self.items),
        )


def leader_of(keyspace: KeySpace) -> Member | None:
    """Return the member which acts: the oldest, even after it has rewritten its key."""
    return min(
        keyspace.members.values(),
        key=lambda member: (member.create_revision, member.key),
        default=None,
    )


def observe(keyspace: KeySpace, max_replication: int) -> AllocState:
    """Return the state as of now."""
    members = {member: keyspace.members[member] for member in sorted(keyspace.members)}
    items = tuple(
        (item, item.spec.desired_replication(max_replication)) for item in keyspace.items_sorted()
    )
    slots = sum(replication for _, replication in items)
    max_r = max((replication for _, replication in items), default=0)
    sheds = shed_capacities(list(members.values()), slots, max_r)
    shares = {
        member: Share(spec.broker.journal_limit, sheds.get(member, 0))
        for member, spec in members.items()
    }
    return AllocState(leader_of(keyspace), members, shares, items, slots)


def shed_capacities(
    members: Iterable[Member], slots: int, max_replication: int
) -> dict[ProcessID, int]:
    """Return how much capacity each exiting member gives up.

    The oldest go first, as far as the others have room; as many members as the greatest replication
    stay whole.
    """
    known = list(members)
    excess = max(0, sum(member.broker.journal_limit for member in known) - slots)
    exiting = sorted(
        (member for member in known if member.broker.exiting),
        key=lambda member: (member.create_revision, member.key),
    )
    sheds: dict[ProcessID, int] = {}
    for member in exiting[: max(0, len(known) - max_replication)]:
        if excess == 0:
            break
        shed = min(member.broker.journal_limit, excess)
        sheds[member.broker.id] = shed
        excess -= shed
    return sheds
