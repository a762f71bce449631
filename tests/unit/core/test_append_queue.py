"""Which appends are sent together, when, and how each of them ends."""

from collections.abc import Iterable
from math import inf

import pytest

from gazette_py.core.append_queue import (
    APPEND_BYTES,
    Abandoned,
    Append,
    AppendQueue,
    Batch,
    Committed,
    Failed,
    Late,
    Limits,
    Withdrawn,
)

A, B = "acme/a", "acme/b"


def queue(
    *,
    bytes_max: int = 1 << 20,
    batch_bytes_max: int = 100,
    linger_s: float = 0.0,
    sends_max: int = 8,
) -> AppendQueue:
    limits = Limits(
        bytes_max=bytes_max,
        batch_bytes_max=batch_bytes_max,
        linger_s=linger_s,
        sends_max=sends_max,
    )
    return AppendQueue(limits)


def submit(
    appends: AppendQueue,
    content: bytes,
    *,
    journal: str = A,
    now: float = 0.0,
    after: Iterable[Append] = (),
    deadline: float = inf,
    key: object = (),
) -> Append:
    append = Append(journal, content, after=after, deadline=deadline, key=key)
    assert appends.submit(append, now)
    return append


def sends(appends: AppendQueue, now: float = 0.0) -> list[Batch]:
    return appends.work(now).batches


def contents(batches: Iterable[Batch]) -> list[tuple[str, list[bytes]]]:
    return [(batch.journal, batch.content()) for batch in batches]


# Batches.


def test_appends_of_one_moment_share_a_batch_and_each_learns_its_span() -> None:
    appends = queue()
    first, second, third = (submit(appends, content) for content in (b"one", b"", b"three"))
    (batch,) = sends(appends)
    assert contents([batch]) == [(A, [b"one", b"three"])]
    appends.committed(batch, 1000, "answer")
    assert first.outcome == Committed(1000, 1003, "answer")
    assert second.outcome == Committed(1003, 1003, "answer")
    assert third.outcome == Committed(1003, 1008, "answer")
    assert appends.work(0.0).settled == [first, second, third]
    assert (len(appends), appends.held_bytes) == (0, 0)


def test_what_comes_while_a_batch_is_under_way_makes_up_the_next() -> None:
    appends = queue()
    submit(appends, b"one")
    (batch,) = sends(appends)
    submit(appends, b"two")
    submit(appends, b"three")
    assert sends(appends) == [], "Q1"
    appends.committed(batch, 0)
    assert contents(sends(appends)) == [(A, [b"two", b"three"])]


def test_journals_do_not_wait_for_each_other() -> None:
    appends = queue()
    submit(appends, b"one")
    submit(appends, b"two", journal=B)
    assert contents(sends(appends)) == [(A, [b"one"]), (B, [b"two"])]


def test_a_full_batch_takes_no_more_and_a_large_append_goes_alone() -> None:
    appends = queue(batch_bytes_max=10)
    for content in (b"1234567", b"1234", b"x" * 50, b"1"):
        submit(appends, content)
    sent = []
    while batches := sends(appends):
        sent += contents(batches)
        appends.committed(batches[0], 0)
    assert sent == [(A, [b"1234567"]), (A, [b"1234"]), (A, [b"x" * 50]), (A, [b"1"])]


def test_appends_of_different_keys_and_those_without_go_apart_and_in_order() -> None:
    appends = queue()
    for content, key in ((b"1", "x"), (b"2", "y"), (b"3", None), (b"4", None), (b"5", "y")):
        submit(appends, content, key=key)
    sent = []
    while batches := sends(appends):
        sent += [batch.content() for batch in batches]
        appends.committed(batches[0], 0)
    assert sent == [[b"1"], [b"2"], [b"3"], [b"4"], [b"5"]]


