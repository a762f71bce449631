"""Content as server-sent events: what a browser makes of them is the content again."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gazette_py.web import events
from gazette_py.web.events import EventEncoder, is_of_lines, try_again


def decoded(stream: bytes) -> list[tuple[str, int, str]]:
    """Read a stream as the standard has it: lines end with CR, LF or both."""
    found = []
    for block in stream.decode().replace("\r\n", "\n").replace("\r", "\n").split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        fields = dict(line.split(": ", 1) for line in lines)
        if "data" in fields:
            found.append((fields.get("event", "message"), int(fields["id"]), fields["data"]))
    return found


def test_each_line_is_an_event_with_the_offset_after_it() -> None:
    encoder = EventEncoder(10, of_lines=True)
    assert encoder.begin() == b"retry: 1000\nid: 10\n\n"
    assert encoder.content(b"one\n\ntw") == b"id: 14\ndata: one\n\nid: 15\ndata: \n\n"
    assert encoder.content(b"o\r\n") == b"id: 20\ndata: two\n\n"
    assert encoder.content(b" x\n") == b"id: 23\ndata:  x\n\n"


@pytest.mark.parametrize("line", [b"a\rb\n", b"\xff\n", b"\r\r\n"])
def test_a_line_which_no_event_can_hold_is_base64(line: bytes) -> None:
    told = decoded(EventEncoder(0, of_lines=True).content(line))
    assert told == [("base64", len(line), base64.b64encode(line).decode())]


def test_content_which_is_not_of_lines_is_base64() -> None:
    encoder = EventEncoder(5, of_lines=False)
    assert encoder.content(b"\0\n") == b"event: base64\nid: 7\ndata: AAo=\n\n"
    assert encoder.jump(9) == b'event: jump\nid: 9\ndata: {"from": 7, "to": 9}\n\n'


def test_a_long_line_comes_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "LINE_BYTES_MAX", 4)
    encoder = EventEncoder(0, of_lines=True)
    assert encoder.content(b"abcd") == b""
    assert decoded(encoder.content(b"e")) == [("piece", 5, base64.b64encode(b"abcde").decode())]
    assert decoded(encoder.content(b"f\n")) == [("message", 7, "f")]


def test_what_came_before_a_gap_is_told_first() -> None:
    encoder = EventEncoder(0, of_lines=True)
    encoder.content(b"ab")
    assert decoded(encoder.jump(9)) == [
        ("piece", 2, base64.b64encode(b"ab").decode()),
        ("jump", 9, '{"from": 2, "to": 9}'),
    ]
    assert decoded(encoder.content(b"c\n")) == [("message", 11, "c")]


@given(st.lists(st.binary(max_size=20), max_size=8), st.booleans())
def test_events_tell_every_byte_once(pieces: list[bytes], of_lines: bool) -> None:
    encoder = EventEncoder(0, of_lines=of_lines)
    stream = b"".join(encoder.content(piece) for piece in pieces if piece) + encoder.jump(1 << 40)
    told, content = b"", b"".join(pieces)
    for name, offset, data in decoded(stream):
        if name == "jump":
            break
        raw = base64.b64decode(data) if name != "message" else data.encode()
        end = b"" if name != "message" else content[len(told) + len(raw) : offset]
        assert end in (b"", b"\n", b"\r\n")
        told += raw + end
        assert offset == len(told)
    assert told == content


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("", False),
        ("application/octet-stream", False),
        ("application/x-ndjson", True),
        ("Application/JSON; charset=utf-8", True),
        ("text/csv", True),
    ],
)
def test_lines_are_known_by_the_type(content_type: str, expected: bool) -> None:
    assert is_of_lines(content_type) is expected


def test_a_client_is_told_to_come_back() -> None:
    assert try_again("moving\nelsewhere") == b"retry: 3000\n: moving elsewhere\n\n"
