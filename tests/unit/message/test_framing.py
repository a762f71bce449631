"""Records cut out of bytes which come in any pieces."""

import pytest

from gazette_py.message.framing import (
    FixedSplitter,
    FramingError,
    LineSplitter,
    framing_of,
    splitter_of,
)
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


@pytest.mark.parametrize("data", [b"junk", b"\x66\x33\x93\x37", FRAME + b"x"])
def test_other_bytes_than_a_header_are_refused(data: bytes) -> None:
    with pytest.raises(FramingError, match="expected the header of a frame"):
        list(FixedSplitter().feed(data))


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
        ("text/csv", "lines"),
    ],
)
def test_the_content_type_tells_the_framing(content_type: str, framing: str) -> None:
    assert framing_of(LabelSet.of(("content-type", content_type))) == framing
    assert framing_of(LabelSet()) == "lines"
