"""Where the next bytes come from: each switch, each bound, and each answer which cannot be."""

import pytest

from gazette_py.core.read_plan import Failure, Fetch, ReadPlan, Source, StoredFragment
from gazette_py.errors import ReadError
from gazette_py.protocol.fragment import Fragment

STORE = "s3://bucket/"


def stored(begin: int, end: int, store: str = STORE) -> StoredFragment:
    fragment = Fragment(journal="a/journal", begin=begin, end=end, backing_store=store)
    return StoredFragment(fragment, f"url-{begin}-{end}")


def plan(offset: int = 0, end_offset: int = 0, budget: int = 400, fetches: int = 3) -> ReadPlan:
    return ReadPlan("a/journal", offset, end_offset, budget_bytes=budget, fetches_max=fetches)


def listed(*extents: tuple[int, int], offset: int = 0, **options: int) -> ReadPlan:
    """Return a plan whose broker told of the first extent, and whose listing has the others."""
    made = plan(offset, **options)
    made.broker_found(stored(*extents[0]))
    if made.source is Source.LISTING:
        made.listed(stored(*extent) for extent in extents[1:])
    return made


def begin_all(of: ReadPlan) -> list[Fetch]:
    begun = []
    while (fetch := of.next_fetch()) is not None:
        begun.append(fetch)
    return begun


def extents(fetches: list[Fetch]) -> list[tuple[int, int]]:
    return [(fetch.begin, fetch.end) for fetch in fetches]


def receive_all(of: ReadPlan, fetch: Fetch) -> None:
    of.received(fetch, fetch.end - fetch.received)


class TestSwitches:
    def test_a_read_begins_at_a_broker(self) -> None:
        assert plan().source is Source.BROKER
        assert plan().next_fetch() is None

    def test_a_file_which_a_broker_names_is_fetched_though_the_listing_lacks_it(self) -> None:
        read = plan(5)
        read.broker_found(stored(0, 10))
        assert read.source is Source.LISTING
        read.listed([])
        assert read.source is Source.STORE
        assert extents(begin_all(read)) == [(5, 10)]

    def test_who_has_no_broker_begins_with_files(self) -> None:
        read = plan(5, end_offset=20)
        read.begin_at_store([stored(10, 20), stored(0, 10)])
        assert read.source is Source.STORE
        assert extents(begin_all(read)) == [(5, 10), (10, 20)]

    def test_files_which_do_not_hold_the_offset_are_left_at_once(self) -> None:
        read = plan(30)
        read.begin_at_store([stored(0, 10)])
        assert read.source is Source.BROKER

    def test_the_broker_is_asked_where_the_files_end(self) -> None:
        read = listed((0, 10), (10, 20))
        for fetch in begin_all(read):
            receive_all(read, fetch)
        read.handed_out(10)
        assert read.source is Source.STORE
        read.handed_out(10)
        assert (read.source, read.offset) == (Source.BROKER, 20)

    def test_the_broker_is_asked_about_a_gap_of_the_listing(self) -> None:
        """It may have been filled, or lie in a spool: only a broker can say."""
        read = listed((0, 10), (15, 20))
        (fetch,) = begin_all(read)
        receive_all(read, fetch)
        read.handed_out(10)
        assert (read.source, read.offset) == (Source.BROKER, 10)

    def test_files_which_overlap_are_cut(self) -> None:
        read = listed((0, 10), (4, 20), (6, 12), (20, 30))
        assert extents(begin_all(read)) == [(0, 10), (10, 20), (20, 30)]

    def test_content_of_a_broker_moves_the_offset(self) -> None:
        read = plan(3)
        read.handed_out(4)
        assert (read.source, read.offset) == (Source.BROKER, 7)

    def test_a_listing_begins_with_the_file_which_was_found(self) -> None:
        read = plan(5)
        read.broker_found(stored(2, 10))
        assert read.listing_begin == 2
        with pytest.raises(AssertionError):
            _ = plan().listing_begin

    def test_to_be_told_where_the_write_head_is_is_no_jump(self) -> None:
        read = plan(-1)
        assert not read.broker_moved(8)
        assert read.broker_moved(9)

    def test_an_offset_which_a_broker_moved_is_a_jump(self) -> None:
        read = plan(3)
        assert not read.broker_moved(3)
        assert read.broker_moved(8)
        assert read.offset == 8

    def test_a_listing_whose_urls_expire_is_forgotten(self) -> None:
        read = listed((0, 10), (10, 20), fetches=1)
        (fetch,) = begin_all(read)
        read.expired()
        assert read.source is Source.STORE
        receive_all(read, fetch)
        assert begin_all(read) == []
        read.handed_out(10)
        assert read.source is Source.BROKER

    def test_an_expired_listing_without_a_fetch_sends_us_to_the_broker(self) -> None:
        read = listed((0, 10))
        read.expired()
        assert read.source is Source.BROKER


