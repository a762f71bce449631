"""Chores which are due, run, and are asked for meanwhile; and the calendar of many of them."""

import weakref

import pytest

from gazette_py.core.chores import Calendar, Chore


class Journal:
    """Whatever has chores."""


# CH1: not twice at a time.


def test_a_chore_is_due_at_once_and_then_after_each_interval() -> None:
    chore = Chore(10.0)
    assert chore.due == 10.0
    chore.begin()
    assert chore.due is None
    chore.end(12.0, 60.0)
    assert chore.due == 72.0


def test_what_asks_while_it_runs_has_it_run_once_more() -> None:
    chore = Chore(0.0)
    chore.begin()
    assert not chore.ask(1.0)
    assert not chore.ask(1.5)
    chore.end(2.0, 60.0)
    assert chore.due == 2.0
    chore.begin()
    chore.end(3.0, 60.0)
    assert chore.due == 63.0


def test_what_asks_while_it_waits_has_it_run_now() -> None:
    chore = Chore(0.0)
    chore.begin()
    chore.end(1.0, 60.0)
    assert chore.ask(5.0)
    assert chore.due == 5.0
    assert not chore.ask(6.0)
    assert chore.due == 5.0


# CH2: after a failure.


def test_after_a_failure_only_what_compels_it_has_it_run_before_its_retry() -> None:
    chore = Chore(0.0)
    chore.begin()
    chore.ask(0.5)  # Perhaps by what failed.
    chore.end(1.0, 30.0, failed=True)
    assert not chore.ask(2.0)
    assert chore.due == 31.0
    assert chore.compel(3.0)
    assert chore.due == 3.0


def test_what_compels_it_while_it_fails_has_it_run_again_at_once() -> None:
    chore = Chore(0.0)
    chore.begin()
    assert not chore.compel(0.5)
    chore.end(1.0, 30.0, failed=True)
    assert chore.due == 1.0


def test_after_its_retry_it_can_be_asked_for_again() -> None:
    chore = Chore(0.0)
    chore.begin()
    chore.end(1.0, 30.0, failed=True)
    chore.begin()
    chore.end(32.0, 60.0)
    assert chore.ask(33.0)
    assert chore.due == 33.0


# CH3: one time for each key.


def test_keys_are_taken_in_the_order_of_their_times_and_then_of_their_coming() -> None:
    calendar: Calendar[str] = Calendar()
    for at, key in [(3.0, "later"), (1.0, "first"), (2.0, "second"), (2.0, "third")]:
        calendar.put(at, key)
    assert calendar.next_at == 1.0
    assert calendar.take(0.5) == []
    assert calendar.take(2.0) == ["first", "second", "third"]
    assert calendar.next_at == 3.0
    assert calendar.take(3.0) == ["later"]
    assert calendar.next_at is None


@pytest.mark.parametrize("at", [1.0, 9.0])
def test_a_key_which_is_put_again_has_its_new_time_only(at: float) -> None:
    calendar: Calendar[str] = Calendar()
    calendar.put(5.0, "key")
    calendar.put(at, "key")
    assert calendar.next_at == at
    assert calendar.take(at - 0.1) == []
    assert calendar.take(10.0) == ["key"]
    assert calendar.take(10.0) == []


def test_a_key_which_is_dropped_is_not_taken() -> None:
    calendar: Calendar[str] = Calendar()
    calendar.put(1.0, "gone")
    calendar.put(2.0, "kept")
    calendar.drop("gone")
    calendar.drop("unknown")
    assert calendar.next_at == 2.0
    assert calendar.take(5.0) == ["kept"]


def test_a_key_which_is_dropped_is_in_no_memory() -> None:
    """It stands for a journal, whose time may be hours away."""
    calendar: Calendar[Journal] = Calendar()
    kept, gone = Journal(), Journal()
    calendar.put(1.0, kept)
    calendar.put(3600.0, gone)
    seen = weakref.ref(gone)
    calendar.drop(gone)
    del gone
    assert seen() is None


def test_times_which_no_longer_hold_do_not_pile_up() -> None:
    """A journal which is asked for again and again, each time long before its next turn."""
    calendar: Calendar[str] = Calendar()
    calendar.put(0.0, "idle")
    for n in range(1000):
        calendar.put(3600.0 + n, "busy")
    assert calendar.size <= 4
    calendar.drop("busy")
    calendar.drop("idle")
    assert calendar.size == 0


def test_times_which_no_longer_hold_are_not_left_behind_by_those_which_were_taken() -> None:
    calendar: Calendar[str] = Calendar()
    for key in ("a", "b", "c"):
        calendar.put(20.0, key)
        calendar.put(1.0, key)
    calendar.put(10.0, "later")
    assert calendar.take(5.0) == ["a", "b", "c"]
    assert calendar.size == 1
    assert calendar.take(10.0) == ["later"]
