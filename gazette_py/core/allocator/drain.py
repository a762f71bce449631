"""Why a member which was asked to leave is still needed, in words for its operator.

Pure. The rules are those of `shed_capacities`: members give their capacity up as far as others have
room for all, and as many members as the greatest replication stay.
"""

from copy import copy
from dataclasses import replace

from gazette_py.core.allocator.state import AllocState, observe
from gazette_py.core.keyspace import KeySpace
from gazette_py.protocol.route import ProcessID


def why_needed(state: AllocState, own: ProcessID, assigned: int) -> str:
    """Return why `own`, which is exiting, still has `assigned` assignments, and what would help."""
    share = state.shares.get(own)
    if share is None:
        return f"it is no member any more, and ends {assigned} replicas"
    others = [m for m in state.members if m != own]
    item, wanted = max(state.items, key=lambda each: each[1], default=(None, 0))
    if item is not None and wanted >= len(state.members):
        return (
            f"journal {item.name} wants {wanted} brokers, and there are {len(others)} beside this"
            " one: start another broker, or lower its replication"
        )
    if share.effective > 0:
        room = sum(state.shares[m].effective for m in others)
        return (
            f"other brokers have room for {room} of {state.slots} assignments: start another"
            " broker, or raise their --broker.limit"
        )
    leader = state.leader.broker.id if state.leader is not None else "nobody"
    return f"{assigned} assignments have not been moved yet; {leader} leads the allocator"


def why_not_drained(keyspace: KeySpace, member: ProcessID, max_replication: int) -> str:
    """Return why others could not take all that a member has, were it exiting; "" if they could."""
    known = keyspace.members[member]
    marked = copy(keyspace)
    marked.members = keyspace.members | {
        member: replace(known, broker=replace(known.broker, exiting=True))
    }
    state = observe(marked, max_replication)
    if state.shares[member].effective == 0:
        return ""
    return why_needed(state, member, len(keyspace.assignments_by_member(member)))