def test_no_more_batches_are_under_way_than_allowed() -> None:
    appends = queue(sends_max=1)
    submit(appends, b"one")
    submit(appends, b"two", journal=B)
    (batch,) = sends(appends)
    assert batch.journal == A
    assert sends(appends) == [], "Q5"
    appends.committed(batch, 0)
    assert contents(sends(appends)) == [(B, [b"two"])]


# Linger.


def test_a_batch_lingers_for_more() -> None:
    appends = queue(linger_s=0.5)
    submit(appends, b"one", now=10.0)
    assert sends(appends, 10.0) == []
    assert appends.wake_at() == 10.5
    submit(appends, b"two", now=10.4)
    assert contents(sends(appends, 10.5)) == [(A, [b"one", b"two"])]
    assert appends.wake_at() == inf


def test_a_full_batch_does_not_linger() -> None:
    appends = queue(linger_s=0.5, batch_bytes_max=6)
    submit(appends, b"one")
    submit(appends, b"two")
    assert contents(sends(appends)) == [(A, [b"one", b"two"])]


def test_a_batch_which_has_a_successor_does_not_linger() -> None:
    appends = queue(linger_s=0.5, batch_bytes_max=5)
    submit(appends, b"one")
    submit(appends, b"two")
    (batch,) = sends(appends)
    assert batch.content() == [b"one"]
    appends.committed(batch, 0)
    assert sends(appends, 0.4) == []
    assert contents(sends(appends, 0.5)) == [(A, [b"two"])]


def test_flush_ends_the_linger_of_all_which_is_held() -> None:
    appends = queue(linger_s=0.5)
    submit(appends, b"one")
    submit(appends, b"two", journal=B)
    assert sends(appends) == []
    appends.flush()
    assert contents(sends(appends)) == [(A, [b"one"]), (B, [b"two"])]


def test_nothing_lingers_while_others_wait_for_room() -> None:
    appends = queue(linger_s=0.5, bytes_max=APPEND_BYTES + 10)
    submit(appends, b"one")
    assert sends(appends) == []
    submit(appends, b"two")
    assert contents(sends(appends)) == [(A, [b"one"])]


# Room.


def test_an_append_waits_for_room_and_nobody_overtakes_it() -> None:
    appends = queue(bytes_max=2 * APPEND_BYTES + 20)
    submit(appends, b"x" * 20)
    (batch,) = sends(appends)
    large, small = submit(appends, b"y" * (APPEND_BYTES + 20)), submit(appends, b"z")
    assert appends.work(0.0).accepted == [], "Q3"
    assert not appends.submit(Append(A, b""), 0.0, may_wait=False), "It would overtake."
    appends.committed(batch, 0)
    work = appends.work(0.0)
    assert work.accepted == [large]
    appends.committed(work.batches[0], 20)
    work = appends.work(0.0)
    assert work.accepted == [small]
    assert contents(work.batches) == [(A, [b"z"])]


def test_what_may_not_wait_is_refused_without_room_and_leaves_nothing() -> None:
    appends = queue(bytes_max=APPEND_BYTES + 10)
    submit(appends, b"x")
    assert not appends.submit(Append(A, b"y", deadline=1.0), 0.0, may_wait=False)
    assert (len(appends), appends.wake_at()) == (1, inf)


def test_an_append_larger_than_all_room_never_fits() -> None:
    appends = queue(bytes_max=APPEND_BYTES + 10)
    assert appends.fits_ever(10)
    assert not appends.fits_ever(11)


# Dependencies.


def test_an_append_waits_until_what_it_comes_after_is_committed() -> None:
    appends = queue()
    cause = submit(appends, b"cause")
    effect = submit(appends, b"effect", journal=B, after=[cause])
    (batch,) = sends(appends)
    assert batch.journal == A, "Q4"
    appends.committed(batch, 0)
    assert contents(sends(appends)) == [(B, [b"effect"])]
    assert effect.outcome is None


def test_what_was_committed_before_is_not_waited_for() -> None:
    appends = queue()
    cause = submit(appends, b"cause")
    appends.committed(sends(appends)[0], 0)
    submit(appends, b"effect", journal=B, after=[cause])
    assert contents(sends(appends)) == [(B, [b"effect"])]


