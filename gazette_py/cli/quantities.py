"""Durations, sizes and times as people write them. Pure.

Durations are Go's: a sign, then numbers with the units h, m, s, ms, us, ns. Written, they have no
part smaller than needed (`1m0s`, `1.5s`, `250ms`).
"""

import re
from datetime import UTC, datetime, timedelta

_NS = 1_000_000_000
_UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": _NS,
    "m": 60 * _NS,
    "h": 3600 * _NS,
}
_PART = re.compile(r"(\d+)(?:\.(\d*))?(ns|us|µs|ms|s|m|h)")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGTP]?)(i?)B?", re.IGNORECASE)
_DURATION_NS_MAX = (1 << 63) - 1


def parse_duration_ns(text: str) -> int:
    """Return the nanoseconds of a Go duration such as `1m30s`.

    Raises:
        ValueError: It is none; the message has an example.
    """
    body = text.removeprefix("-").removeprefix("+")
    position, total = 0, 0
    while position < len(body):
        part = _PART.match(body, position)
        if part is None:
            break
        whole, fraction, unit_ns = part[1], part[2] or "", _UNITS_NS[part[3]]
        total += int(whole) * unit_ns + int(fraction or "0") * unit_ns // 10 ** len(fraction)
        position = part.end()
    if body == "0":
        return 0
    if not body or position < len(body):
        raise ValueError(f"{text!r} is no duration such as 30s, 10m or 1h30m")
    if total > _DURATION_NS_MAX:
        raise ValueError(f"{text!r} is longer than durations can be, about 292 years")
    return -total if text.startswith("-") else total


def format_duration(duration_ns: int) -> str:
    """Return the text which Go gives a duration."""
    sign, rest = ("-", -duration_ns) if duration_ns < 0 else ("", duration_ns)
    if rest == 0:
        return "0s"
    for unit, unit_ns in (("ns", 1), ("µs", 1_000), ("ms", 1_000_000)):
        if rest < unit_ns * 1_000:
            return f"{sign}{_decimal(rest, unit_ns)}{unit}"
    minutes, seconds_ns = divmod(rest, 60 * _NS)
    hours, minutes = divmod(minutes, 60)
    text = f"{_decimal(seconds_ns, _NS)}s"
    if hours:
        return f"{sign}{hours}h{minutes}m{text}"
    return f"{sign}{minutes}m{text}" if minutes else sign + text


def _decimal(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    digits = f"{rest:0{len(str(unit)) - 1}d}".rstrip("0") if rest else ""
    return f"{whole}.{digits}" if digits else str(whole)


def parse_size(text: str) -> int:
    """Return the bytes of a size such as `512`, `64KiB`, `1.5 GiB` or `10MB`.

    Raises:
        ValueError: It is none.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no size such as 4096, 64KiB or 10MB")
    # A lone letter means binary units, as it does to most programs.
    base = 1000 if found[2] and not found[3] and text.strip()[-1] in "bB" else 1024
    power = " KMGTP".index(found[2].upper()) if found[2] else 0
    return int(float(found[1]) * base**power)


def format_size(size_bytes: int) -> str:
    """Return bytes in binary units, to three digits or so."""
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} PiB"


def parse_time(text: str, now: float) -> int:
    """Return the Unix second of a time: a Unix second, RFC 3339, or `-1h` (before `now`).

    Raises:
        ValueError: It is none.
    """
    if text.isascii() and text.isdigit():
        return int(text)
    if text.startswith("-"):
        return int(now) + parse_duration_ns(text) // _NS
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is no time such as -1h, 2024-05-01T12:00:00Z or 1714564800"
        ) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def format_time(unix_s: int) -> str:
    """Return an RFC 3339 time in UTC."""
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_time_ns(unix_ns: int) -> str:
    """Return an RFC 3339 time in UTC, to the microsecond, of any time a UUID can have."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=unix_ns // 1_000)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def format_age(unix_s: int, now: float) -> str:
    """Return how long ago a time is, in its greatest unit."""
    age = max(0, int(now) - unix_s)
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if age >= length:
            return f"{age // length}{unit}"
    return f"{age}s"
