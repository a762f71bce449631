"""Laws of the rates of appends, over any chunks and any clock."""

from hypothesis import given
from hypothesis import strategies as st

from gazette_py.core.flow_control import FlowControl, Ready, Underflow

RATES = st.integers(1, 100_000)
STEPS_MS = st.lists(st.integers(0, 400), min_size=1, max_size=60)


@given(RATES, st.lists(st.tuples(st.integers(1, 50_000), STEPS_MS), max_size=10))
def test_no_more_is_let_through_than_the_maximum_rate(
    rate: int, chunks: list[tuple[int, list[int]]]
) -> None:
    """A second's worth is free, and then exactly the rate accrues, to the byte."""
    flow = FlowControl(0, 0)
    flow.start_append(0, rate)
    now_ms, let_through = 0, 0
    for length, steps_ms in chunks:
        outcome = flow.on_chunk(length)
        for step_ms in steps_ms:
            if isinstance(outcome, Ready):
                break
            now_ms += step_ms
            outcome = flow.tick(now_ms)
        if not isinstance(outcome, Ready):
            owed = let_through + length
            assert owed * 1000 > rate * (1000 + now_ms) or now_ms > 9000, "held back for nothing"
            return
        let_through += length
        assert let_through * 1000 <= rate * (1000 + now_ms)


@given(RATES, RATES, st.integers(1, 1 << 20), STEPS_MS)
def test_a_client_whose_chunk_waits_is_not_aborted(
    min_rate: int, max_rate: int, length: int, steps_ms: list[int]
) -> None:
    flow = FlowControl(min_rate, 0)
    flow.start_append(0, max_rate)
    now_ms, outcome = 0, flow.on_chunk(length)
    for step_ms in steps_ms:
        if isinstance(outcome, Ready):
            return
        now_ms += step_ms
        outcome = flow.tick(now_ms)
        assert not isinstance(outcome, Underflow)


@given(RATES, st.lists(st.integers(1, 200), min_size=1, max_size=200))
def test_a_silent_client_is_aborted_after_a_second_and_not_before(
    min_rate: int, steps_ms: list[int]
) -> None:
    flow = FlowControl(min_rate, 0)
    flow.start_append(0, 0)
    now_ms = 0
    for step_ms in steps_ms:
        now_ms += step_ms
        if isinstance(flow.tick(now_ms), Underflow):
            assert now_ms >= 1000
            return
    # What a tick drains is rounded down: at most a byte each.
    assert min_rate * now_ms // 1000 < min_rate + len(steps_ms)
