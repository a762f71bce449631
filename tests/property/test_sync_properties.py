"""What a primary makes of its peers' answers: by the rules, whatever their order."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gazette_py.core.append import PeerAhead, PeerKnowsLaterRoute
from gazette_py.core.pipeline import PeerReply, SyncAgreed, SyncRefused, interpret_sync
from gazette_py.protocol.enums import Status
from gazette_py.protocol.fragment import Fragment
from gazette_py.protocol.labels import LabelSet
from gazette_py.protocol.route import EtcdHeader, Header, ProcessID, Route

END, REVISION = 50, 10
PEERS = [ProcessID("zone", f"peer-{n}") for n in range(4)]
OURS = Route((PEERS[0], PEERS[1]), 0)
ROUTES = (OURS, Route((PEERS[1], PEERS[2]), 0), Route())
OF_ROUTES = (
    Status.WRONG_ROUTE,
    Status.NOT_JOURNAL_BROKER,
    Status.INSUFFICIENT_JOURNAL_BROKERS,
    Status.JOURNAL_NOT_FOUND,
    Status.SUSPENDED,
)


@st.composite
def ways_on(draw: st.DrawFn) -> PeerReply:
    """Draw an answer which leaves a way."""
    peer, ahead = draw(st.sampled_from(PEERS)), draw(st.integers(1, 4))
    match draw(st.sampled_from(["ok", "ahead", "begins here", "later"])):
        case "ok":
            return PeerReply(peer=peer, status=Status.OK)
        case "later":
            etcd = EtcdHeader(cluster_id=1, member_id=1, revision=REVISION + ahead, raft_term=1)
            header = Header(process_id=peer, route=draw(st.sampled_from(ROUTES[1:])), etcd=etcd)
            return PeerReply(peer=peer, status=draw(st.sampled_from(OF_ROUTES)), header=header)
        case kind:
            begin, end = (0, END + ahead) if kind == "ahead" else (END, END)
            return PeerReply(
                peer=peer,
                status=Status.PROPOSAL_MISMATCH,
                fragment=Fragment(journal="a/journal", begin=begin, end=end),
                registers=LabelSet.of(("serial", str(draw(st.integers(0, 9))))),
            )


@st.composite
def replies(draw: st.DrawFn) -> PeerReply:
    """Draw any answer."""
    header = fragment = None
    status = draw(
        st.sampled_from([Status.OK, Status.PROPOSAL_MISMATCH, *OF_ROUTES, Status.NOT_ALLOWED])
    )
    if draw(st.booleans()):
        revision = draw(st.integers(REVISION - 1, REVISION + 3))
        etcd = EtcdHeader(cluster_id=1, member_id=1, revision=revision, raft_term=1)
        header = Header(process_id=PEERS[0], route=draw(st.sampled_from(ROUTES)), etcd=etcd)
    if draw(st.booleans()):
        begin = draw(st.integers(END - 2, END + 2))
        end = draw(st.integers(begin, END + 3))
        fragment = Fragment(journal="a/journal", begin=begin, end=end)
    registers = LabelSet.of(("serial", str(draw(st.integers(0, 9)))))
    peer = draw(st.sampled_from(PEERS))
    return PeerReply(
        peer=peer, status=status, header=header, fragment=fragment, registers=registers
    )


def meaning_of(reply: PeerReply) -> str:
    """Name what one answer says by itself."""
    match reply:
        case PeerReply(status=Status.OK):
            return "ok"
        case PeerReply(status=Status.PROPOSAL_MISMATCH, fragment=Fragment() as theirs):
            if theirs.end > END:
                return "ahead"
            return "begins here" if theirs.end == END and not theirs.length else "refused"
        case PeerReply(status=status, header=Header() as header) if status in OF_ROUTES:
            is_later = header.etcd.revision > REVISION and not header.route.is_equivalent(OURS)
            return "later" if is_later else "refused"
        case _:
            return "refused"


@settings(max_examples=400)
@given(st.one_of(st.lists(ways_on(), max_size=4), st.lists(st.one_of(ways_on(), replies()))))
def test_answers_mean_together_what_the_rules_say(given_: list[PeerReply]) -> None:
    by_meaning: dict[str, list[PeerReply]] = {}
    for reply in given_:
        by_meaning.setdefault(meaning_of(reply), []).append(reply)
    found = interpret_sync(END, OURS, REVISION, given_)
    if refused := by_meaning.get("refused"):
        assert isinstance(found, SyncRefused)
        assert found.peer == refused[0].peer
    elif ahead := by_meaning.get("ahead"):
        ends = [reply.fragment.end for reply in ahead if reply.fragment is not None]
        furthest = ahead[ends.index(max(ends))]
        assert found == PeerAhead(max(ends), furthest.registers)
    elif by_meaning.get("begins here"):
        assert found == PeerAhead(END, None)
    elif later := by_meaning.get("later"):
        revisions = [reply.header.etcd.revision for reply in later if reply.header is not None]
        assert found == PeerKnowsLaterRoute(max(revisions))
    else:
        assert found == SyncAgreed()
