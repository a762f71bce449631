"""JSON pointers, by examples of RFC 6901."""

import pytest

from gazette_py.message.json_pointer import MISSING, find, parse_pointer, resolve

DOCUMENT = {"a": [1, {"b/c": 2, "m~n": 3}], "": 4}


@pytest.mark.parametrize(
    ("pointer", "expected"),
    [("", DOCUMENT), ("/a/0", 1), ("/a/1/b~1c", 2), ("/a/1/m~0n", 3), ("/", 4)],
)
def test_pointers_lead_to_values(pointer: str, expected: object) -> None:
    assert resolve(DOCUMENT, parse_pointer(pointer)) == expected
    assert find(DOCUMENT, parse_pointer(pointer)) == expected


@pytest.mark.parametrize("pointer", ["/b", "/a/9", "/a/x", "/a/²", "/a/0/z"])
def test_pointers_may_lead_nowhere(pointer: str) -> None:
    with pytest.raises(LookupError):
        resolve(DOCUMENT, parse_pointer(pointer))
    assert find(DOCUMENT, parse_pointer(pointer)) is MISSING


def test_null_is_something() -> None:
    assert find({"a": None}, ("a",)) is None


def test_a_pointer_begins_with_a_slash() -> None:
    with pytest.raises(ValueError, match="begins with"):
        parse_pointer("a")
