"""What a spool directory holds, and for whom it has room."""

import errno
from pathlib import Path

import pytest

from gazette_py.broker.spool_file import SpoolDirectory, SpoolUse
from gazette_py.errors import ConfigError


def test_a_file_goes_away_with_the_last_reference_to_it(tmp_path: Path) -> None:
    with SpoolDirectory(str(tmp_path)) as spools:
        file = spools.open("a/journal", 16)
        file.write(0, b"content")
        window = file.open_window(4)
        assert [path.name for path in tmp_path.glob("*.spool")] == [
            "a%2Fjournal@0000000000000010.1.spool"
        ]
        del file
        assert window.read() == b"cont"
        assert spools.bytes_used == 7
        del window
        assert list(tmp_path.glob("*.spool")) == []
        assert spools.bytes_used == 0


def test_a_directory_has_one_owner_who_sweeps_it(tmp_path: Path) -> None:
    """SF1."""
    (tmp_path / "left.spool").write_bytes(b"of an earlier process")
    (tmp_path / "other").write_bytes(b"not ours")
    with SpoolDirectory(str(tmp_path)):
        assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "other"]
        with pytest.raises(ConfigError, match="in use by another process"):
            SpoolDirectory(str(tmp_path))
    SpoolDirectory(str(tmp_path)).close()


def test_content_beyond_the_budget_is_refused_until_there_is_room(tmp_path: Path) -> None:
    """SF2."""
    with SpoolDirectory(str(tmp_path), bytes_max=100) as spools:
        first, second = spools.open("a", 0), spools.open("b", 0)
        first.write(0, b"x" * 60)
        with pytest.raises(OSError, match="holds 60 of 100 bytes") as refused:
            second.write(0, b"x" * 50)
        assert refused.value.errno == errno.ENOSPC
        first.write(10, b"y" * 50)  # Over bytes which are counted already.
        del first
        second.write(0, b"x" * 100)


def test_a_full_directory_still_takes_what_goes_to_a_store(tmp_path: Path) -> None:
    """SF3: else compressed content had no room, and nothing would ever leave."""
    with SpoolDirectory(str(tmp_path), bytes_max=100) as spools:
        content = spools.open("a", 0)
        content.write(0, b"x" * 100)
        upload = spools.open("a.compressed", 0, SpoolUse.UPLOAD)
        upload.write(0, b"y" * 70)
        del content
        more = spools.open("b", 0)
        more.write(0, b"x" * 100)  # Uploads do not push out appends, either.


def test_copies_of_what_is_stored_leave_half_to_appends(tmp_path: Path) -> None:
    """SF3."""
    with SpoolDirectory(str(tmp_path), bytes_max=100) as spools:
        copy = spools.open("a", 0, SpoolUse.COPY)
        copy.write(0, b"x" * 50)
        with pytest.raises(OSError, match="holds 50 of 100 bytes"):
            copy.write(50, b"x")
        content = spools.open("b", 0)
        content.write(0, b"x" * 50)


def test_bodies_and_copies_together_leave_half_to_appends(tmp_path: Path) -> None:
    """SF3: clients which send much, and readers of history, share what is not of appends."""
    with SpoolDirectory(str(tmp_path), bytes_max=100) as spools:
        body, copy = spools.open("a", 0, SpoolUse.BODY), spools.open("a", 0, SpoolUse.COPY)
        body.write(0, b"x" * 30)
        copy.write(0, b"x" * 20)
        for file, position in ((body, 30), (copy, 20)):
            with pytest.raises(OSError, match="holds 50 of 100 bytes"):
                file.write(position, b"x")
        content = spools.open("b", 0)
        content.write(0, b"x" * 50)
        with pytest.raises(OSError, match="holds 100 of 100 bytes"):
            content.write(50, b"x")
