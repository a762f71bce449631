"""Rows of CSV, by examples which Go's encoding/csv read and wrote."""

import pytest

from gazette_py.message.csv_rows import CSVSplitter, make_row, split_row
from gazette_py.message.framing import RECORD_BYTES_MAX, FramingError

READ = [
    (b"a,b\n", [b"a", b"b"]),
    (b"a,b\r\n", [b"a", b"b"]),
    (b"\n\r\na,b\n", [b"a", b"b"]),
    (b'"a""b","c,d"\n', [b'a"b', b"c,d"]),
    (b'"a\nb",c\n', [b"a\nb", b"c"]),
    (b'"a\r\nb",c\r\n', [b"a\nb", b"c"]),
    (b'"a\n\nb",c\n', [b"a\n\nb", b"c"]),
    (b'""\n', [b""]),
    (b'""""\n', [b'"']),
    (b",\n", [b"", b""]),
    (b"a\rb,c\n", [b"a\rb", b"c"]),
    (b"a\r\r\n", [b"a\r"]),
    (b'\n"x\n"",\ny",z\n', [b'x\n",\ny', b"z"]),
]
MISPLACED = [b'a"b,c\n', b'"a"b,c\n', b' "a",b\n', b'"a" ,b\n', b'a,b"\n', b'"a\nb"c,d\n']


@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize(("row", "fields"), READ)
def test_rows_come_out_whole(row: bytes, fields: list[bytes], size: int) -> None:
    splitter = CSVSplitter()

    found = [
        record for i in range(0, len(row), size) for record in splitter.feed(row[i : i + size])
    ]

    assert found == [row]
    assert splitter.pending == b""
    assert split_row(splitter.value_of(row)) == fields


@pytest.mark.parametrize("row", MISPLACED)
def test_misplaced_quotes_are_refused(row: bytes) -> None:
    with pytest.raises(FramingError, match="a quote is misplaced"):
        list(CSVSplitter().feed(row))


@pytest.mark.parametrize("row", MISPLACED)
def test_fields_with_misplaced_quotes_are_refused(row: bytes) -> None:
    with pytest.raises(FramingError, match="a quote is misplaced"):
        split_row(row)


def test_a_quote_out_of_place_is_seen_at_once() -> None:
    """Were it taken for that of a field, rows would be swallowed up to the next one."""
    rows = CSVSplitter().feed(b'a,b\nc"d,e\nf,g\n')

    assert next(rows) == b"a,b\n"
    with pytest.raises(FramingError):
        next(rows)


@pytest.mark.parametrize("row", [b"c\n", b'"c,d"\n', b'"c\nd","e","f"\n'])
def test_all_rows_have_as_many_fields_as_the_first(row: bytes) -> None:
    splitter = CSVSplitter()
    assert list(splitter.feed(b'a,"b"\nc,d\n')) == [b'a,"b"\n', b"c,d\n"]

    with pytest.raises(FramingError, match="fields, and not 2 as"):
        list(splitter.feed(row))


@pytest.mark.parametrize(
    ("rest", "pending"), [(b"\n\r\n", b""), (b"\nc", b"c"), (b'"c\nd', b'"c\nd'), (b"", b"")]
)
def test_what_is_not_complete_is_told_without_blank_lines(rest: bytes, pending: bytes) -> None:
    splitter = CSVSplitter()

    assert list(splitter.feed(b"a\n" + rest)) == [b"a\n"]
    assert splitter.pending == pending


def test_a_jump_drops_what_is_pending() -> None:
    splitter = CSVSplitter()
    list(splitter.feed(b'1,2\n3,"4\n5'))

    splitter.reset()

    assert splitter.pending == b""
    assert list(splitter.feed(b"6,7\n")) == [b"6,7\n"]


def test_a_row_without_end_is_refused() -> None:
    splitter = CSVSplitter()
    list(splitter.feed(bytes(RECORD_BYTES_MAX)))

    with pytest.raises(FramingError, match="a row is longer than"):
        list(splitter.feed(b"x"))


def test_a_text_of_two_rows_has_no_fields() -> None:
    with pytest.raises(FramingError, match="more than one row"):
        split_row(b"a,b\nc,d\n")


@pytest.mark.parametrize(
    ("fields", "row"),
    [
        (["a", "b,c"], b'a,"b,c"\n'),
        (['q"q', "n\nl"], b'"q""q","n\nl"\n'),
        ([" a", "b "], b'" a",b \n'),
        (["", ""], b",\n"),
        (["r\rr", "é"], '"r\rr",é\n'.encode()),
        (["\\."], b'"\\."\n'),
        (["\tx"], b'"\tx"\n'),
        ([""], b'""\n'),  # Go writes a blank line, and then misses the row.
    ],
)
def test_fields_are_quoted_where_they_must_be(fields: list[str], row: bytes) -> None:
    assert make_row(fields) == row
    assert split_row(row) == [field.encode() for field in fields]
