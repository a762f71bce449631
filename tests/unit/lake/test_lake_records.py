"""Records are cut whole, whichever borders they cross."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gazette_py.errors import RecordError
from gazette_py.lake import records
from gazette_py.lake.records import Block, Cutter


def cut(pieces: list[tuple[int, bytes]], *, skip_first: bool = False, size: int = 8) -> list[Block]:
    cutter = Cutter("a", 100, skip_first=skip_first, block_bytes=size)
    blocks = [block for part, piece in pieces for block in cutter.feed(part, piece)]
    return [*blocks, *cutter.flush()]


def test_a_record_which_crosses_a_border_is_of_the_part_where_it_begins() -> None:
    assert cut([(0, b"ab\ncd"), (1, b"ef\ngh\n")]) == [
        Block(0, 100, b"ab\n"),
        Block(0, 103, b"cdef\n"),
        Block(1, 108, b"gh\n"),
    ]


def test_a_record_may_be_longer_than_parts() -> None:
    assert cut([(0, b"a"), (1, b"b"), (2, b"c\nd\n"), (3, b"e")]) == [
        Block(0, 100, b"abc\n"),
        Block(2, 104, b"d\n"),
    ]


def test_the_end_of_a_record_which_began_before_is_skipped() -> None:
    assert cut([(0, b"ab"), (0, b"c"), (1, b"d\nef\n")], skip_first=True) == [
        Block(1, 105, b"ef\n")
    ]


def test_after_a_gap_an_incomplete_record_is_dropped() -> None:
    cutter = Cutter("a", 0, skip_first=False)
    blocks = [*cutter.feed(0, b"ab\ncd"), *cutter.flush()]
    cutter.jump(50)
    blocks += [*cutter.feed(1, b"ef\n"), *cutter.flush()]
    assert blocks == [Block(0, 0, b"ab\n"), Block(1, 50, b"ef\n")]


def test_a_record_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "RECORD_BYTES_MAX", 10)
    with pytest.raises(RecordError) as caught:
        cut([(0, b"a\n"), (0, b"b" * 11)])
    assert caught.value.offset == 102


@given(
    st.lists(st.text("ab\n", max_size=12).map(str.encode), max_size=8),
    st.lists(st.integers(0, 90), max_size=6),
    st.integers(1, 30),
)
def test_every_record_is_in_one_block(parts: list[bytes], cuts: list[int], size: int) -> None:
    content = b"".join(parts)
    begins = [0]
    for part in parts:
        begins.append(begins[-1] + len(part))
    pieces = []
    for index, (begin, end) in enumerate(pairwise(begins)):
        inner = sorted({begin, end, *(at for at in cuts if begin < at < end)})
        pieces += [(index, content[a:b]) for a, b in pairwise(inner)]
    blocks = cut(pieces, size=size)
    assert b"".join(block.data for block in blocks) == content[: content.rfind(b"\n") + 1]
    position = 0
    for block in blocks:
        assert block.begin == 100 + position
        assert block.data.endswith(b"\n")
        offset = position
        for line in block.data.splitlines(keepends=True):
            assert begins[block.part] <= offset < begins[block.part + 1]
            offset += len(line)
        position += len(block.data)
