"""Which fragment a read is given, and what a listing replaces."""

import pytest

from gazette_py.core.fragment_index import (
    OFFSET_JUMP_AGE_S,
    FragmentIndex,
    Hit,
    IndexEntry,
    Miss,
    conflicting,
)
from gazette_py.core.spool import SpoolBytes
from gazette_py.protocol.fragment import Fragment

NOW = 1_000_000.0
OLD = int(NOW) - OFFSET_JUMP_AGE_S - 1
YOUNG = int(NOW) - 60


class NoFile:
    def write(self, position: int, content: bytes | memoryview) -> None:
        raise AssertionError

    def read(self, position: int, length: int) -> bytes:
        raise AssertionError


FILE: SpoolBytes = NoFile()


def local(begin: int, end: int) -> Fragment:
    return Fragment(journal="a/journal", begin=begin, end=end)


def remote(begin: int, end: int, mod_time: int = YOUNG) -> IndexEntry:
    return IndexEntry(
        Fragment(
            journal="a/journal", begin=begin, end=end, mod_time=mod_time, backing_store="s3://b/"
        )
    )


def index_of(*remotes: IndexEntry, locals_: tuple[tuple[int, int], ...] = ()) -> FragmentIndex:
    index = FragmentIndex()
    for begin, end in locals_:
        index.spool_commit(local(begin, end), FILE)
    index.replace_remote(remotes)
    return index


def test_nothing_is_known_before_a_listing() -> None:
    index = FragmentIndex()
    assert not index.is_refreshed
    assert index.query(0, 0, NOW) == Miss(0, 0)
    assert index.summary().end == 0
    index.replace_remote([])
    assert index.is_refreshed


def test_each_change_has_a_version() -> None:
    index = FragmentIndex()
    seen = {index.version}
    index.spool_commit(local(0, 5), FILE)
    seen.add(index.version)
    index.replace_remote([])
    seen.add(index.version)
    assert len(seen) == 3


def test_a_growing_fragment_is_found_as_it_grew() -> None:
    index = index_of(locals_=((0, 5), (0, 9)))
    hit = index.query(5, 0, NOW)
    assert isinstance(hit, Hit)
    assert (hit.offset, hit.entry.end, hit.write_head, hit.entry.file) == (5, 9, 9, FILE)


def test_the_write_head() -> None:
    assert index_of(locals_=((0, 9),)).query(-1, 0, NOW) == Miss(9, 9)


def test_a_stored_fragment_takes_the_place_of_the_local_one_it_covers() -> None:
    index = index_of(remote(0, 6), remote(6, 9), locals_=((0, 9), (9, 12)))
    entries, _ = index.list_page(0, 0, 0, 99)
    assert [(e.begin, e.end, e.file) for e in entries] == [
        (0, 6, None),
        (6, 9, None),
        (9, 12, FILE),
    ]
    index.replace_remote([])  # The store lost them; ours are gone too.
    assert index.query(0, 0, NOW) == Miss(0, 12)


def test_content_before_the_first_stored_fragment_is_jumped_over_soon() -> None:
    """Not at once: what was acknowledged before it may still be on its way to the store."""
    just_stored = int(NOW) - 59
    assert index_of(remote(100, 200, just_stored)).query(0, 0, NOW) == Miss(0, 200)
    hit = index_of(remote(100, 200, int(NOW) - 61)).query(0, 0, NOW)
    assert isinstance(hit, Hit)
    assert hit.offset == 100


def test_content_before_the_first_local_fragment_is_waited_for() -> None:
    assert index_of(locals_=((100, 200),)).query(0, 0, NOW) == Miss(0, 200)


@pytest.mark.parametrize(("mod_time", "jumps"), [(OLD, True), (YOUNG, False)])
def test_a_hole_is_jumped_over_only_if_what_follows_is_old(mod_time: int, jumps: bool) -> None:
    index = index_of(remote(0, 100, OLD), remote(200, 300, mod_time))
    found = index.query(100, 0, NOW)
    assert isinstance(found, Hit) is jumps
    assert found.offset == (200 if jumps else 100)


