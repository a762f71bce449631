"""Tables as gazctl draws them. Pure.

Titles are rewritten: words apart, in capitals, so that `content-type` is `CONTENT - TYPE`.

Source: github.com/olekukonko/tablewriter v1.1.0 with its defaults, as gazctl was seen to use it.
"""

import unicodedata
from collections.abc import Sequence
from itertools import groupby, pairwise

_FRAME = (("┌", "┬", "┐"), ("├", "┼", "┤"), ("└", "┴", "┘"))


def draw(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return the table."""
    titles = [title(each) for each in titles]
    cells = [[cell.strip() for cell in row] for row in rows]
    widths = [max(map(_width, column)) for column in zip(titles, *cells, strict=True)]
    top, middle, bottom = (
        left + between.join("─" * (width + 2) for width in widths) + right
        for left, between, right in _FRAME
    )
    lines = [top, _line(titles, widths, is_centered=True)]
    if cells:
        lines.append(middle)
        lines += [_line(row, widths) for row in cells]
    return "".join(f"{line}\n" for line in [*lines, bottom])


def title(name: str) -> str:
    """Return a column's title."""
    text = " ".join(_words(name.strip()))
    shown = []
    for i, char in enumerate(text):
        around = text[i - 1 : i] + text[i + 1 : i + 2]
        is_apart = char == "." and any(not _is_number_or_space(other) for other in around)
        shown.append(" " if char == "_" or is_apart else char)
    stripped = "".join(shown).strip()
    return stripped.upper() if stripped or not text else " "


def _words(text: str) -> list[str]:
    """Return runs of small letters, capitals, digits and others; a capital begins a word."""
    runs = [list(run) for _, run in groupby(text, _class)]
    for run, after in pairwise(runs):
        if run and run[0].isupper() and after[0].islower():
            after.insert(0, run.pop())
    words = ["".join(run) for run in runs]
    return [word for word in words if word.strip() and word != "_"]


def _class(char: str) -> int:
    for i, belongs in enumerate((str.islower, str.isupper, str.isdigit)):
        if belongs(char):
            return i
    return 3


def _is_number_or_space(char: str) -> bool:
    return char in "0123456789 "


def _width(text: str) -> int:
    """Return the columns which a terminal needs for it."""
    return sum(
        0 if unicodedata.combining(char) else 1 + (unicodedata.east_asian_width(char) in "WF")
        for char in text
    )


def _line(cells: Sequence[str], widths: Sequence[int], *, is_centered: bool = False) -> str:
    padded = []
    for cell, width in zip(cells, widths, strict=True):
        gap = width - _width(cell)
        left = gap // 2 if is_centered else 0
        padded.append(f" {' ' * left}{cell}{' ' * (gap - left)} ")
    return f"│{'│'.join(padded)}│"
