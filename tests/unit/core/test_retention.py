"""Retention: which fragments of a journal go, and why others stay."""

from gazette_py.core.retention import plan
from gazette_py.protocol.fragment import Fragment

OLD, BOUND, YOUNG = 100, 200, 300


def fragment(begin: int, end: int, mod_time: int = OLD, content: int = 0) -> Fragment:
    return Fragment(
        journal="a/journal", begin=begin, end=end, mod_time=mod_time, sum=bytes([content] * 20)
    )


def verdicts(*fragments: Fragment, keep_bytes: int = 0, include_covered: bool = False) -> list[str]:
    found = plan(
        fragments, stored_until=BOUND, keep_bytes=keep_bytes, include_covered=include_covered
    )
    return [verdict.value for verdict in found]


def test_what_is_old_goes_and_the_last_fragment_stays() -> None:
    ordered = [fragment(0, 10), fragment(10, 20), fragment(20, 30)]
    assert verdicts(*ordered) == ["remove", "remove", "last"]
    assert verdicts(*ordered, fragment(30, 40, YOUNG)) == ["remove"] * 3 + ["young"]
    assert verdicts() == []


def test_a_fragment_as_old_as_the_bound_goes_and_one_of_unknown_age_stays() -> None:
    last = fragment(10, 20, YOUNG)
    assert verdicts(fragment(0, 10, BOUND), last) == ["remove", "young"]
    assert verdicts(fragment(0, 10, BOUND + 1), last) == ["young", "young"]
    assert verdicts(fragment(0, 10, 0), last) == ["young", "young"]


def test_all_which_end_last_stay() -> None:
    """Brokers may know of either, and a copy may lie in each store."""
    last = [fragment(10, 20), fragment(15, 20), fragment(10, 20)]
    assert verdicts(fragment(0, 10), *last) == ["remove", "last", "last", "last"]


def test_some_of_the_last_bytes_stay() -> None:
    ordered = [fragment(0, 10), fragment(10, 20), fragment(20, 30)]
    assert verdicts(*ordered, keep_bytes=10) == ["remove", "remove", "last"]
    assert verdicts(*ordered, keep_bytes=11) == ["remove", "recent", "last"]


def test_no_hole_is_made_behind_what_stays() -> None:
    """As where the beginning was stored again, by a copy of the bucket."""
    ordered = [fragment(0, 10, YOUNG), fragment(10, 20), fragment(20, 30)]
    assert verdicts(*ordered) == ["young", "between", "last"]
    straddling = [fragment(0, 15), fragment(10, 12, YOUNG), fragment(15, 20, YOUNG)]
    assert verdicts(*straddling) == ["between", "young", "young"]


def test_old_content_goes_with_all_of_its_copies() -> None:
    copies = [fragment(0, 10), fragment(2, 8), fragment(0, 10)]
    assert verdicts(*copies, fragment(10, 20, YOUNG)) == ["remove"] * 3 + ["young"]


def test_what_lies_within_others_that_stay_goes_if_wanted() -> None:
    within = [fragment(5, 10), fragment(0, 10, YOUNG), fragment(10, 20, YOUNG)]
    assert verdicts(*within) == ["covered", "young", "young"]
    assert verdicts(*within, include_covered=True) == ["remove", "young", "young"]


def test_other_content_at_the_same_extent_is_no_copy() -> None:
    differing = [fragment(0, 10, OLD, 1), fragment(0, 10, YOUNG, 2), fragment(10, 20, YOUNG)]
    assert verdicts(*differing, include_covered=True) == ["between", "young", "young"]


def test_a_fragment_whose_beginning_alone_is_old_goes_if_others_hold_the_rest() -> None:
    overlapping = [fragment(0, 10), fragment(5, 20, YOUNG)]
    assert verdicts(*overlapping) == ["remove", "young"]
