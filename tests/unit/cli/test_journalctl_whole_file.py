"""Files which appear whole or not at all."""

import os
from pathlib import Path

import pytest

from gazette_py.cli.errors import CommandError
from gazette_py.cli.whole_file import write_whole


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "backup.yaml"
    for text in ("one\n", "two ü\n"):
        write_whole(path, text)
        assert path.read_text(encoding="utf-8") == text
    assert [each.name for each in tmp_path.iterdir()] == ["backup.yaml"]


def test_one_which_fails_leaves_the_file_there_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "backup.yaml"
    write_whole(path, "one\n")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CommandError, match="No space left"):
        write_whole(path, "two\n")
    assert path.read_text() == "one\n"
    assert [each.name for each in tmp_path.iterdir()] == ["backup.yaml"]


def test_a_directory_which_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No such file"):
        write_whole(tmp_path / "none" / "backup.yaml", "one\n")
