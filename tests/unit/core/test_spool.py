"""The spool against the replica's golden sequence, and its corner cases."""

import hashlib

import pytest

from gazette_py.core.spool import Spool, SpoolContentError, maybe_roll
from gazette_py.protocol.enums import CompressionCodec
from gazette_py.protocol.fragment import ZERO_SUM, Fragment
from gazette_py.protocol.journal import FragmentSpec, JournalSpec
from gazette_py.protocol.labels import LabelSet

NS = 1_000_000_000
REGISTERS = LabelSet.of(("reg", "value"))


class MemoryFile:
    def __init__(self) -> None:
        self.content = bytearray()

    def write(self, position: int, content: bytes | memoryview) -> None:
        assert position <= len(self.content)
        self.content[position : position + len(content)] = content

    def read(self, position: int, length: int) -> bytes:
        return bytes(self.content[position : position + length])


def new_spool() -> Spool:
    return Spool("a/journal", lambda _journal, _begin: MemoryFile())


def fragment(begin: int, end: int, content: bytes = b"", **more: object) -> Fragment:
    digest = hashlib.sha1(content).digest() if content else ZERO_SUM
    return Fragment(journal="a/journal", begin=begin, end=end, sum=digest, **more)  # type: ignore[arg-type]


def spool_with(content: bytes, now: float = 100.0) -> Spool:
    spool = new_spool()
    spool.apply_content(content, 0)
    assert spool.apply_proposal(spool.next(), REGISTERS, now).is_ok
    return spool


def test_the_reference_sequence_of_a_replica() -> None:
    spool = new_spool()
    assert spool.apply_proposal(fragment(0, 0), LabelSet(), 1.0).is_ok
    spool.apply_content(b"foobar", 0)
    spool.apply_content(b"bazbing", 6)
    proposal = fragment(0, 13, b"foobarbazbing")
    result = spool.apply_proposal(proposal, REGISTERS, 2.0)
    assert (result.is_ok, result.committed, result.completed) == (True, proposal, None)
    assert (spool.fragment, spool.registers, spool.delta) == (proposal, REGISTERS, 0)
    assert spool.first_append_time == 2.0
    assert spool.file is not None
    assert spool.file.read(0, 99) == b"foobarbazbing"


def test_a_proposal_far_beyond_rolls_and_is_refused() -> None:
    spool = new_spool()
    assert not spool.apply_proposal(fragment(1234, 5678, b"?"), LabelSet(), 1.0).is_ok
    assert spool.fragment == fragment(5678, 5678)
    wrong = LabelSet.of(("wrong", "register"))
    assert not spool.apply_proposal(fragment(5678, 5678), wrong, 1.0).is_ok
    assert spool.registers == LabelSet()
    assert spool.apply_proposal(fragment(5678, 5678), LabelSet(), 1.0).is_ok


def test_content_which_does_not_follow_is_refused_and_changes_nothing() -> None:
    spool = new_spool()
    spool.apply_content(b"abc", 0)
    with pytest.raises(SpoolContentError, match="expected 3"):
        spool.apply_content(b"def", 0)
    assert spool.delta == 3
    assert spool.apply_proposal(fragment(0, 3, b"abc"), LabelSet(), 1.0).is_ok


def test_proposing_the_committed_fragment_rolls_back() -> None:
    spool = spool_with(b"abc")
    spool.apply_content(b"lost", 0)
    assert spool.apply_proposal(spool.fragment, REGISTERS, 1.0).is_ok
    assert spool.delta == 0
    spool.apply_content(b"def", 0)
    assert spool.apply_proposal(fragment(0, 6, b"abcdef"), REGISTERS, 1.0).is_ok
    assert spool.file is not None
    assert spool.file.read(0, 99)[:6] == b"abcdef"


def test_a_wrong_sum_is_refused_and_a_right_one_may_still_follow() -> None:
    spool = new_spool()
    spool.apply_content(b"abc", 0)
    assert not spool.apply_proposal(fragment(0, 3, b"abd"), LabelSet(), 1.0).is_ok
    assert spool.delta == 3
    assert spool.apply_proposal(fragment(0, 3, b"abc"), LabelSet(), 1.0).is_ok