class TestEnd:
    def test_nothing_beyond_the_end_offset_is_wanted(self) -> None:
        read = listed((0, 10), (10, 20), (20, 30), end_offset=14)
        begun = begin_all(read)
        assert extents(begun) == [(0, 10), (10, 14)]
        for fetch in begun:
            receive_all(read, fetch)
        read.handed_out(10)
        assert not read.is_done
        read.handed_out(4)
        assert read.is_done

    def test_an_end_offset_at_the_end_of_a_file_begins_no_other(self) -> None:
        read = listed((0, 10), (10, 20), (20, 30), end_offset=20)
        assert extents(begin_all(read)) == [(0, 10), (10, 20)]

    def test_no_listing_is_wanted_if_the_first_file_reaches_the_end(self) -> None:
        read = plan(3, end_offset=10)
        read.broker_found(stored(0, 10))
        assert read.source is Source.STORE
        assert extents(begin_all(read)) == [(3, 10)]

    def test_a_read_without_an_end_is_never_done(self) -> None:
        assert not plan(1 << 40).is_done


class TestBounds:
    def test_fetches_are_bounded_in_number(self) -> None:
        read = listed((0, 10), (10, 20), (20, 30), (30, 40))
        first, _, third = begin_all(read)
        receive_all(read, third)
        assert read.open_fetches == 2
        assert extents(begin_all(read)) == [(30, 40)]
        receive_all(read, first)
        assert begin_all(read) == []  # The listing has no more.

    def test_those_ahead_leave_a_quarter_of_the_budget_to_the_first(self) -> None:
        read = listed((0, 1000), (1000, 2000), (2000, 3000))
        first, second, third = begin_all(read)
        read.received(second, 299)
        assert read.may_receive(third)
        read.received(third, 1)
        assert not read.may_receive(second)
        assert not read.may_receive(third)
        assert read.may_receive(first)
        read.received(first, 100)
        assert not read.may_receive(first)
        read.handed_out(1)
        assert read.may_receive(first)

    def test_no_fetch_begins_while_three_quarters_of_the_budget_wait(self) -> None:
        read = listed((0, 300), (300, 600))
        fetch = read.next_fetch()
        assert fetch is not None
        receive_all(read, fetch)
        assert read.next_fetch() is None
        read.handed_out(1)
        assert extents(begin_all(read)) == [(300, 600)]

    def test_one_which_becomes_the_first_drains_before_it_takes_more(self) -> None:
        read = listed((0, 10), (10, 1000))
        first, second = begin_all(read)
        receive_all(read, first)
        read.received(second, 290)
        read.handed_out(10)
        assert read.head is second
        assert not read.may_receive(second)
        read.handed_out(191)
        assert read.may_receive(second)

    def test_with_the_smallest_budget_one_piece_at_a_time_is_received(self) -> None:
        read = listed((0, 10), (10, 20), budget=1)
        (fetch,) = begin_all(read)[:1]
        assert read.may_receive(fetch)
        read.received(fetch, 4)
        assert not read.may_receive(fetch)
        read.handed_out(4)
        assert read.may_receive(fetch)

    def test_bytes_which_wait_are_counted_from_the_offset(self) -> None:
        read = listed((0, 10), (10, 20), offset=4)
        first, second = begin_all(read)
        read.received(first, 3)
        read.received(second, 2)
        assert read.buffered_bytes == 5
        read.handed_out(1)
        assert read.buffered_bytes == 4


