"""Rates of appends, in milliseconds of a clock of ours."""

from gazette_py.core.flow_control import QUANTUM_MS, FlowControl, Ready, Underflow, Wait


def started(min_rate: int = 0, max_rate: int = 0, journal_rate: int = 0) -> FlowControl:
    flow = FlowControl(min_rate, max_rate)
    flow.start_append(0, journal_rate)
    return flow


def test_without_rates_everything_is_ready() -> None:
    flow = started()
    assert flow.on_chunk(1 << 40) == Ready()
    assert flow.tick(10_000_000) == Ready()


def test_the_first_second_of_the_maximum_rate_is_free_and_then_it_binds() -> None:
    flow = started(journal_rate=1000)
    assert flow.on_chunk(1000) == Ready()
    assert flow.on_chunk(100) == Wait()
    assert flow.tick(50) == Wait()
    assert flow.tick(100) == Ready()


def test_the_global_maximum_binds_journals_without_a_rate() -> None:
    flow = started(max_rate=1000)
    assert flow.on_chunk(1001) == Wait()


def test_the_smaller_of_both_maxima_binds() -> None:
    assert started(max_rate=1000, journal_rate=10).on_chunk(11) == Wait()
    assert started(max_rate=10, journal_rate=1000).on_chunk(11) == Wait()


def test_balance_is_kept_between_appends_up_to_ten_seconds() -> None:
    flow = started(journal_rate=1000)
    flow.start_append(3_600_000, 1000)
    assert flow.on_chunk(10_000) == Ready()
    assert flow.on_chunk(1) == Wait()


def test_a_chunk_left_over_by_a_failed_append_is_not_charged_again() -> None:
    flow = started(journal_rate=10)
    assert flow.on_chunk(1000) == Wait()
    flow.start_append(1, 0)
    assert flow.on_chunk(5) == Ready()


def test_a_client_which_stalls_for_a_second_is_aborted() -> None:
    flow = started(min_rate=1000)
    for now_ms in range(QUANTUM_MS, 1000, QUANTUM_MS):
        assert flow.tick(now_ms) == Ready()
    assert flow.tick(1000) == Underflow()


def test_a_client_which_keeps_the_minimum_rate_is_not() -> None:
    flow = started(min_rate=1000)
    for now_ms in range(QUANTUM_MS, 60_000, QUANTUM_MS):
        assert flow.on_chunk(50) == Ready()
        assert flow.tick(now_ms) == Ready()


def test_time_held_back_by_the_maximum_rate_does_not_abort() -> None:
    flow = started(min_rate=1000, journal_rate=1000)
    flow.on_chunk(1000)
    assert flow.on_chunk(9000) == Wait()
    for now_ms in range(QUANTUM_MS, 9000, QUANTUM_MS):
        assert flow.tick(now_ms) == Wait()
    assert flow.tick(9000) == Ready()


def test_a_stall_of_this_process_does_not_abort_the_client() -> None:
    flow = started(min_rate=1000)
    assert flow.tick(60_000) == Ready()


def test_a_clock_set_back_is_ignored() -> None:
    flow = started(min_rate=1000, journal_rate=1000)
    assert flow.tick(500) == Ready()
    assert flow.tick(100) == Ready()
    assert flow.tick(550) == Ready()


def test_the_limit_can_be_lifted() -> None:
    flow = started(journal_rate=10)
    assert flow.on_chunk(1000) == Wait()
    flow.lift_limit()
    assert flow.tick(1) == Ready()


def test_a_maximum_below_the_minimum_rate_does_not_abort() -> None:
    """The client's chunk is there: it is we who hold it back."""
    flow = started(min_rate=65536, journal_rate=1000)
    assert flow.on_chunk(5000) == Wait()
    for now_ms in range(QUANTUM_MS, 4000, QUANTUM_MS):
        assert flow.tick(now_ms) == Wait()
    assert flow.tick(4000) == Ready()


def test_ticks_much_shorter_than_a_quantum_accrue_as_well() -> None:
    flow = started(journal_rate=10)
    assert flow.on_chunk(11) == Wait()
    for now_ms in range(1, 100):
        assert flow.tick(now_ms) == Wait()
    assert flow.tick(100) == Ready()
