"""Spools of a primary and its replicas, what the primary may show of its own, and what it asks."""

from dataclasses import dataclass, replace

from hypothesis import given
from hypothesis import strategies as st

from gazette_py.core.append import PeerAhead
from gazette_py.core.append_stream import (
    AppendStream,
    AwaitEnd,
    Commit,
    Forward,
    RegisterChange,
    Rollback,
)
from gazette_py.core.pipeline import PeerReply, SyncAgreed, interpret_sync
from gazette_py.core.settlement import Committed, Completed, Settlement
from gazette_py.core.spool import CompletedSpool, Spool, maybe_roll
from gazette_py.protocol.enums import AppendSuspend, Status
from gazette_py.protocol.fragment import ZERO_SUM, Fragment
from gazette_py.protocol.journal import FragmentSpec, JournalSpec
from gazette_py.protocol.labels import LabelSet
from gazette_py.protocol.route import ProcessID, Route

JOURNAL = "a/journal"
CONTENT = st.binary(min_size=1, max_size=8)


class MemoryFile:
    def __init__(self) -> None:
        self.content = bytearray()

    def write(self, position: int, content: bytes | memoryview) -> None:
        self.content[position : position + len(content)] = content

    def read(self, position: int, length: int) -> bytes:
        return bytes(self.content[position : position + length])


def new_spool() -> Spool:
    return Spool(JOURNAL, lambda _journal, _begin: MemoryFile())


def committed(spool: Spool) -> bytes:
    return spool.file.read(0, spool.fragment.length) if spool.file is not None else b""


APPENDS = st.lists(
    st.tuples(st.lists(CONTENT, max_size=3), st.booleans(), st.booleans()), max_size=8
)
"""Appends: chunks, whether they commit, and whether the fragment rolls first."""


@given(APPENDS)
def test_replicas_which_get_the_same_messages_hold_the_same(
    appends: list[tuple[list[bytes], bool, bool]],
) -> None:
    spools = [new_spool(), new_spool()]
    primary = spools[0]
    journal = b""
    for chunks, commits, rolls in appends:
        if rolls:
            end = primary.fragment.end
            empty = replace(primary.fragment, begin=end, end=end, sum=ZERO_SUM)
            assert all(s.apply_proposal(empty, s.registers, 1.0).is_ok for s in spools)
        before = committed(primary)
        for chunk in chunks:
            delta = primary.delta
            for spool in spools:
                spool.apply_content(chunk, delta)
        assert committed(primary) == before, "uncommitted content is visible"
        proposal = primary.next() if commits else primary.fragment
        assert all(s.apply_proposal(proposal, s.registers, 1.0).is_ok for s in spools)
        journal += b"".join(chunks) if commits else b""
        assert len({(s.fragment, s.registers, s.delta, committed(s)) for s in spools}) == 1
        fragment = primary.fragment
        assert fragment.end == len(journal)
        assert committed(primary) == journal[fragment.begin :]


@given(CONTENT, CONTENT, st.sampled_from(["end", "sum", "begin", "registers"]))
def test_a_commit_which_differs_in_anything_is_refused(
    first: bytes, second: bytes, what: str
) -> None:
    spool = new_spool()
    spool.apply_content(first, 0)
    assert spool.apply_proposal(spool.next(), LabelSet(), 1.0).is_ok
    spool.apply_content(second, 0)
    proposal, registers = spool.next(), LabelSet()
    match what:
        case "end":
            proposal = replace(proposal, end=proposal.end - 1)
        case "sum":
            proposal = replace(proposal, sum=bytes(20 * [7]))
        case "begin":
            proposal = replace(proposal, begin=1)
        case "registers":
            proposal, registers = spool.fragment, LabelSet.of(("other", "writer"))
    held = committed(spool)
    is_the_committed = proposal == spool.fragment and registers == spool.registers
    assert spool.apply_proposal(proposal, registers, 1.0).is_ok is is_the_committed
    assert committed(spool) == held


@given(st.integers(0, 1000), st.integers(0, 3000), st.integers(0, 50), st.booleans(), st.booleans())
def test_a_fragment_is_never_rolled_to_before_its_end(
    begin: int, length: int, beyond: int, rolls: bool, flushes: bool
) -> None:
    fragment = Fragment(journal=JOURNAL, begin=begin, end=begin + length)
    spec = JournalSpec(
        name=JOURNAL,
        fragment=FragmentSpec(length=1024, flush_interval_ns=60_000_000_000 if flushes else 0),
    )
    roll_to = fragment.end + beyond if rolls else 0
    proposal = maybe_roll(fragment, 30.0, roll_to, spec, 90.0)
    if proposal == fragment:
        assert length <= 1024
        assert not flushes or length == 0
        return
    assert proposal.begin == proposal.end == max(fragment.end, roll_to)


@dataclass
class Deeds:
    """Deeds of a primary's spool: each appends one byte, and some close the fragment."""

    begin: int = 0
    end: int = 0


