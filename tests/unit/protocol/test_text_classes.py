"""Which texts are tokens, path tokens, path components and journal names."""

import pytest

from gazette_py.errors import ValidationError
from gazette_py.protocol.journal import strip_meta, validate_journal, validate_journal_without_meta
from gazette_py.protocol.text import (
    escapes_root,
    field_path,
    validate_path_component,
    validate_path_token,
    validate_token,
)


@pytest.mark.parametrize("text", ["ab", "a-b_c+d/e.f", "Ärger", "日本", "x٣", "Ⅷⅷ", "a" * 64])
def test_tokens(text: str) -> None:
    validate_token(text, "Name", 2, 64)


@pytest.mark.parametrize("text", ["a b", "a=b", "a%b", "a#b", "a;b", "a,b", "a\u0301", "a\n", "a!"])
def test_no_tokens(text: str) -> None:
    with pytest.raises(ValidationError, match="Name: not a valid token"):
        validate_token(text, "Name", 0, 64)


@pytest.mark.parametrize(("text", "length"), [("", 0), ("a", 1), ("a" * 65, 65), ("ä" * 33, 66)])
def test_lengths_are_of_bytes(text: str, length: int) -> None:
    with pytest.raises(ValidationError) as caught:
        validate_token(text, "Name", 2, 64)
    assert str(caught.value) == f"Name: invalid length ({length}; expected 2 <= length <= 64)"


def test_path_tokens_may_hold_equal_and_percent() -> None:
    validate_path_token("a=b%c", "Value", 0, 64)
    validate_path_token("ä=b%c", "Value", 0, 64)
    with pytest.raises(ValidationError):
        validate_path_token("a&b", "Value", 0, 64)


@pytest.mark.parametrize("text", ["", "a", "a/b", "a=1/b=2", "../a", "..", "a..b", ".a"])
def test_path_components(text: str) -> None:
    validate_path_component(text, "Path", 0, 64)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("/a", "cannot begin with '/'"),
        ("//a", "cannot begin with '/'"),
        ("a/", "clean"),
        ("a//b", "clean"),
        ("a/./b", "clean"),
        ("a/../b", "clean"),
        ("./a", "clean"),
        ("a b", "token"),
    ],
)
def test_no_path_components(text: str, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        validate_path_component(text, "Path", 0, 64)


@pytest.mark.parametrize(
    ("text", "escapes"), [("../a", True), ("..", True), ("..a", False), ("a/b", False)]
)
def test_leading_dots_lead_out_of_a_store(text: str, escapes: bool) -> None:
    assert escapes_root(text) is escapes


def test_field_paths() -> None:
    assert field_path("", "Name") == "Name"
    assert field_path("Changes[0].Upsert", "Name") == "Changes[0].Upsert.Name"


@pytest.mark.parametrize(
    "name", ["abcd", "a/journal", "a/journal;meta", "a/journal;a/b", "a" * 512]
)
def test_journal_names(name: str) -> None:
    validate_journal(name, "Journal")


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("abc", "Journal"),
        ("a" * 513, "Journal"),
        ("/abc", "Journal"),
        ("abc/", "Journal"),
        ("a journal", "Journal"),
        ("a/journal;", "Journal.metadata path segment"),
        ("a/journal;a//b", "Journal.metadata path segment"),
        ("a/journal;a;b", "Journal.metadata path segment"),
        (";meta", "Journal"),
    ],
)
def test_no_journal_names(name: str, path: str) -> None:
    with pytest.raises(ValidationError) as caught:
        validate_journal(name, "Journal")
    assert caught.value.path == path


def test_specs_have_no_meta_segment() -> None:
    validate_journal_without_meta("a/journal", "Name")
    with pytest.raises(ValidationError, match="Name: cannot have a metadata path segment"):
        validate_journal_without_meta("a/journal;meta", "Name")


def test_meta_is_stripped() -> None:
    assert strip_meta("a/journal;meta") == "a/journal"
    assert strip_meta("a/journal") == "a/journal"


def test_names_sort_as_etcd_sorts_keys() -> None:
    names = ["a%b", "a+b", "a-b", "a.b", "a/B", "a/b", "a=b", "a_b", "aa", "ab"]
    assert names == sorted(names) == sorted(names, key=lambda name: f"{name}#x".encode())
