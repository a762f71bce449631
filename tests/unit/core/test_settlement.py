"""What the primary holds back until its peers have acknowledged it."""

from gazette_py.core.settlement import Committed, Completed, Settlement
from gazette_py.core.spool import CompletedSpool
from gazette_py.protocol.fragment import Fragment
from gazette_py.protocol.labels import LabelSet


class Bytes:
    """A file which nobody looks into."""

    def write(self, position: int, content: bytes | memoryview) -> None:
        raise AssertionError


FILE = Bytes()


def committed(begin: int, end: int) -> Committed:
    return Committed(Fragment(journal="a/journal", begin=begin, end=end), FILE)


def completed(begin: int, end: int) -> Completed:
    fragment = Fragment(journal="a/journal", begin=begin, end=end)
    return Completed(CompletedSpool(fragment, LabelSet(), 1.0, FILE))


def test_a_commit_is_published_once_it_is_acknowledged() -> None:
    settlement = Settlement()
    settlement.record(committed(0, 5))
    assert len(settlement) == 1
    assert settlement.settle(0) == []
    assert settlement.settle(1) == [committed(0, 5)]
    assert settlement.settle(1) == []


def test_an_acknowledgement_covers_all_before_it_and_none_behind() -> None:
    settlement = Settlement()
    settlement.record(committed(0, 5))
    settlement.record(committed(0, 7))
    ticket = settlement.ticket
    settlement.record(committed(0, 9))
    assert settlement.settle(ticket) == [committed(0, 5), committed(0, 7)]
    assert settlement.settle(settlement.ticket) == [committed(0, 9)]


def test_a_fragment_is_uploaded_only_after_its_last_commit_is_acknowledged() -> None:
    settlement = Settlement()
    settlement.record(committed(0, 5))
    settlement.record(completed(0, 5))
    assert settlement.settle(0) == []
    assert settlement.settle(1) == [committed(0, 5), completed(0, 5)]


def test_a_fragment_without_unacknowledged_commits_is_uploaded_at_once() -> None:
    settlement = Settlement()
    settlement.record(completed(0, 5))
    assert settlement.settle(0) == [completed(0, 5)]


def test_an_agreement_of_all_peers_settles_everything() -> None:
    settlement = Settlement()
    settlement.record(committed(0, 5))
    settlement.record(completed(0, 5))
    settlement.record(committed(5, 9))
    agreed = Fragment(journal="a/journal", begin=5, end=9)
    assert settlement.settle_all(agreed) == [committed(0, 5), completed(0, 5), committed(5, 9)]


def test_an_end_cuts_the_open_fragment_at_the_last_acknowledged_commit() -> None:
    """The bytes beyond were never acknowledged, and others may have committed different ones."""
    settlement = Settlement()
    settlement.record(committed(0, 5))
    settlement.settle(1)
    settlement.record(committed(0, 9))
    settlement.record(completed(0, 9))
    assert settlement.abandon() == [completed(0, 5)]
    assert settlement.abandon() == []


def test_an_end_drops_a_fragment_of_which_nothing_was_acknowledged() -> None:
    settlement = Settlement()
    settlement.record(committed(0, 5))
    settlement.settle(1)
    settlement.record(completed(0, 5))
    settlement.record(committed(5, 9))
    settlement.record(completed(5, 9))
    assert settlement.settle(0) == [completed(0, 5)]
    assert settlement.abandon() == []


def test_an_end_keeps_what_was_agreed_before_this_broker_became_primary() -> None:
    settlement = Settlement()
    settlement.settle_all(Fragment(journal="a/journal", begin=0, end=5))
    settlement.record(committed(0, 9))
    settlement.record(completed(0, 9))
    assert settlement.abandon() == [completed(0, 5)]


def test_nothing_acknowledged_leaves_nothing() -> None:
    settlement = Settlement()
    settlement.record(committed(0, 5))
    settlement.record(completed(0, 5))
    assert settlement.abandon() == []


def test_an_agreement_on_an_empty_fragment_leaves_nothing_to_upload() -> None:
    settlement = Settlement()
    settlement.settle_all(Fragment(journal="a/journal", begin=5, end=5))
    settlement.record(committed(5, 9))
    settlement.record(completed(5, 9))
    assert settlement.abandon() == []
