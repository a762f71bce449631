"""Files which say up to where a journal is whole."""

import json

import pytest

from gazette_py.errors import ValidationError
from gazette_py.protocol.watermark import Watermark, directory_of, path_of, time_of

MIDNIGHT = 1_795_651_200  # 2026-11-26T00:00:00Z
MARK = Watermark(
    journal="acme/orders", time=MIDNIGHT, offset=500, missing=((7, 9),), broker="a/broker-0"
)


def test_the_path_tells_journal_and_time() -> None:
    assert MARK.path == "_watermarks/acme/orders/2026-11-26T000000Z.json"
    assert path_of("acme/orders", MIDNIGHT) == MARK.path
    assert time_of(MARK.path.removeprefix(directory_of("acme/orders"))) == MIDNIGHT


def test_the_content_is_for_people_and_programs() -> None:
    assert json.loads(MARK.to_json()) == {
        "journal": "acme/orders",
        "time": "2026-11-26T00:00:00Z",
        "complete_through": 500,
        "missing": [[7, 9]],
        "broker": "a/broker-0",
    }
    assert Watermark.from_json(MARK.to_json()) == MARK


def test_what_a_later_version_adds_is_left_out() -> None:
    fields = json.loads(MARK.to_json()) | {"news": 1}
    assert Watermark.from_json(json.dumps(fields).encode()) == MARK


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b'"text"', b"\xff", MARK.to_json().replace(b"500", b'"many"')],
)
def test_other_content_is_none(content: bytes) -> None:
    with pytest.raises(ValidationError, match="Watermark: is none"):
        Watermark.from_json(content)


@pytest.mark.parametrize(
    "name",
    ["", "2026-11-26T000000Z", "2026-11-26T000000Z.json.tmp", "2026-13-26T000000Z.json", "x.json"],
)
def test_other_files_are_none(name: str) -> None:
    assert time_of(name) is None