@given(st.lists(st.sampled_from(["commit", "commit", "close", "settle", "settle all"])), st.data())
def test_only_what_every_peer_acknowledged_is_shown_or_stored(
    steps: list[str], data: st.DataObject
) -> None:
    settlement, at = Settlement(), Deeds()
    acknowledged = 0  # The end of the last commit which all peers have acknowledged.
    ends: dict[int, int] = {0: 0}  # Of each ticket.
    shown: list[int] = []
    file = MemoryFile()
    for step in steps:
        fragment = Fragment(journal=JOURNAL, begin=at.begin, end=at.end)
        match step:
            case "commit":
                at.end += 1
                settlement.record(Committed(replace(fragment, end=at.end), file))
                ends[settlement.ticket] = at.end
            case "close" if at.end > at.begin:
                settlement.record(Completed(CompletedSpool(fragment, LabelSet(), 1.0, file)))
                at.begin = at.end
            case "settle":
                ticket = data.draw(st.integers(0, settlement.ticket))
                acknowledged = max(acknowledged, ends[ticket])
                shown += check_shown(settlement.settle(ticket), acknowledged)
            case "settle all":
                acknowledged = at.end
                shown += check_shown(settlement.settle_all(fragment), acknowledged)
    assert shown == sorted(shown), "S2"
    for completed in settlement.abandon():
        assert completed.spool.fragment.end <= acknowledged, "S3"
        assert completed.spool.fragment.length > 0
    assert len(settlement) == 0


def check_shown(deeds: list[Committed | Completed], acknowledged: int) -> list[int]:
    ends = []
    for deed in deeds:
        fragment = deed.fragment if isinstance(deed, Committed) else deed.spool.fragment
        assert fragment.end <= acknowledged, "S1"
        ends.append(fragment.end)
    return ends


PEERS = (ProcessID("zone", "peer-1"), ProcessID("zone", "peer-2"))
ROUTE = Route((ProcessID("zone", "peer-0"), *PEERS), 0)


@given(
    st.binary(max_size=12),
    st.lists(st.tuples(st.binary(max_size=12), st.booleans()), min_size=2, max_size=2),
)
def test_two_rounds_bring_any_spools_into_step(
    ours: bytes, theirs: list[tuple[bytes, bool]]
) -> None:
    """Each peer has content of its own, and registers, some of them a fragment rolled empty."""
    spools = []
    for content, rolled in [(ours, False), *theirs]:
        spool = new_spool()
        if content:
            spool.apply_content(content, 0)
            registers = LabelSet.of(("writer", str(len(content))))
            # As another primary committed it.
            proposal = spool.next()
            spool.fragment, spool.registers, spool.delta = proposal, registers, 0
        if rolled:
            end = spool.fragment.end
            empty = Fragment(journal=JOURNAL, begin=end, end=end)
            spool.apply_proposal(empty, spool.registers, 1.0)
        spools.append(spool)
    primary, furthest = spools[0], max(s.fragment.end for s in spools)
    roll_to, registers = 0, primary.registers
    for _ in range(3):
        spec = JournalSpec(name=JOURNAL, fragment=FragmentSpec(length=1024))
        proposal = maybe_roll(primary.fragment, 0.0, roll_to, spec, 1.0)
        replies = []
        for peer, spool in zip(PEERS, spools[1:], strict=True):
            is_ok = spool.apply_proposal(proposal, registers, 1.0).is_ok
            replies.append(
                PeerReply(
                    peer=peer,
                    status=Status.OK if is_ok else Status.PROPOSAL_MISMATCH,
                    fragment=spool.fragment,
                    registers=spool.registers,
                )
            )
        assert primary.apply_proposal(proposal, registers, 1.0).is_ok
        answer = interpret_sync(primary.fragment.end, ROUTE, 1, replies)
        if isinstance(answer, SyncAgreed):
            break
        if not isinstance(answer, PeerAhead):
            # Only content which differs at one offset, or registers which do, leave no way.
            assert len({(s.fragment.end, s.fragment.sum, s.registers) for s in spools}) > 1
            return
        # P1: never to where only some peers are.
        assert answer.end == max(s.fragment.end for s in spools)
        roll_to = answer.end
        registers = primary.registers if answer.registers is None else answer.registers
    else:
        assert len({s.registers for s in spools}) > 1, "they agree in all, and do not settle"
        return
    assert {s.fragment.end for s in spools} == {furthest}
    assert len({(s.fragment, s.registers) for s in spools}) == 1


@given(st.lists(st.integers(0, 3), max_size=6), st.booleans(), st.booleans(), st.booleans())
def test_an_append_commits_only_what_was_meant(
    lengths: list[int], ends: bool, is_writable: bool, changes: bool
) -> None:
    """C1 to C3: an empty message, and then the end of the stream; all else rolls back."""
    stream = AppendStream(
        is_writable=is_writable,
        suspend=AppendSuspend.RESUME,
        change=RegisterChange(union=LabelSet()) if changes else RegisterChange(),
    )
    total, answer = 0, None
    for length in lengths:
        answer = stream.on_content(length)
        if isinstance(answer, Rollback):
            break
        if length:
            assert answer == Forward(total)
        else:
            assert answer == AwaitEnd()
        total += length
    else:
        if ends:
            answer = stream.on_end()
    is_meant = lengths.count(0) == 1 and lengths[-1:] == [0] and ends
    may_carry = is_writable or not any(lengths)
    assert isinstance(answer, Commit) is (is_meant and may_carry and (total > 0 or not changes))
