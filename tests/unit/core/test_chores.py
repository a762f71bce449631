"""Chores which are due, run, and are asked for meanwhile; and the calendar of many of them."""

import pytest

from gazette_py.core.chores import Calendar, Chore


def running(now: float = 0.0) -> Chore:
    chore = Chore(now)
    chore.begin()
    assert chore.due is None
    return chore


def test_it_is_due_at_once_and_then_again_and_again() -> None:
    chore = Chore(5.0)
    assert chore.due == 5.0
    chore.begin()
    chore.end(7.0, 60.0)
    assert chore.due == 67.0


def test_whoever_asks_has_it_run_now() -> None:
    chore = running()
    chore.end(0.0, 60.0)
    assert chore.ask(10.0)
    assert chore.due == 10.0
    assert not chore.ask(11.0), "it is due already"


@pytest.mark.parametrize("ask", [Chore.ask, Chore.compel])
def test_asked_for_while_it_runs_it_runs_once_more(ask: object) -> None:
    chore = running()
    assert not ask(chore, 1.0)  # type: ignore[operator]  # One of the two.
    chore.end(2.0, 60.0)
    assert chore.due == 2.0
    chore.begin()
    chore.end(3.0, 60.0)
    assert chore.due == 63.0, "but no more than once"


def test_after_a_failure_it_waits_whoever_asks() -> None:
    chore = running()
    chore.ask(1.0)
    chore.end(2.0, 5.0, failed=True)
    assert chore.due == 7.0
    assert not chore.ask(3.0)
    assert chore.due == 7.0
    chore.begin()
    chore.end(8.0, 60.0)
    assert chore.ask(9.0), "the retry went well"


def test_after_a_failure_it_can_be_compelled() -> None:
    chore = running()
    chore.end(2.0, 5.0, failed=True)
    assert chore.compel(3.0)
    assert chore.due == 3.0
    chore.begin()
    chore.compel(4.0)
    chore.end(5.0, 5.0, failed=True)
    assert chore.due == 5.0
    assert not chore.compel(6.0), "it is due already"


def test_the_calendar_gives_what_is_due_in_order() -> None:
    calendar: Calendar[str] = Calendar()
    assert calendar.next_at is None
    for at, key in ((3.0, "c"), (1.0, "a"), (1.0, "b"), (9.0, "z")):
        calendar.put(at, key)
    assert calendar.next_at == 1.0
    assert calendar.take(3.0) == [(1.0, "a"), (1.0, "b"), (3.0, "c")]
    assert calendar.take(3.0) == []
    assert calendar.next_at == 9.0
