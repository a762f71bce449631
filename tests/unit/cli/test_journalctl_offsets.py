"""Files of offsets survive crashes, or are seen to be missing."""

import json
from pathlib import Path

import pytest

from gazette_py.cli.errors import CommandError
from gazette_py.cli.offsets_file import load_offsets, save_offsets, set_aside
from gazette_py.cli.reading import Start, parse_start


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "at.json"

    save_offsets(path, {"b": 1 << 60, "a": 0})

    assert load_offsets(path) == {"a": 0, "b": 1 << 60}
    assert [file.name for file in tmp_path.iterdir()] == ["at.json"]


def test_a_crash_is_seen_as_a_missing_file_and_the_old_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "at.json"
    save_offsets(path, {"a": 5})

    set_aside(path)

    with pytest.raises(CommandError) as caught:
        load_offsets(path)
    assert "at.json.previous" in caught.value.failure.hints[0]
    assert json.loads((tmp_path / "at.json.previous").read_text()) == {"a": 5}


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1.5}', '{"a": true}', '{"a": null}'])
def test_other_content_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "at.json"
    path.write_text(text)

    with pytest.raises(CommandError):
        load_offsets(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("beginning", Start()),
        ("end", Start(offset=-1)),
        ("stored", Start(must_be_stored=True)),
        ("12", Start(offset=12)),
        ("-12", Start(bytes_back=12)),
    ],
)
def test_starts_are_words_or_numbers(text: str, expected: Start) -> None:
    assert parse_start(text) == expected


@pytest.mark.parametrize("text", ["", "-", "1k", "--1", "begin"])
def test_other_starts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="none of beginning, end, stored"):
        parse_start(text)
