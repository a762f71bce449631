"""The UUIDs of records, and what records say."""

import json
from uuid import UUID

import pytest

from gazette_py.message.framing import MAGIC
from gazette_py.message.serdes import (
    ZERO_UUID,
    CSVSerde,
    JSONSerde,
    MessageError,
    RawSerde,
    serde_of,
)

FIRST = UUID("83fc2f95-cc5f-11e9-8000-0d04970419de")
SECOND = UUID("83fc2f95-cc5f-11e9-8001-0d04970419de")


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"UUID": str(FIRST), "uuid": str(SECOND)}, FIRST),
        ({"_meta": {"uuid": str(FIRST)}, "uuid": str(SECOND)}, FIRST),
        ({"uuid": str(FIRST)}, FIRST),
        ({"UUID": "mine", "uuid": str(SECOND)}, ZERO_UUID),  # The first one counts.
        ({"_meta": 1}, ZERO_UUID),
        ([1], ZERO_UUID),
        ("text", ZERO_UUID),
        ({"UUID": str(ZERO_UUID)}, ZERO_UUID),
        ({"UUID": 17}, ZERO_UUID),
        ({"UUID": "6ba7b810-9dad-41d1-80b4-00c04fd430c8"}, ZERO_UUID),  # Version 4: its own.
        ({"UUID": "83fc2f95-cc5f-11e9-c000-0d04970419de"}, ZERO_UUID),  # Another variant.
        ({"UUID": "zzzzzzzz-cc5f-11e9-8000-0d04970419de"}, ZERO_UUID),
        ({"UUID": FIRST.hex}, ZERO_UUID),
    ],
)
def test_the_uuid_of_a_document_is_where_it_usually_is(document: object, expected: UUID) -> None:
    serde = serde_of("lines")
    assert serde.uuid_of(serde.decode(json.dumps(document).encode())) == expected


def test_a_pointer_tells_where_the_uuid_is() -> None:
    serde = JSONSerde("/meta/id")
    assert serde.uuid_of({"UUID": str(FIRST), "meta": {"id": str(SECOND)}}) == SECOND
    assert serde.uuid_of({"UUID": str(FIRST)}) == ZERO_UUID
    with pytest.raises(ValueError, match="begins with"):
        JSONSerde("meta/id")


@pytest.mark.parametrize(
    ("pointer", "line", "expected"),
    [
        # The line is left as it was: its numbers, its order, even a name given twice.
        ("", b'{"n": 1.10, "n":1e400}', b'{"UUID":"%s","n": 1.10, "n":1e400}\n'),
        ("", b" {}", b'{"UUID":"%s"}\n'),
        ("/a/b~1c", b'{"n":1}', b'{"a":{"b/c":"%s"},"n":1}\n'),
        ("", b'{"n": 1, "UUID": "old"}', b'{"n":1,"UUID":"%s"}\n'),
        ("/a/b", b'{"a": {"x": "\xc3\xa9"}}', b'{"a":{"x":"\xc3\xa9","b":"%s"}}\n'),
    ],
)
def test_a_uuid_is_attached_to_a_line(pointer: str, line: bytes, expected: bytes) -> None:
    assert JSONSerde(pointer).attach(line, FIRST) == expected % str(FIRST).encode()


@pytest.mark.parametrize(
    ("pointer", "line", "reason"),
    [
        ("", b"[1]", "no JSON object"),
        ("", b"text", "no JSON"),
        ("", b"NaN", "NaN is no number of JSON"),
        ("", b"\xff", "no JSON"),
        ("", b"[" * 100_000, "no JSON"),
        ("/a/b", b'{"a": 1}', "to have a UUID at /a/b"),
        ("", b'{"UUID": "", "n": 1e400}', "cannot be written as JSON"),
        ("", b'{"UUID": "", "s": "\\ud800"}', "cannot be written as JSON"),
    ],
)
def test_lines_which_cannot_bear_a_uuid_are_refused(pointer: str, line: bytes, reason: str) -> None:
    with pytest.raises(MessageError, match=reason):
        JSONSerde(pointer).attach(line, FIRST)


def test_the_uuid_of_a_row_is_its_first_field() -> None:
    serde = serde_of("csv")
    row = serde.attach(b'x,"a ""b"""', FIRST)

    assert row == str(FIRST).encode() + b',x,"a ""b"""\n'
    assert serde.decode(row) == [str(FIRST), "x", 'a "b"']
    assert serde.uuid_of(serde.decode(row)) == FIRST
    assert serde.uuid_of(["x", str(FIRST)]) == ZERO_UUID


@pytest.mark.parametrize("row", [b'a"b', b"\xff"])
def test_rows_may_be_no_text(row: bytes) -> None:
    with pytest.raises(MessageError, match="no text with commas"):
        CSVSerde().decode(row)


def test_frames_do_not_tell_their_type() -> None:
    serde = serde_of("fixed")
    assert isinstance(serde, RawSerde)
    assert serde.uuid_of(MAGIC) == ZERO_UUID
    with pytest.raises(MessageError):
        serde.decode(b"foo")
    with pytest.raises(MessageError):
        serde.attach(b"foo", FIRST)