def test_fragments_stored_before_a_time_are_skipped_and_local_ones_are_not() -> None:
    index = index_of(remote(0, 100, OLD), remote(100, 200, YOUNG), locals_=((200, 300),))
    hit = index.query(0, YOUNG, NOW)
    assert isinstance(hit, Hit)
    assert hit.offset == 100
    late = index.query(0, YOUNG + 1, NOW)
    assert isinstance(late, Hit)
    assert late.offset == 200


def test_summary_tells_when_the_last_fragment_was_stored() -> None:
    summary = index_of(remote(5, 100, OLD), locals_=((100, 200),)).summary()
    assert (summary.begin, summary.end, summary.mod_time) == (5, 200, 0)
    assert index_of(remote(5, 100, OLD)).summary().mod_time == OLD


def test_pages_cover_everything_once() -> None:
    index = index_of(*(remote(n, n + 1) for n in range(7)))
    begins, token = [], 0
    while True:
        entries, token = index.list_page(0, 0, token, 3)
        begins += [entry.begin for entry in entries]
        if not token:
            break
    assert begins == list(range(7))


@pytest.mark.parametrize(
    ("begin", "end", "expected"),
    [(0, 0, [0, 1, 2]), (YOUNG, 0, [1, 2]), (0, OLD, [0]), (0, YOUNG, [0, 1]), (0, OLD - 1, [])],
)
def test_pages_of_a_time_range(begin: int, end: int, expected: list[int]) -> None:
    index = index_of(remote(0, 1, OLD), remote(1, 2, YOUNG), locals_=((2, 3),))
    entries, token = index.list_page(begin, end, 0, 99)
    assert [entry.begin for entry in entries] == expected
    assert token == 0


def test_other_content_of_the_same_extent_is_a_conflict() -> None:
    def stored(begin: int, end: int, sum_: int, store: str = "s3://a/") -> IndexEntry:
        return IndexEntry(
            Fragment(
                journal="a/journal",
                begin=begin,
                end=end,
                sum=bytes([sum_]) * 20,
                backing_store=store,
            )
        )

    entries = [
        stored(0, 10, 1),
        stored(0, 10, 1, "s3://copy/"),  # The same content elsewhere is none.
        stored(0, 20, 2),  # Nor is another extent.
        stored(10, 20, 3),
        stored(10, 20, 4),
        stored(10, 20, 5),
    ]
    assert conflicting(entries) == [tuple(e.fragment for e in entries[3:])]
    assert conflicting(entries[:4]) == []


@pytest.mark.parametrize(
    ("entries", "floor", "expected"),
    [
        ([], 0, (0, ())),
        ([], 7, (7, ())),
        ([remote(0, 10), remote(10, 20)], 0, (20, ())),
        ([remote(0, 10), remote(8, 20)], 0, (20, ())),
        # What others hold may still be on its way.
        ([remote(5, 10)], 0, (0, ())),
        ([remote(0, 10), remote(15, 20)], 0, (10, ())),
        # But not for ever.
        ([remote(5, 10, OLD)], 0, (10, ((0, 5),))),
        ([remote(0, 10), remote(15, 20, OLD)], 0, (20, ((10, 15),))),
        # Nor is what was whole once looked at again.
        ([remote(5, 10), remote(10, 20)], 5, (20, ())),
        ([remote(0, 10), remote(15, 20)], 15, (20, ())),
        ([remote(0, 10)], 30, (30, ())),
    ],
)
def test_how_far_all_is_stored(
    entries: list[IndexEntry], floor: int, expected: tuple[int, tuple[tuple[int, int], ...]]
) -> None:
    assert index_of(*entries).stored_through(floor, NOW) == expected


def test_local_content_is_not_stored() -> None:
    assert index_of(remote(0, 10), locals_=((10, 20),)).stored_through(0, NOW) == (10, ())
    assert index_of(locals_=((0, 20),)).stored_through(0, NOW) == (0, ())
    assert index_of(locals_=((0, 20),)).stored_through(20, NOW) == (20, ())


def test_what_is_in_no_store_is_counted() -> None:
    index = index_of(remote(0, 10), locals_=((10, 20), (20, 25)))
    assert index.unpersisted() == 15
    assert len(index) == 3
    index.replace_remote([remote(0, 10), remote(10, 20)])
    assert index.unpersisted() == 5
