"""What requests of the byte gateway ask for, and which are refused."""

import pytest

from gazette_py.pb import protocol_pb2 as pb
from gazette_py.web.byte_requests import ReadAsked, parse_append, parse_read
from gazette_py.web.refusal import RefusedError

JOURNAL = "a/journal"
OFFSET_MAX = (1 << 63) - 1


def read(query: str = "", method: str = "GET", **headers: str) -> ReadAsked:
    by_name = {name.replace("_", "-"): value for name, value in headers.items()}
    return parse_read(method, f"/{JOURNAL}", query, by_name)


def refusal(query: str = "", method: str = "GET", **headers: str) -> tuple[int, str]:
    with pytest.raises(RefusedError) as refused:
        read(query, method, **headers)
    return refused.value.status, refused.value.reason


@pytest.mark.parametrize(
    ("query", "offset", "block"),
    [
        ("", 0, False),
        ("offset=", 0, False),
        ("offset", 0, False),
        ("offset=7&block=true", 7, True),
        ("&offset=%2B7&&BLOCK=on", 7, True),
        ("offset=-1", -1, False),
        ("offset=1&offset=3", 3, False),
        ("block=F", 0, False),
        (f"offset={OFFSET_MAX}", OFFSET_MAX, False),
    ],
)
def test_a_query_gives_offset_and_block(query: str, offset: int, block: bool) -> None:
    expected = pb.ReadRequest(journal=JOURNAL, offset=offset, block=block)
    assert read(query) == ReadAsked(expected)


def test_head_asks_for_metadata_only() -> None:
    assert read(method="HEAD", accept="text/event-stream") == ReadAsked(
        pb.ReadRequest(journal=JOURNAL, metadata_only=True)
    )


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("offset=x", "offset: 'x' is no offset: give a number of bytes"),
        ("offset=1.5", "offset: '1.5' is no offset: give a number of bytes"),
        ("offset=-2", "invalid Offset (-2; expected -1 <= Offset <= MaxInt64)"),
        (
            f"offset={OFFSET_MAX + 1}",
            f"offset: {OFFSET_MAX + 1} is beyond all offsets, which have 63 bits",
        ),
        ("block=yes", "block: 'yes' is neither true nor false"),
        ("blok=true", "unknown parameter 'blok' in the query: known are offset and block"),
        ("=", "unknown parameter '' in the query: known are offset and block"),
        ("offset=%zz", "the query has a bad escape: %zz"),
        ("offset=1;block=true", "the query has a semicolon: its parts are joined by &"),
    ],
)
def test_a_query_which_is_not_understood_is_refused(query: str, reason: str) -> None:
    assert refusal(query) == (400, reason)


def test_a_path_without_a_journal_is_told_what_to_do() -> None:
    with pytest.raises(RefusedError) as refused:
        parse_read("GET", "/", "", {})
    assert "names no journal: read one, such as GET /examples/hello" in refused.value.reason


@pytest.mark.parametrize(
    ("text", "offset", "end"),
    [("bytes=0-0", 0, 1), ("Bytes=5-", 5, 0), (f"bytes=2-{OFFSET_MAX}", 2, 0)],
)
def test_a_range_is_half_open(text: str, offset: int, end: int) -> None:
    expected = pb.ReadRequest(journal=JOURNAL, offset=offset, end_offset=end)
    assert read(range=text) == ReadAsked(expected, is_range=True)


@pytest.mark.parametrize("text", ["bytes=-5", "bytes=1-2,4-5", "items=1-2", "bytes=", "1-2"])
def test_other_ranges_are_refused(text: str) -> None:
    status, reason = refusal(range=text)
    assert (status, reason.startswith(f"Range: {text} is not served")) == (416, True)


def test_a_range_which_cannot_be_is_refused() -> None:
    assert refusal(range="bytes=5-4") == (416, "Range: bytes=5-4 ends before it begins")
    assert refusal(range=f"bytes={1 << 64}-")[0] == 400


@pytest.mark.parametrize("query", ["offset=3", "block=true"])
def test_a_range_stands_alone(query: str) -> None:
    assert refusal(query, range="bytes=0-1")[0] == 400


def test_events_are_asked_for_by_name() -> None:
    assert read("block=1", accept="*/*").as_events is False
    assert read("block=1", accept="text/html, Text/Event-Stream;q=0.5").as_events is True


def test_events_ignore_a_range() -> None:
    """A cache may add one, and events are no part of the content."""
    asked = read("block=1&offset=4", accept="text/event-stream", range="bytes=0-1")
    assert asked.request.offset == 4
    assert not asked.is_range


def test_events_resume_after_the_last() -> None:
    headers = {"accept": "text/event-stream", "last_event_id": "12"}
    assert read("block=1&offset=-1", **headers).request.offset == 12


def test_events_which_would_end_are_refused() -> None:
    status, reason = refusal(accept="text/event-stream")
    assert (status, "add block=true" in reason) == (406, True)


def test_a_bad_event_id_is_refused() -> None:
    reason = refusal("block=1", accept="text/event-stream", last_event_id="x")
    assert reason == (400, "Last-Event-ID: 'x' is no offset: give a number of bytes")


def append(path: str = f"/{JOURNAL}", query: str = "", **headers: str) -> pb.AppendRequest:
    return parse_append(path, query, {f"x-{k.replace('_', '-')}": v for k, v in headers.items()})


def test_an_append_names_its_journal() -> None:
    assert append() == pb.AppendRequest(journal=JOURNAL)


def test_an_append_takes_an_offset_and_registers() -> None:
    request = append(append_offset="7", check_registers="owner=me", union_registers="owner = you")
    assert request.offset == 7
    assert [label.value for label in request.check_registers.include.labels] == ["me"]
    assert [label.value for label in request.union_registers.labels] == ["you"]


def test_an_empty_check_asks_for_nothing() -> None:
    assert append(check_registers="").HasField("check_registers")


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"append_offset": "-7"}, "Offset"),
        ({"append_offset": "x"}, "X-Append-Offset: 'x' is no offset"),
        ({"check_registers": "=="}, "could not match '=='"),
        ({"union_registers": "!owner"}, "X-Union-Registers: '!owner' are no labels"),
        ({"union_registers": "owner:prefix=a"}, "X-Union-Registers: 'owner:prefix=a' are no"),
    ],
)
def test_a_bad_append_is_refused(headers: dict[str, str], reason: str) -> None:
    with pytest.raises(RefusedError, match=r".") as refused:
        append(**headers)
    assert (refused.value.status, reason in refused.value.reason) == (400, True)


def test_an_append_takes_no_query() -> None:
    with pytest.raises(RefusedError, match="'offset' in the query: appends take none"):
        append(query="offset=3")


def test_an_append_to_nowhere_is_refused() -> None:
    with pytest.raises(RefusedError, match="the path names no journal"):
        append("/")
