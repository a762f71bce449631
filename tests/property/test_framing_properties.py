"""Whatever is written as records comes out again, whichever pieces it arrives in."""

import csv
import io
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gazette_py.message.csv_rows import make_row, split_row
from gazette_py.message.framing import MAGIC, DesyncError, FixedSplitter, FramingError, Splitter
from gazette_py.message.framings import splitter_of

TEXT = st.text(st.sampled_from('ab,"\n\r \té'), max_size=8)
ROWS = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(TEXT, min_size=width, max_size=width), max_size=8)
)
PIECES = st.lists(st.integers(0, 1 << 12), max_size=12)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    at = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[begin:end] for begin, end in pairwise(at)]


def split(splitter: Splitter, data: bytes, cuts: list[int]) -> list[bytes]:
    return [record for piece in pieces(data, cuts) for record in splitter.feed(piece)]


@given(ROWS, PIECES, st.sampled_from([b"", b"\n", b"\r\n\n"]))
def test_rows_of_csv(rows: list[list[str]], cuts: list[int], blank: bytes) -> None:
    splitter = splitter_of("csv")
    data = b"".join(blank + make_row(row) for row in rows)

    found = split(splitter, data, cuts)

    # Those who read CSV take the two for one newline.
    expected = [[field.replace("\r\n", "\n").encode() for field in row] for row in rows]
    assert [split_row(splitter.value_of(record)) for record in found] == expected
    assert b"".join(found) == data
    assert splitter.pending == b""


@given(ROWS)
def test_rows_are_written_as_python_reads_them(rows: list[list[str]]) -> None:
    text = b"".join(make_row(row) for row in rows).decode()
    assert list(csv.reader(io.StringIO(text, newline=""), strict=True)) == rows


@given(st.lists(st.binary(max_size=8).map(lambda line: line.replace(b"\n", b""))), PIECES)
def test_lines(lines: list[bytes], cuts: list[int]) -> None:
    data = b"".join(line + b"\n" for line in lines)
    assert split(splitter_of("lines"), data + b"torn", cuts) == [line + b"\n" for line in lines]


@given(st.lists(st.one_of(st.binary(max_size=8), st.just(MAGIC)), max_size=6), PIECES)
def test_nothing_fed_as_frames_is_lost(parts: list[bytes], cuts: list[int]) -> None:
    """F1: each byte is in a frame, skipped, or pending; and valid frames between are found."""
    frame = MAGIC + bytes([1, 0, 0, 0]) + b"x"
    data = b"".join(part.replace(MAGIC, b"") + frame for part in parts)
    splitter, out, frames = FixedSplitter(), b"", 0

    for piece in [*pieces(data, cuts), b""]:
        more = piece
        while True:
            try:
                for record in splitter.feed(more):
                    out += record
                    frames += 1
                break
            except DesyncError as exc:
                out += exc.skipped
                more = b""

    assert out == data
    assert frames == len(parts)


@pytest.mark.parametrize("framing", ["lines", "csv", "fixed"])
@given(data=st.binary(max_size=40))
def test_bytes_of_any_kind_are_split_or_refused(framing: str, data: bytes) -> None:
    splitter, found = splitter_of(framing), b""
    try:
        for record in splitter.feed(data):
            found += record
    except FramingError:
        assert framing != "lines"
    else:
        assert data.startswith(found)
        assert data.endswith(splitter.pending)
