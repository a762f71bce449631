"""What retention removes, against sets of bytes: the beginning of a journal, and never its end."""

from hypothesis import event, given
from hypothesis import strategies as st

from gazette_py.core.retention import Verdict, plan
from gazette_py.protocol.fragment import Fragment

BOUND = 5  # Fragments stored at 1 to 5 are old; at 6 to 10 they are young.
FRAGMENTS = st.lists(
    st.builds(
        lambda begin, length, mod_time, content: Fragment(
            journal="a/journal",
            begin=begin,
            end=begin + length,
            mod_time=mod_time,
            sum=bytes([content] * 20),
        ),
        st.integers(0, 8),  # Few, so that fragments often share a begin or an end.
        st.integers(0, 4),
        st.integers(0, 10),
        st.integers(0, 1),
    ),
    max_size=12,
)
KEEP = st.one_of(st.just(0), st.integers(0, 15))


def covered(fragments: list[Fragment]) -> set[int]:
    return {offset for f in fragments for offset in range(f.begin, f.end)}


def split(
    fragments: list[Fragment], keep_bytes: int = 0, *, include_covered: bool = False
) -> tuple[list[Fragment], list[Fragment]]:
    """Return what stays and what goes."""
    verdicts = plan(
        fragments, stored_until=BOUND, keep_bytes=keep_bytes, include_covered=include_covered
    )
    pairs = list(zip(fragments, verdicts, strict=True))
    stays = [fragment for fragment, verdict in pairs if verdict is not Verdict.REMOVE]
    goes = [fragment for fragment, verdict in pairs if verdict is Verdict.REMOVE]
    event(f"removes {'some' if goes else 'nothing'}")
    return stays, goes


@given(FRAGMENTS, KEEP, st.booleans())
def test_nothing_goes_which_is_young_or_of_unknown_age(
    fragments: list[Fragment], keep_bytes: int, include_covered: bool
) -> None:
    _, goes = split(fragments, keep_bytes, include_covered=include_covered)
    assert all(0 < fragment.mod_time <= BOUND for fragment in goes)


@given(FRAGMENTS, KEEP, st.booleans())
def test_every_fragment_at_the_end_of_the_journal_stays(
    fragments: list[Fragment], keep_bytes: int, include_covered: bool
) -> None:
    _, goes = split(fragments, keep_bytes, include_covered=include_covered)
    assert all(gone.end < max(f.end for f in fragments) for gone in goes)


@given(FRAGMENTS, KEEP, st.booleans())
def test_what_stays_has_all_that_there_was_from_its_beginning_on(
    fragments: list[Fragment], keep_bytes: int, include_covered: bool
) -> None:
    stays, _ = split(fragments, keep_bytes, include_covered=include_covered)
    begin = min((fragment.begin for fragment in stays), default=0)
    assert covered(stays) == {offset for offset in covered(fragments) if offset >= begin}


@given(FRAGMENTS, KEEP, st.booleans())
def test_the_last_bytes_which_were_asked_for_stay(
    fragments: list[Fragment], keep_bytes: int, include_covered: bool
) -> None:
    stays, _ = split(fragments, keep_bytes, include_covered=include_covered)
    end = max((fragment.end for fragment in fragments), default=0)
    wanted = {offset for offset in covered(fragments) if offset >= end - keep_bytes}
    assert wanted <= covered(stays)


@given(FRAGMENTS, KEEP, st.booleans())
def test_a_second_run_removes_nothing_more(
    fragments: list[Fragment], keep_bytes: int, include_covered: bool
) -> None:
    stays, _ = split(fragments, keep_bytes, include_covered=include_covered)
    assert split(stays, keep_bytes, include_covered=include_covered) == (stays, [])


@given(FRAGMENTS, KEEP)
def test_what_lies_within_others_goes_only_if_wanted_and_takes_no_content_along(
    fragments: list[Fragment], keep_bytes: int
) -> None:
    stays, goes = split(fragments, keep_bytes)
    stays_of_all, goes_of_all = split(fragments, keep_bytes, include_covered=True)
    assert all(fragment in goes_of_all for fragment in goes)
    assert covered(stays_of_all) == covered(stays)


@given(FRAGMENTS, KEEP)
def test_of_two_which_differ_at_one_extent_none_is_taken_for_the_other(
    fragments: list[Fragment], keep_bytes: int
) -> None:
    stays, goes = split(fragments, keep_bytes, include_covered=True)
    for gone in goes:
        twins = {f.sum for f in stays if (f.begin, f.end) == (gone.begin, gone.end)}
        assert not twins or gone.sum in twins


@given(FRAGMENTS)
def test_old_content_goes_wherever_nothing_older_than_it_has_to_stay(
    fragments: list[Fragment],
) -> None:
    """The plan is no stricter than it says: a journal in order loses all that is old."""
    ordered = sorted(fragments, key=lambda f: f.mod_time)
    offset, chain = 0, []
    for fragment in ordered:
        if fragment.end > fragment.begin and fragment.mod_time:
            length = fragment.end - fragment.begin
            chain.append(
                Fragment(
                    journal="a/journal",
                    begin=offset,
                    end=offset + length,
                    mod_time=fragment.mod_time,
                )
            )
            offset += length
    _, goes = split(chain)
    assert goes == [f for f in chain[:-1] if f.mod_time <= BOUND]