@pytest.mark.parametrize(
    "proposal",
    [
        fragment(0, 2, b"ab"),
        fragment(1, 3, b"abc"),
        fragment(0, 3, b"abc", compression_codec=CompressionCodec.GZIP),
        fragment(0, 3, b"abc", path_postfix="p"),
        fragment(0, 3, b"abc", mod_time=1),
    ],
)
def test_a_proposal_which_differs_in_any_field_is_refused(proposal: Fragment) -> None:
    spool = spool_with(b"abc")
    assert not spool.apply_proposal(proposal, REGISTERS, 1.0).is_ok
    assert spool.fragment == fragment(0, 3, b"abc")


def test_other_registers_are_refused() -> None:
    spool = spool_with(b"abc")
    assert not spool.apply_proposal(spool.fragment, LabelSet(), 1.0).is_ok


def test_an_empty_proposal_at_the_end_closes_the_fragment_and_keeps_registers() -> None:
    spool = spool_with(b"abc", now=77.0)
    spool.apply_content(b"dropped", 0)
    result = spool.apply_proposal(
        fragment(3, 3, compression_codec=CompressionCodec.GZIP), LabelSet(), 1.0
    )
    assert not result.is_ok  # The registers differ, yet the roll was made.
    assert result.completed is not None
    assert result.completed.fragment == fragment(0, 3, b"abc")
    assert result.completed.first_append_time == 77.0
    assert spool.registers == REGISTERS
    assert spool.fragment == fragment(3, 3, compression_codec=CompressionCodec.GZIP)
    assert (spool.delta, spool.file, spool.first_append_time) == (0, None, 0.0)


def test_a_roll_forward_takes_the_registers_of_the_proposal() -> None:
    spool = spool_with(b"abc")
    ahead = LabelSet.of(("author", "other"))
    result = spool.apply_proposal(fragment(9, 9), ahead, 1.0)
    assert result.is_ok
    assert result.completed is not None
    assert spool.registers == ahead


def test_rolling_an_empty_fragment_completes_nothing() -> None:
    assert new_spool().apply_proposal(fragment(0, 0), LabelSet(), 1.0).completed is None


def test_the_first_append_time_is_of_the_first_commit() -> None:
    spool = spool_with(b"abc", now=5.0)
    spool.apply_content(b"d", 0)
    assert spool.apply_proposal(spool.next(), REGISTERS, 9.0).is_ok
    assert spool.first_append_time == 5.0


def test_next_of_nothing_has_the_zero_sum() -> None:
    assert new_spool().next() == fragment(0, 0)


def spec(length: int = 1024, flush_s: int = 0) -> JournalSpec:
    return JournalSpec(
        name="a/journal",
        fragment=FragmentSpec(
            length=length,
            compression_codec=CompressionCodec.SNAPPY,
            flush_interval_ns=flush_s * NS,
        ),
    )


def rolled(at: int) -> Fragment:
    return fragment(at, at, compression_codec=CompressionCodec.SNAPPY)


@pytest.mark.parametrize(
    ("current", "roll_to", "spec_", "now", "expected"),
    [
        pytest.param(fragment(5, 5), 0, spec(), 60.0, rolled(5), id="empty: takes the codec"),
        pytest.param(fragment(0, 1024), 0, spec(), 60.0, fragment(0, 1024), id="exactly long"),
        pytest.param(fragment(0, 1025), 0, spec(), 60.0, rolled(1025), id="too long"),
        pytest.param(fragment(0, 9), 12, spec(), 60.0, rolled(12), id="roll to an offset"),
        pytest.param(fragment(0, 9), 9, spec(), 60.0, rolled(9), id="roll to its end"),
        pytest.param(fragment(9, 9), 9, spec(), 60.0, rolled(9), id="empty at the offset"),
        pytest.param(fragment(0, 9), 0, spec(flush_s=60), 119.9, fragment(0, 9), id="same flush"),
        pytest.param(fragment(0, 9), 0, spec(flush_s=60), 120.0, rolled(9), id="next flush"),
        pytest.param(fragment(0, 9), 0, spec(), 1e9, fragment(0, 9), id="no flush interval"),
    ],
)
def test_when_fragments_roll(
    current: Fragment, roll_to: int, spec_: JournalSpec, now: float, expected: Fragment
) -> None:
    assert maybe_roll(current, 61.0, roll_to, spec_, now) == expected


def test_offsets_are_never_used_twice() -> None:
    with pytest.raises(AssertionError):
        maybe_roll(fragment(0, 9), 1.0, 5, spec(), 1.0)
