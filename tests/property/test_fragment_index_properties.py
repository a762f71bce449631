"""Cover sets and the index of fragments, against sets of bytes."""

import itertools
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from gazette_py.core.cover_set import CoverSet, difference
from gazette_py.core.fragment_index import FragmentIndex, Hit, IndexEntry, Miss
from gazette_py.protocol.fragment import Fragment

OLD = 1_000
NOW = 1_000_000.0


@dataclass(frozen=True)
class Span:
    begin: int
    end: int

    @property
    def bytes(self) -> set[int]:
        return set(range(self.begin, self.end))


SPANS = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 12)).map(lambda p: Span(p[0], p[0] + p[1])),
    max_size=12,
)


def covered(spans: list[Span]) -> set[int]:
    return set().union(*(span.bytes for span in spans))


@given(SPANS)
def test_a_cover_set_covers_what_was_added_and_holds_nothing_within_another(
    spans: list[Span],
) -> None:
    made: CoverSet[Span] = CoverSet()
    for span in spans:
        made.add(span)
    entries = list(made)
    assert covered(entries) == covered(spans)
    for left, right in itertools.pairwise(entries):
        assert left.begin < right.begin
        assert left.end < right.end
    assert all(span.begin < span.end for span in entries)
    assert (made.begin, made.end) == ((entries[0].begin, entries[-1].end) if entries else (0, 0))


@given(SPANS, st.integers(0, 60))
def test_the_entry_found_ends_last_of_those_which_cover_an_offset(
    spans: list[Span], offset: int
) -> None:
    made = CoverSet(spans)
    index, is_found = made.longest_overlap(offset)
    ends = [span.end for span in spans if span.begin <= offset < span.end]
    assert is_found is bool(ends)
    if is_found:
        assert made[index].end == max(ends)
    else:
        after = [span.begin for span in made if span.begin > offset]
        assert [span.begin for span in list(made)[index:]] == after


@given(SPANS, SPANS)
def test_what_differs_is_what_is_not_wholly_covered(left: list[Span], right: list[Span]) -> None:
    mine, theirs = CoverSet(left), CoverSet(right)
    kept = difference(mine, theirs)
    assert kept == [span for span in mine if not span.bytes <= covered(right)]


class File:
    def write(self, position: int, content: bytes | memoryview) -> None:
        raise AssertionError("the index only reads")

    def read(self, position: int, length: int) -> bytes:
        return b""


def entry(span: Span, mod_time: int) -> IndexEntry:
    fragment = Fragment(journal="a/journal", begin=span.begin, end=span.end, mod_time=mod_time)
    return IndexEntry(fragment, None if mod_time else File())


@given(SPANS, SPANS, st.integers(0, 60))
def test_every_byte_which_is_stored_or_local_is_found(
    remote: list[Span], local: list[Span], offset: int
) -> None:
    index = FragmentIndex()
    for span in local:
        if span.begin < span.end:
            index.spool_commit(entry(span, 0).fragment, File())
    before = index.version
    index.replace_remote([entry(span, OLD) for span in remote])
    assert index.version > before
    known = covered(remote) | covered(local)
    found = index.query(offset, 0, NOW)
    if offset in known:
        assert isinstance(found, Hit)
        assert found.offset == offset
        assert found.entry.begin <= offset < found.entry.end
    elif isinstance(found, Hit):
        # It jumped, to the next byte there is, and only to one which is stored.
        assert found.offset == min(byte for byte in known if byte > offset)
        assert found.entry.fragment.mod_time == OLD
    else:
        assert found.offset == offset
    assert found.write_head == (max(known) + 1 if known else 0)


@given(SPANS, SPANS)
def test_a_local_fragment_stays_until_stored_ones_cover_it(
    remote: list[Span], local: list[Span]
) -> None:
    index = FragmentIndex()
    for span in local:
        if span.begin < span.end:
            index.spool_commit(entry(span, 0).fragment, File())
    index.replace_remote([entry(span, OLD) for span in remote])
    index.replace_remote([])  # What is left without the store is what is local.
    left = {byte for byte in range(60) if isinstance(index.query(byte, 0, NOW), Hit)}
    kept = [span for span in CoverSet(local) if not span.bytes <= covered(remote)]
    assert left == covered(kept)


@given(SPANS, st.integers(1, 5))
def test_pages_hold_everything_once_and_in_order(spans: list[Span], limit: int) -> None:
    index = FragmentIndex()
    index.replace_remote([entry(span, OLD) for span in spans])
    begins, token = [], 0
    for _ in range(len(spans) + 1):
        page, token = index.list_page(0, 0, token, limit)
        assert len(page) <= limit
        begins += [each.begin for each in page]
        if not token:
            break
    assert begins == [span.begin for span in CoverSet(spans)]
    assert isinstance(index.query(10_000, 0, NOW), Miss)