class TestFailures:
    def test_what_was_received_before_a_failure_is_still_handed_out(self) -> None:
        read = listed((0, 10), (10, 20), (20, 30))
        first, second, third = begin_all(read)
        read.received(first, 6)
        assert read.failed(first, Failure.MISSING) == [third, second]
        assert read.source is Source.STORE
        assert read.next_fetch() is None
        read.handed_out(6)
        assert (read.source, read.until, read.head) == (Source.PROXY, 10, None)

    def test_a_failure_ahead_waits_for_its_turn(self) -> None:
        read = listed((0, 10), (10, 20), (20, 30))
        first, second, third = begin_all(read)
        assert read.failed(second, Failure.MISSING) == [third]
        receive_all(read, first)
        assert read.next_fetch() is None
        assert read.source is Source.STORE
        read.handed_out(10)
        assert (read.source, read.until) == (Source.PROXY, 20)

    def test_a_missing_file_is_asked_of_the_broker_and_the_next_is_fetched_again(self) -> None:
        read = listed((0, 10))
        read.failed(begin_all(read)[0], Failure.MISSING)
        read.handed_out(9)
        assert read.source is Source.PROXY
        read.handed_out(1)
        assert read.source is Source.BROKER

    def test_a_jump_beyond_a_missing_file_is_as_good(self) -> None:
        read = listed((0, 10))
        read.failed(begin_all(read)[0], Failure.MISSING)
        assert read.broker_moved(50)
        assert read.source is Source.BROKER

    def test_a_store_which_is_down_is_left_alone_for_all_that_was_listed(self) -> None:
        read = listed((0, 10), (10, 20))
        read.failed(begin_all(read)[0], Failure.UNAVAILABLE)
        assert (read.source, read.until) == (Source.PROXY, 20)

    def test_a_store_which_is_down_once_its_listing_has_expired(self) -> None:
        read = listed((0, 10), (10, 20), fetches=1)
        (fetch,) = begin_all(read)
        read.expired()
        read.failed(fetch, Failure.UNAVAILABLE)
        assert (read.source, read.until) == (Source.PROXY, 10)

    def test_a_store_which_denies_us_is_not_tried_again(self) -> None:
        read = listed((0, 10))
        read.failed(begin_all(read)[0], Failure.DENIED)
        assert (read.source, read.until) == (Source.PROXY, 0)
        read.handed_out(10)
        assert read.source is Source.PROXY  # As long as the broker goes on.
        read.broker_ended()
        read.broker_found(stored(0, 20))
        assert (read.source, read.until) == (Source.PROXY, 0)
        read.broker_ended()
        read.broker_found(stored(10, 20, "s3://other/"))
        read.listed([stored(20, 30)])  # Of the one which denies us.
        assert extents(begin_all(read)) == [(10, 20)]

    def test_nothing_more_of_a_corrupt_file_is_handed_out(self) -> None:
        read = listed((0, 10), (10, 20))
        first, second = begin_all(read)
        read.received(second, 3)
        assert read.failed(second, Failure.CORRUPT) == []
        assert read.buffered_bytes == 0
        receive_all(read, first)
        read.handed_out(10)
        assert (read.source, read.offset) == (Source.BROKER, 10)

    def test_what_waits_of_a_corrupt_file_at_the_offset_is_dropped(self) -> None:
        read = listed((0, 10))
        (fetch,) = begin_all(read)
        read.received(fetch, 6)
        read.handed_out(2)
        read.failed(fetch, Failure.CORRUPT)
        assert (read.source, read.offset, read.buffered_bytes) == (Source.BROKER, 2, 0)


class TestRefusals:
    def test_an_answer_from_before(self) -> None:
        with pytest.raises(ReadError, match="answered from before, offset 2"):
            plan(3).broker_moved(2)

    @pytest.mark.parametrize("extent", [(0, 3), (4, 9)])
    def test_a_fragment_without_the_offset(self, extent: tuple[int, int]) -> None:
        with pytest.raises(ReadError, match="the broker named a fragment of"):
            plan(3).broker_found(stored(*extent))

    def test_a_listing_which_nobody_asked_for(self) -> None:
        with pytest.raises(AssertionError):
            plan().listed([])

    def test_more_than_is_wanted(self) -> None:
        read = listed((0, 10))
        (fetch,) = begin_all(read)
        with pytest.raises(AssertionError):
            read.received(fetch, 11)
        with pytest.raises(AssertionError):
            read.handed_out(1)

    def test_what_comes_of_a_fetch_which_was_dropped(self) -> None:
        read = listed((0, 10), (10, 20))
        first, second = begin_all(read)
        read.failed(first, Failure.MISSING)
        with pytest.raises(AssertionError):
            read.received(second, 1)

    def test_a_second_failure(self) -> None:
        read = listed((0, 10), (10, 20))
        _, second = begin_all(read)
        read.failed(second, Failure.MISSING)
        with pytest.raises(AssertionError):
            read.failed(second, Failure.MISSING)
