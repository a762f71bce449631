"""How much each member of a cluster has been assigned. Pure."""

from dataclasses import dataclass

from gazette_py.core.keyspace import KeySpace, Member
from gazette_py.protocol.route import BrokerSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberLoad:
    """A member, and the journals it serves."""

    broker: BrokerSpec
    assignments: int
    primaries: int  # Those of which it is the primary.


def loads_of(keyspace: KeySpace) -> tuple[MemberLoad, ...]:
    """Return all members by ascending ID."""
    return tuple(_load(keyspace, keyspace.members[member]) for member in sorted(keyspace.members))


def _load(keyspace: KeySpace, member: Member) -> MemberLoad:
    assigned = keyspace.assignments_by_member(member.broker.id)
    return MemberLoad(
        broker=member.broker,
        assignments=len(assigned),
        primaries=sum(assignment.slot == 0 for assignment in assigned),
    )
