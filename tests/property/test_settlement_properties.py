"""What a primary holds back: it comes out in order, once it is acknowledged, and not before."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from gazette_py.core.settlement import Committed, Completed, Deed, Settlement
from gazette_py.core.spool import CompletedSpool
from gazette_py.protocol.fragment import Fragment
from gazette_py.protocol.labels import LabelSet


class NoBytes:
    def write(self, position: int, content: bytes | memoryview) -> None:
        raise AssertionError("nothing is written here")

    def read(self, position: int, length: int) -> bytes:
        raise AssertionError("nothing is read here")


FILE = NoBytes()


@dataclass
class Primary:
    """A primary's spool, and a list of all it did, with the number of commits before each."""

    begin: int = 0
    end: int = 0
    commits: int = 0
    deeds: list[tuple[int, Deed]] = field(default_factory=list)

    @property
    def fragment(self) -> Fragment:
        return Fragment(journal="a/journal", begin=self.begin, end=self.end, sum=bytes(20))

    def commit(self, length: int) -> Deed:
        self.end += length
        self.commits += 1
        return self._did(Committed(self.fragment, FILE))

    def complete(self) -> Deed:
        spool = CompletedSpool(self.fragment, LabelSet(), 1.0, FILE)
        self.begin = self.end
        return self._did(Completed(spool))

    def _did(self, deed: Deed) -> Deed:
        self.deeds.append((self.commits, deed))
        return deed


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("commit"), st.integers(1, 9)),
        st.tuples(st.just("complete"), st.just(0)),
        st.tuples(st.just("settle"), st.integers(0, 12)),
        st.tuples(st.just("agree"), st.just(0)),
    ),
    max_size=25,
)


def run(steps: list[tuple[str, int]]) -> tuple[Primary, Settlement, list[Deed], int]:
    """Return all that was done, and shown, and up to which commit peers acknowledged."""
    primary, settlement = Primary(), Settlement()
    shown: list[Deed] = []
    acknowledged = 0
    for step, number in steps:
        match step:
            case "commit":
                settlement.record(primary.commit(number))
                assert settlement.ticket == primary.commits
            case "complete":
                settlement.record(primary.complete())
            case "settle":
                ticket = min(number, primary.commits)  # Peers acknowledge what was sent to them.
                acknowledged = max(acknowledged, ticket)
                shown += settlement.settle(ticket)
                due = [deed for commits, deed in primary.deeds if commits <= acknowledged]
                assert shown[len(shown) :] == due[len(shown) :]
            case _:
                acknowledged = primary.commits
                shown += settlement.settle_all(primary.fragment)
                assert shown == [deed for _, deed in primary.deeds]
        assert len(settlement) == len(primary.deeds) - len(shown)
    return primary, settlement, shown, acknowledged


@settings(max_examples=300)
@given(STEPS)
def test_just_what_is_acknowledged_is_shown_in_order(steps: list[tuple[str, int]]) -> None:
    primary, settlement, shown, acknowledged = run(steps)
    shown += settlement.settle(acknowledged)
    assert shown == [deed for commits, deed in primary.deeds if commits <= acknowledged]


@settings(max_examples=300)
@given(STEPS)
def test_who_ends_first_keeps_just_what_was_acknowledged(steps: list[tuple[str, int]]) -> None:
    primary, settlement, shown, acknowledged = run(steps)
    shown += settlement.settle(acknowledged)
    ends = [deed.fragment for deed in shown if isinstance(deed, Committed)]
    kept = settlement.abandon()
    assert len(settlement) == 0
    assert settlement.abandon() == []
    for deed in kept:
        assert deed.spool.fragment.end <= max((f.end for f in ends), default=0)
        assert deed.spool.fragment.length > 0
    # A closed fragment which was held back, and whose first commits were acknowledged, is kept.
    held = [d.spool.fragment for _, d in primary.deeds if isinstance(d, Completed)]
    held = held[len([d for d in shown if isinstance(d, Completed)]) :]
    wanted = [f for f in ends[-1:] if f.length and any(h.begin == f.begin for h in held)]
    assert [deed.spool.fragment for deed in kept] == wanted
