"""What a primary may say of how far its journal is stored, and when."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from gazette_py.core.watermark import MISSED_MAX, SKEW_S, Claim, Watermarks

HOUR = 3600
NOON = 12 * HOUR


def test_the_first_claim_is_of_the_last_boundary() -> None:
    marks = Watermarks(HOUR, None)
    assert marks.is_due(NOON + 60)
    marks.claim(NOON + 60, 500)
    assert marks.is_waiting
    assert not marks.is_due(NOON + 61)
    assert marks.settled(499) == []
    assert marks.settled(500) == [Claim(NOON, 500)]
    assert marks.settled(500) == [Claim(NOON, 500)], "until it is written"
    marks.wrote(Claim(NOON, 500))
    assert not marks.is_waiting


def test_clocks_may_differ_a_little() -> None:
    """Another broker may be primary just before, whose clock is behind ours."""
    marks = Watermarks(HOUR, NOON - HOUR)
    assert not marks.is_due(NOON + SKEW_S - 1)
    assert marks.is_due(NOON + SKEW_S)


def test_boundaries_without_a_primary_are_made_up_for() -> None:
    marks = Watermarks(HOUR, NOON - 3 * HOUR)
    marks.claim(NOON + 60, 500)
    assert [claim.time for claim in marks.settled(500)] == [NOON - 2 * HOUR, NOON - HOUR, NOON]


def test_of_very_many_the_last_are_made_up_for() -> None:
    marks = Watermarks(HOUR, 0)
    last = 5 * MISSED_MAX * HOUR
    marks.claim(last + 60, 500)
    times = [claim.time for claim in marks.settled(500)]
    assert len(times) == MISSED_MAX
    assert times[-1] == last


def test_an_earlier_claim_does_not_wait_for_a_later_one() -> None:
    marks = Watermarks(HOUR, NOON - HOUR)
    marks.claim(NOON + 60, 500)
    marks.claim(NOON + HOUR + 60, 900)
    assert marks.settled(700) == [Claim(NOON, 500)]
    marks.wrote(Claim(NOON, 500))
    assert marks.settled(900) == [Claim(NOON + HOUR, 900)]


def test_a_watermark_of_the_future_is_left_alone() -> None:
    """As one has whose clock was set back since."""
    marks = Watermarks(HOUR, NOON + 5 * HOUR)
    assert not marks.is_due(NOON + 60)
    marks.claim(NOON + 60, 500)
    assert not marks.is_waiting
    assert not marks.is_due(NOON + 5 * HOUR + SKEW_S)


@given(
    written=st.none() | st.integers(0, 100).map(lambda n: n * 60),
    steps=st.lists(st.tuples(st.integers(1, 400), st.integers(0, 50), st.integers(0, 60))),
)
def test_claims_are_of_each_boundary_once_and_true(
    written: int | None, steps: list[tuple[int, int, int]]
) -> None:
    """However time passes, content comes, and stores lag behind."""
    marks = Watermarks(60, written)
    now, head, stored = 6000, 0, 0
    heads: list[tuple[int, int]] = []  # When content ended where.
    handed: list[Claim] = []
    for seconds, appended, lag in steps:
        now, head = now + seconds, head + appended
        heads.append((now, head))
        stored = max(stored, head - lag)
        if marks.is_due(now):
            marks.claim(now, head)
        for claim in marks.settled(stored):
            handed.append(claim)
            marks.wrote(claim)
            assert claim.offset <= stored
            assert all(end <= claim.offset for at, end in heads if at < claim.time)
    times = [claim.time for claim in handed]
    assert times == sorted(set(times))
    assert all(b - a == 60 for a, b in itertools.pairwise(times))
    assert all(time % 60 == 0 and time > (-1 if written is None else written) for time in times)
