"""What the replies of peers to a synchronisation mean together."""

import pytest

from gazette_py.core.append import PeerAhead, PeerKnowsLaterRoute
from gazette_py.core.pipeline import PeerReply, SyncAgreed, SyncRefused, interpret_sync
from gazette_py.protocol.enums import Status
from gazette_py.protocol.fragment import Fragment
from gazette_py.protocol.labels import LabelSet
from gazette_py.protocol.route import EtcdHeader, Header, ProcessID, Route

A, B, C = (ProcessID("zone", name) for name in ("a", "b", "c"))
OURS = Route((A, B, C), 0)
LATER = Route((A, B), 0)


def mismatch(begin: int, end: int, registers: LabelSet = LabelSet()) -> PeerReply:
    fragment = Fragment(journal="a/journal", begin=begin, end=end)
    return PeerReply(
        peer=B, status=Status.PROPOSAL_MISMATCH, fragment=fragment, registers=registers
    )


def wrong_route(route: Route, revision: int, status: Status = Status.WRONG_ROUTE) -> PeerReply:
    etcd = EtcdHeader(cluster_id=1, member_id=2, revision=revision, raft_term=3)
    header = Header(process_id=C, route=route, etcd=etcd)
    return PeerReply(peer=C, status=status, header=header)


OK = PeerReply(peer=C, status=Status.OK)


@pytest.mark.parametrize(
    ("replies", "meaning"),
    [
        ([], SyncAgreed()),
        ([OK, OK], SyncAgreed()),
        (
            [OK, mismatch(900, 900, LabelSet.of(("reg", "x")))],
            PeerAhead(900, LabelSet.of(("reg", "x"))),
        ),
        ([mismatch(0, 900), mismatch(0, 950)], PeerAhead(950, LabelSet())),
        ([mismatch(0, 950), mismatch(0, 900)], PeerAhead(950, LabelSet())),
        ([mismatch(500, 500), OK], PeerAhead(500, None)),
        ([wrong_route(LATER, 11)], PeerKnowsLaterRoute(11)),
        ([wrong_route(LATER, 11), wrong_route(LATER, 13)], PeerKnowsLaterRoute(13)),
        ([wrong_route(Route(), 12, Status.INSUFFICIENT_JOURNAL_BROKERS)], PeerKnowsLaterRoute(12)),
        ([wrong_route(LATER, 12, Status.NOT_JOURNAL_BROKER)], PeerKnowsLaterRoute(12)),
        ([wrong_route(Route(), 12, Status.JOURNAL_NOT_FOUND)], PeerKnowsLaterRoute(12)),
        ([wrong_route(Route(), 12, Status.SUSPENDED)], PeerKnowsLaterRoute(12)),
        ([wrong_route(LATER, 11), mismatch(0, 900)], PeerAhead(900, LabelSet())),
        # An empty spool at offset zero has nothing to roll to.
    ],
)
def test_replies_which_leave_a_way(replies: list[PeerReply], meaning: object) -> None:
    assert interpret_sync(500, OURS, 10, replies) == meaning


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (wrong_route(OURS, 11), "unexpected WRONG_ROUTE"),
        (wrong_route(LATER, 10), "unexpected WRONG_ROUTE"),
        (wrong_route(LATER, 10, Status.SUSPENDED), "unexpected SUSPENDED"),
        (PeerReply(peer=C, status=Status.WRONG_ROUTE), "unexpected WRONG_ROUTE"),
        (PeerReply(peer=C, status=Status.PROPOSAL_MISMATCH), "unexpected PROPOSAL_MISMATCH"),
        (mismatch(0, 400), "unexpected PROPOSAL_MISMATCH"),
        (mismatch(0, 500), "unexpected PROPOSAL_MISMATCH"),
        (PeerReply(peer=C, status=Status.NOT_JOURNAL_BROKER), "unexpected NOT_JOURNAL_BROKER"),
    ],
)
def test_replies_which_leave_none(reply: PeerReply, reason: str) -> None:
    meaning = interpret_sync(500, OURS, 10, [OK, reply])
    assert isinstance(meaning, SyncRefused)
    assert meaning.peer == reply.peer
    assert meaning.reason.startswith(reason)


@pytest.mark.parametrize(
    ("reply", "is_behind"),
    [
        (wrong_route(LATER, 9, Status.NOT_JOURNAL_BROKER), True),
        (wrong_route(LATER, 9), True),
        (wrong_route(LATER, 10, Status.NOT_JOURNAL_BROKER), False),
        (wrong_route(LATER, 9, Status.NOT_ALLOWED), False),
        (PeerReply(peer=C, status=Status.NOT_JOURNAL_BROKER), False),
    ],
)
def test_a_peer_which_has_not_seen_our_revision_is_only_behind(
    reply: PeerReply, is_behind: bool
) -> None:
    meaning = interpret_sync(500, OURS, 10, [reply])
    assert isinstance(meaning, SyncRefused)
    assert meaning.is_behind is is_behind


def test_an_empty_mismatch_at_offset_zero_counts_as_agreement() -> None:
    """Offset zero means "no roll" in a proposal, and there are no bytes to disagree about."""
    assert interpret_sync(0, OURS, 10, [mismatch(0, 0)]) == SyncAgreed()
