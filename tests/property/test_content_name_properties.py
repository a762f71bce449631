"""Names of fragments say all that there is to know of them, and sort as their content does."""

from hypothesis import given
from hypothesis import strategies as st

from gazette_py.protocol.enums import CompressionCodec
from gazette_py.protocol.fragment import (
    Fragment,
    content_name,
    content_path,
    parse_content_name,
)

JOURNAL = "acme/orders"
OFFSETS = st.one_of(st.integers(0, 300), st.integers(0, (1 << 63) - 1))
CODECS = st.sampled_from([codec for codec in CompressionCodec if codec])
POSTFIXES = st.sampled_from(["", "date=2013-01-01", "year=2013/month=01"])


@st.composite
def fragments(draw: st.DrawFn) -> Fragment:
    begin, end = sorted((draw(OFFSETS), draw(OFFSETS)))
    return Fragment(
        journal=JOURNAL,
        begin=begin,
        end=end,
        sum=draw(st.binary(min_size=20, max_size=20)),
        compression_codec=draw(CODECS),
        path_postfix=draw(POSTFIXES),
    )


@given(fragments())
def test_a_name_parses_to_its_fragment(fragment: Fragment) -> None:
    below = content_path(fragment).removeprefix(f"{JOURNAL}/")
    assert parse_content_name(JOURNAL, below) == fragment


@given(fragments())
def test_the_digits_may_be_short_and_of_either_case(fragment: Fragment) -> None:
    stem, dot, extension = content_name(fragment).partition(".")
    begin, end, sum_ = stem.split("-")
    short = f"{begin.lstrip('0') or '0'}-{end.lstrip('0') or '0'}-{sum_}".upper()
    parsed = parse_content_name(JOURNAL, f"{short}{dot}{extension}")
    assert content_name(parsed) == content_name(fragment)


@given(fragments(), fragments())
def test_names_sort_as_offsets_do(left: Fragment, right: Fragment) -> None:
    def key(fragment: Fragment) -> tuple[int, int, bytes]:
        return fragment.begin, fragment.end, fragment.sum

    if key(left) != key(right):
        assert (content_name(left) < content_name(right)) == (key(left) < key(right))