def test_an_append_after_one_of_its_own_batch_shares_it() -> None:
    appends = queue()
    first = submit(appends, b"first")
    submit(appends, b"second", after=[first])
    assert contents(sends(appends)) == [(A, [b"first", b"second"])]


def test_an_append_does_not_make_those_before_it_wait() -> None:
    """Were it to join, the batch would wait for itself (Q7)."""
    appends = queue()
    one = submit(appends, b"one")
    two = submit(appends, b"two", journal=B, after=[one])
    submit(appends, b"three", after=[two])
    (batch,) = sends(appends)
    assert batch.content() == [b"one"]
    appends.committed(batch, 0)
    (batch,) = sends(appends)
    assert batch.content() == [b"two"]
    appends.committed(batch, 0)
    assert contents(sends(appends)) == [(A, [b"three"])]


def test_appends_which_wait_for_the_same_share_a_batch() -> None:
    appends = queue()
    cause = submit(appends, b"cause")
    submit(appends, b"one", journal=B, after=[cause])
    submit(appends, b"two", journal=B, after=[cause])
    submit(appends, b"three", journal=B)
    appends.committed(sends(appends)[0], 0)
    assert contents(sends(appends)) == [(B, [b"one", b"two", b"three"])]


def test_what_depends_on_a_failure_is_abandoned_unsent() -> None:
    appends = queue()
    cause = submit(appends, b"cause")
    effect = submit(appends, b"effect", journal=B, after=[cause])
    last = submit(appends, b"last", after=[cause, effect])
    other = submit(appends, b"other", journal=B)
    (batch,) = sends(appends)
    appends.failed(batch, "why")
    assert cause.outcome == Failed("why")
    assert effect.outcome == Abandoned(cause, is_doubtful=False)
    assert last.outcome == Abandoned(cause, is_doubtful=False)
    assert contents(sends(appends)) == [(B, [b"other"])]
    assert other.outcome is None
    assert submit(appends, b"too late", after=[cause]).outcome == Abandoned(
        cause, is_doubtful=False
    )


# Attempts.


def test_a_refused_batch_is_sent_again_later_and_before_what_came_after_it() -> None:
    appends = queue()
    submit(appends, b"one")
    (batch,) = sends(appends)
    submit(appends, b"two")
    appends.refused(batch, 3.0)
    assert sends(appends, 2.9) == []
    assert appends.wake_at() == 3.0
    (again,) = sends(appends, 3.0)
    assert (again, again.content(), again.attempts) == (batch, [b"one"], 2)


def test_a_failed_batch_does_not_poison_its_journal() -> None:
    appends = queue()
    submit(appends, b"one")
    (batch,) = sends(appends)
    submit(appends, b"two")
    appends.failed(batch, "why")
    assert contents(sends(appends)) == [(A, [b"two"])]


def test_a_batch_runs_as_long_as_one_of_its_callers_waits() -> None:
    appends = queue()
    submit(appends, b"one", deadline=5.0)
    submit(appends, b"two", deadline=7.0)
    assert sends(appends)[0].deadline == 7.0


# Deadlines.


def test_an_append_which_is_late_before_it_is_sent_never_is() -> None:
    appends = queue(linger_s=10.0)
    late = submit(appends, b"late", deadline=5.0)
    submit(appends, b"in time", deadline=50.0)
    assert appends.wake_at() == 5.0
    assert appends.work(5.0).settled == [late]
    assert late.outcome == Late(is_doubtful=False)
    assert contents(sends(appends, 10.0)) == [(A, [b"in time"])]


def test_an_append_which_is_late_while_it_waits_for_room_makes_way() -> None:
    appends = queue(bytes_max=APPEND_BYTES + 10)
    submit(appends, b"x")
    (batch,) = sends(appends)
    late, other = submit(appends, b"late", deadline=5.0), submit(appends, b"other")
    assert appends.work(5.0).settled == [late]
    appends.committed(batch, 0)
    assert appends.work(5.0).accepted == [other]


