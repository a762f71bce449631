"""What the replies of a pipeline's peers mean together.

Pure. The shell holds the streams; it proposes, collects one reply of every peer, and asks here.

Invariants:
    P1  Disagreement about offsets is resolved by moving forward to the largest end, with the
        registers of the peer which has it.
    P2  Disagreement about routes is resolved by reading through the later revision, also if the
        peer has no more to do with the journal, or nobody has. (The reference then fails.)
    P3  Rolling forward takes precedence over resolving anew.

Source: gazette/core broker/pipeline.go, gatherSync.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gazette_py.core.append import PeerAhead, PeerKnowsLaterRoute
from gazette_py.protocol.enums import Status
from gazette_py.protocol.fragment import Fragment
from gazette_py.protocol.labels import LabelSet
from gazette_py.protocol.route import Header, ProcessID, Route

_OF_ROUTES = frozenset(
    {
        Status.WRONG_ROUTE,
        Status.NOT_JOURNAL_BROKER,
        Status.INSUFFICIENT_JOURNAL_BROKERS,
        Status.JOURNAL_NOT_FOUND,
        Status.SUSPENDED,
    }
)
"""What a peer answers by its view of the key space."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerReply:
    """A peer's answer to a proposal. A peer may leave out what its Status should carry."""

    peer: ProcessID
    status: Status
    header: Header | None = None
    fragment: Fragment | None = None
    registers: LabelSet | None = None


@dataclass(frozen=True, slots=True)
class SyncAgreed:
    """Every peer has our spool."""


@dataclass(frozen=True, slots=True)
class SyncRefused:
    """A peer's answer leaves no way to agree."""

    peer: ProcessID
    reason: str
    is_behind: bool = False  # It has not seen our revision: soon it will answer otherwise.


def interpret_sync(
    end: int, route: Route, revision: int, replies: Sequence[PeerReply]
) -> SyncAgreed | PeerAhead | PeerKnowsLaterRoute | SyncRefused:
    """Tell what to do, given our spool's end and the pipeline's Route as of `revision`."""
    roll_to, registers, later = 0, None, 0
    for reply in replies:
        match reply.status:
            case Status.OK:
                continue
            case status if status in _OF_ROUTES and _knows_later_route(reply, route, revision):
                assert reply.header is not None
                later = max(later, reply.header.etcd.revision)
            case Status.PROPOSAL_MISMATCH if reply.fragment is not None:
                theirs = reply.fragment
                if theirs.end > max(end, roll_to):
                    roll_to, registers = theirs.end, reply.registers
                elif theirs.end == end and theirs.begin == theirs.end:
                    # The peer has no bytes below our end and starts there, as we shall too.
                    roll_to = max(roll_to, end)
                elif theirs.end <= end:
                    return SyncRefused(reply.peer, f"unexpected PROPOSAL_MISMATCH: {theirs}")
            case status:
                is_behind = (
                    status in _OF_ROUTES
                    and reply.header is not None
                    and reply.header.etcd.revision < revision
                )
                return SyncRefused(reply.peer, f"unexpected {status.name}", is_behind)
    if roll_to:
        return PeerAhead(roll_to, registers)
    return PeerKnowsLaterRoute(later) if later else SyncAgreed()


def _knows_later_route(reply: PeerReply, route: Route, revision: int) -> bool:
    return (
        reply.header is not None
        and reply.header.etcd.revision > revision
        and not reply.header.route.is_equivalent(route)
    )
