"""Files which content is written to, one after another."""

from pathlib import Path

import pytest
from manual_clock import ManualClock

from gazette_py.cli.sinks import RotatingSink, Rotation, parse_rotation


def _written(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def _write(sink: RotatingSink, *pieces: bytes) -> None:
    for piece in pieces:
        sink.write(piece)
        sink.bound()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("64MiB", Rotation(bytes_max=64 << 20)),
        ("10", Rotation(bytes_max=10)),
        ("10m", Rotation(age_s_max=600.0)),
        ("10M", Rotation(bytes_max=10 << 20)),
    ],
)
def test_a_rotation_is_a_size_or_a_duration(text: str, expected: Rotation) -> None:
    assert parse_rotation(text) == expected


def test_files_are_as_long_as_asked_for_or_a_little_longer(tmp_path: Path) -> None:
    sink = RotatingSink(tmp_path / "out.ndjson", Rotation(bytes_max=4), ManualClock())

    _write(sink, b"12", b"345", b"6789", b"0")
    sink.close()

    assert _written(tmp_path) == {
        "out-000001.ndjson": b"12345",
        "out-000002.ndjson": b"6789",
        "out-000003.ndjson": b"0",
    }


def test_files_are_as_old_as_asked_for_and_none_is_empty(tmp_path: Path) -> None:
    clock = ManualClock()
    sink = RotatingSink(tmp_path / "out", Rotation(age_s_max=60.0), clock)

    _write(sink, b"1")
    clock.time += 59
    _write(sink, b"2")
    clock.time += 1
    sink.bound()
    clock.time += 300
    sink.bound()
    sink.flush()
    _write(sink, b"3")
    sink.close()

    assert _written(tmp_path) == {"out-000001": b"12", "out-000002": b"3"}


def test_what_is_there_already_is_kept(tmp_path: Path) -> None:
    for name in ("out-000007.csv", "out-12.csv", "out-000009.txt", "put-000009.csv"):
        (tmp_path / name).write_bytes(b"old")

    for _ in range(2):
        sink = RotatingSink(tmp_path / "out.csv", Rotation(bytes_max=100), ManualClock())
        _write(sink, b"new")
        sink.close()

    found = _written(tmp_path)
    assert {name for name, data in found.items() if data == b"new"} == {
        "out-000008.csv",
        "out-000009.csv",
    }


def test_content_is_in_its_file_when_it_was_flushed(tmp_path: Path) -> None:
    sink = RotatingSink(tmp_path / "out", Rotation(bytes_max=100), ManualClock())
    sink.sync()
    sink.write(b"1")

    sink.flush()
    assert _written(tmp_path) == {"out-000001": b"1"}
    sink.write(b"2")
    sink.sync()
    assert _written(tmp_path) == {"out-000001": b"12"}
    sink.close()
