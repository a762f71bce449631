"""Times as Go formats them. The vectors were printed by Go's own package time."""

import json
from pathlib import Path

import pytest

from gazette_py.protocol.go_time import GoTime

VECTORS = [
    line.split("\t")
    for line in (Path(__file__).parent / "testdata" / "go_time.tsv").read_text().splitlines()
]


def moment(text: str) -> GoTime:
    return GoTime.zero() if text == "zero" else GoTime(int(text))


@pytest.mark.parametrize("time", sorted({time for time, _, _ in VECTORS}))
def test_vectors_of_go(time: str) -> None:
    for at, quoted_layout, quoted_text in VECTORS:
        if at != time:
            continue
        layout, expected = json.loads(quoted_layout), json.loads(quoted_text)
        match layout:
            case "<string>":
                found = str(moment(time))
            case "<year day>":
                found = str(moment(time).year_day)
            case _:
                found = moment(time).format(layout)
        assert (layout, found) == (layout, expected)


def test_months_and_weekdays_print_as_names_and_count_as_numbers() -> None:
    time = GoTime(1_700_000_000 * 10**9)
    assert (str(time.month), int(time.month)) == ("November", 11)
    assert (str(time.weekday), int(time.weekday)) == ("Tuesday", 2)
