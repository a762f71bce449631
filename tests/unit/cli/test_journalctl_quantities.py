"""Durations, sizes and times as people write them."""

import pytest

from gazette_py.cli.quantities import (
    format_age,
    format_duration,
    format_size,
    format_time,
    format_time_ns,
    parse_duration_ns,
    parse_size,
    parse_time,
)

_MS, _S = 1_000_000, 1_000_000_000


@pytest.mark.parametrize(
    ("text", "expected_ns"),
    [
        ("0", 0),
        ("0s", 0),
        ("1ns", 1),
        ("1.5us", 1500),
        ("250ms", 250 * _MS),
        ("1m30s", 90 * _S),
        ("1h0m0s", 3600 * _S),
        ("1.5h", 5400 * _S),
        ("-10s", -10 * _S),
        ("720h", 2592000 * _S),
    ],
)
def test_durations_are_parsed(text: str, expected_ns: int) -> None:
    assert parse_duration_ns(text) == expected_ns


@pytest.mark.parametrize("text", ["", "-", "s", "10", "1d", "1h 2m", "m1", "1h2", "9999999h"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration_ns(text)


@pytest.mark.parametrize(
    ("duration_ns", "expected"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1500, "1.5µs"),
        (250 * _MS, "250ms"),
        (_S, "1s"),
        (1500 * _MS, "1.5s"),
        (60 * _S, "1m0s"),
        (3600 * _S, "1h0m0s"),
        (2592000 * _S, "720h0m0s"),
        (-90 * _S, "-1m30s"),
        (3600 * _S + 1, "1h0m0.000000001s"),
    ],
)
def test_durations_are_written_as_go_does(duration_ns: int, expected: str) -> None:
    assert format_duration(duration_ns) == expected
    assert parse_duration_ns(expected) == duration_ns


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("4096", 4096),
        ("64KiB", 65536),
        ("64k", 65536),
        ("1.5 GiB", 1610612736),
        ("10MB", 10_000_000),
        ("10B", 10),
    ],
)
def test_sizes_are_parsed(text: str, expected: int) -> None:
    assert parse_size(text) == expected


@pytest.mark.parametrize("text", ["", "many", "-1", "1X", "K"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "expected"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (268435456, "256 MiB"), (1 << 50, "1.0 PiB")],
)
def test_sizes_are_written_short(size: int, expected: str) -> None:
    assert format_size(size) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1714564800", 1714564800),
        ("2024-05-01T12:00:00Z", 1714564800),
        ("2024-05-01T14:00:00+02:00", 1714564800),
        ("2024-05-01T12:00:00", 1714564800),
        ("-1h", 996400),
    ],
)
def test_times_are_parsed(text: str, expected: int) -> None:
    assert parse_time(text, now=1_000_000.9) == expected


def test_what_is_no_time_is_refused() -> None:
    with pytest.raises(ValueError, match="is no time such as -1h"):
        parse_time("yesterday", now=0)


def test_times_are_written_in_utc() -> None:
    assert format_time(1714564800) == "2024-05-01T12:00:00Z"


@pytest.mark.parametrize(
    ("age_s", "expected"), [(-5, "0s"), (59, "59s"), (3599, "59m"), (7200, "2h"), (200000, "2d")]
)
def test_ages_are_told_in_their_greatest_unit(age_s: int, expected: str) -> None:
    assert format_age(1_000_000 - age_s, now=1_000_000) == expected


@pytest.mark.parametrize(
    ("unix_ns", "expected"),
    [
        (1_567_304_621_981_275_700, "2019-09-01T02:23:41.981275Z"),
        (0, "1970-01-01T00:00:00.000000Z"),
        (-12_219_292_800_000_000_000, "1582-10-15T00:00:00.000000Z"),  # The first which a UUID has.
        (((1 << 60) - 1 - 122_192_928_000_000_000) * 100, "5236-03-31T21:21:00.684697Z"),
    ],
)
def test_times_of_uuids_are_told_to_the_microsecond(unix_ns: int, expected: str) -> None:
    assert format_time_ns(unix_ns) == expected
