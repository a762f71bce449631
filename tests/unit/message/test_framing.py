"""Records cut out of bytes which come in any pieces."""

import pytest

from gazette_py.message.framing import (
    RECORD_BYTES_MAX,
    DesyncError,
    FixedSplitter,
    FramingError,
    LineSplitter,
)
from gazette_py.message.framings import framing_of, splitter_of
from gazette_py.protocol.labels import LabelSet

FRAME = bytes.fromhex("6633933603000000") + b"foo"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize(
    ("framing", "records", "rest"),
    [
        ("lines", [b"a\n", b"\n", b"long line\r\n"], b"torn"),
        ("lines", [b"a\n"], b""),
        ("fixed", [FRAME, bytes.fromhex("6633933600000000"), FRAME], FRAME[:9]),
        ("fixed", [FRAME], b"\x66\x33"),
    ],
)
def test_records_come_out_whole(framing: str, records: list[bytes], rest: bytes, size: int) -> None:
    data = b"".join(records) + rest
    splitter = splitter_of(framing)

    found = [
        record for i in range(0, len(data), size) for record in splitter.feed(data[i : i + size])
    ]

    assert found == records
    assert splitter.pending == rest


def test_values_are_without_framing() -> None:
    assert LineSplitter().value_of(b"key\r\n") == b"key"
    assert FixedSplitter().value_of(FRAME) == b"foo"


@pytest.mark.parametrize("data", [b"junk", b"\x66\x33\x93\x37", FRAME + b"x\x33\x93\x36"])
def test_other_bytes_than_a_header_are_refused(data: bytes) -> None:
    with pytest.raises(DesyncError, match="expected the header of a frame"):
        list(FixedSplitter().feed(data))


def test_frames_go_on_after_bytes_which_are_none() -> None:
    """As Gazette's own test has it: 21 bytes of junk, seen through a buffer of 16."""
    junk, splitter = bytes(range(21)), FixedSplitter()

    with pytest.raises(DesyncError) as first:
        list(splitter.feed(junk[:16]))
    with pytest.raises(DesyncError) as second:
        list(splitter.feed(junk[16:] + FRAME))

    assert (first.value.skipped, second.value.skipped) == (junk[:13], junk[13:])
    assert list(splitter.feed(b"")) == [FRAME]


def test_frames_before_junk_are_given_once() -> None:
    splitter, found = FixedSplitter(), []

    with pytest.raises(DesyncError) as caught:
        found.extend(splitter.feed(FRAME + b"junk" + FRAME))
    found.extend(splitter.feed(b""))

    assert caught.value.skipped == b"junk"
    assert found == [FRAME, FRAME]


@pytest.mark.parametrize(("rest", "pending"), [(b"\n", b""), (b"\n\n", b"\n\n"), (b"f", b"f")])
def test_a_newline_behind_frames_is_not_missed(rest: bytes, pending: bytes) -> None:
    splitter = FixedSplitter()

    assert list(splitter.feed(FRAME + rest)) == [FRAME]
    assert splitter.pending == pending


def test_a_line_without_end_is_refused() -> None:
    splitter = LineSplitter()
    list(splitter.feed(bytes(RECORD_BYTES_MAX)))

    with pytest.raises(FramingError, match="a line is longer than"):
        list(splitter.feed(b"x"))


def test_a_frame_which_cannot_be_is_refused() -> None:
    with pytest.raises(FramingError, match="a frame of 4294967295 bytes is too long"):
        list(FixedSplitter().feed(bytes.fromhex("66339336ffffffff")))


@pytest.mark.parametrize("framing", ["lines", "fixed"])
def test_a_jump_drops_what_is_pending(framing: str) -> None:
    splitter = splitter_of(framing)
    list(splitter.feed(FRAME[:5]))

    splitter.reset()

    assert splitter.pending == b""


def test_records_taken_before_the_last_are_not_given_again() -> None:
    splitter = FixedSplitter()
    assert next(iter(splitter.feed(FRAME + FRAME))) == FRAME

    assert list(splitter.feed(b"")) == [FRAME]


@pytest.mark.parametrize(
    ("content_type", "framing"),
    [
        ("application/x-protobuf-fixed", "fixed"),
        ("application/x-gazette-recoverylog", "fixed"),
        ("application/x-ndjson", "lines"),
        ("text/csv", "csv"),
        ("text/plain", "lines"),
    ],
)
def test_the_content_type_tells_the_framing(content_type: str, framing: str) -> None:
    assert framing_of(LabelSet.of(("content-type", content_type))) == framing
    assert framing_of(LabelSet()) == "lines"