def test_an_append_which_is_late_under_way_is_doubtful_and_its_bytes_stay_held() -> None:
    appends = queue()
    late = submit(appends, b"late", deadline=5.0)
    other = submit(appends, b"other")
    (batch,) = sends(appends)
    assert appends.work(5.0).settled == [late]
    assert late.outcome == Late(is_doubtful=True)
    assert appends.held_bytes == 2 * APPEND_BYTES + 9
    appends.committed(batch, 100)
    assert other.outcome == Committed(104, 109, None), "What is late is in the journal, too."
    assert appends.held_bytes == 0


def test_a_batch_of_which_all_are_late_is_not_sent_again() -> None:
    appends = queue()
    submit(appends, b"late", deadline=5.0)
    (batch,) = sends(appends)
    appends.work(5.0)
    appends.refused(batch, 6.0)
    assert sends(appends, 10.0) == []
    assert (len(appends), appends.held_bytes) == (0, 0)


def test_what_follows_in_a_batch_is_abandoned_once_what_it_follows_is_late() -> None:
    appends = queue()
    first = submit(appends, b"first", deadline=5.0)
    second = submit(appends, b"second", after=[first])
    third = submit(appends, b"third", after=[first, second])
    (batch,) = sends(appends)
    appends.work(5.0)
    assert second.outcome is None, "It may yet be committed, together with the first."
    appends.refused(batch, 6.0, is_doubtful=True)
    assert second.outcome == Abandoned(first, is_doubtful=True)
    assert third.outcome == Abandoned(second, is_doubtful=True)
    assert sends(appends, 10.0) == []


def test_what_an_earlier_attempt_may_have_committed_stays_doubtful() -> None:
    appends = queue()
    append = submit(appends, b"one", deadline=5.0)
    (batch,) = sends(appends)
    appends.refused(batch, 10.0, is_doubtful=True)
    assert not appends.withdraw(append)
    appends.work(5.0)
    assert append.outcome == Late(is_doubtful=True)


def test_deadlines_of_what_is_settled_are_not_kept() -> None:
    appends = queue()
    for _ in range(1000):
        submit(appends, b"x", deadline=1e6)
        (batch,) = sends(appends)
        appends.committed(batch, 0)
    assert len(appends._deadlines) < 100
    appends.work(0.0)
    assert appends.wake_at() == inf


def test_a_deadline_means_nothing_to_what_is_settled() -> None:
    appends = queue()
    append = submit(appends, b"x", deadline=5.0)
    appends.committed(sends(appends)[0], 0)
    appends.work(0.0)
    assert appends.work(5.0).settled == []
    assert append.outcome == Committed(0, 1, None)


# Withdrawal.


def test_an_append_is_taken_back_before_it_is_sent() -> None:
    appends = queue(bytes_max=2 * APPEND_BYTES + 10)
    one, two = submit(appends, b"one"), submit(appends, b"two")
    waiting = submit(appends, b"three")
    assert appends.withdraw(one)
    assert appends.withdraw(waiting)
    assert (one.outcome, waiting.outcome) == (Withdrawn(), Withdrawn())
    work = appends.work(0.0)
    assert (work.settled, contents(work.batches)) == ([one, waiting], [(A, [b"two"])])
    assert not appends.withdraw(two)
    assert not appends.withdraw(one)


def test_a_batch_of_which_nothing_is_left_is_gone() -> None:
    appends = queue()
    assert appends.withdraw(submit(appends, b"one"))
    assert sends(appends) == []
    assert not appends._journals


def test_a_batch_cannot_be_reported_twice() -> None:
    appends = queue()
    submit(appends, b"one")
    (batch,) = sends(appends)
    appends.committed(batch, 0)
    with pytest.raises(AssertionError, match="under way"):
        appends.committed(batch, 0)
