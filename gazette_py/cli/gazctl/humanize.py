"""Sizes and ages in gazctl's words. Pure.

Source: github.com/dustin/go-humanize v1.0.1, by what gazctl was seen to print.
"""

import math

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_WEEK, _MONTH = 7 * _DAY, 30 * _DAY
_YEAR = 12 * _MONTH

# Below so many seconds: the words, in which {} is the number of units of the last column.
_AGES = (
    (1, "now", 1),
    (2, "1 second", 1),
    (_MINUTE, "{} seconds", 1),
    (2 * _MINUTE, "1 minute", 1),
    (_HOUR, "{} minutes", _MINUTE),
    (2 * _HOUR, "1 hour", 1),
    (_DAY, "{} hours", _HOUR),
    (2 * _DAY, "1 day", 1),
    (_WEEK, "{} days", _DAY),
    (2 * _WEEK, "1 week", 1),
    (_MONTH, "{} weeks", _WEEK),
    (2 * _MONTH, "1 month", 1),
    (_YEAR, "{} months", _MONTH),
    (18 * _MONTH, "1 year", 1),
    (2 * _YEAR, "2 years", 1),
    (37 * _YEAR, "{} years", _YEAR),
    (math.inf, "a long while", 1),
)
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def relative_time(unix_s: float, now: float) -> str:
    """Return how long before or after now a time is."""
    apart = abs(now - unix_s)
    words, unit = next((words, unit) for limit, words, unit in _AGES if apart < limit)
    if words == "now":
        return words
    return f"{words.format(int(apart // unit))} {'ago' if unix_s <= now else 'from now'}"


def binary_size(size_bytes: int) -> str:
    """Return a size to two digits or more."""
    if size_bytes < 10:
        return f"{size_bytes} B"
    power = math.floor(math.log(size_bytes) / math.log(1024))  # With the rounding of floats.
    value = math.floor(size_bytes / 1024**power * 10 + 0.5) / 10
    return f"{value:.1f} {_UNITS[power]}" if value < 10 else f"{value:.0f} {_UNITS[power]}"
