"""Cuts bytes into rows of CSV, and rows into fields. Pure.

Rows are those of RFC 4180, as Gazette's programs read them: fields with commas between, in quotes
where they have commas, quotes (doubled) or newlines. There is no header, and nothing stands for a
missing value but the empty field.

Invariants:
    CR1  All rows have as many fields as the first one which was seen.
    CR2  Quotes stand around whole fields only; anything else is refused, not guessed at.
    CR3  Blank lines are no rows: they are part of the record of the row which follows.

Source: gazette/core message/csv_framing.go, and Go's encoding/csv, which it uses. Unlike there, a
last row without its newline is not complete: it can only be torn.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from gazette_py.message.framing import RECORD_BYTES_MAX, FramingError

_QUOTED: Final = rb'"[^"]*+(?:""[^"]*+)*+'  # Up to its closing quote.
_FIELD: Final = re.compile(rb"(?:" + _QUOTED + rb'"|[^",\n]*+)(?=([,\n]))')
_OPEN: Final = re.compile(rb"(?:(?:" + _QUOTED + rb'"|[^",\n]*+),)*+' + _QUOTED)
_BLANK_LINES: Final = re.compile(rb"\A(?:\r?\n)*+")
_MUST_QUOTE: Final = re.compile(r'[",\r\n]|^\s|^\\\.$')


class CSVSplitter:
    """Records are rows, with the blank lines before them."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []  # Of the record, and of a line at its end.
        self._line: list[bytes] = []  # Of a line which is not complete: the last of `_parts`.
        self._row_at = 0  # Where the row begins in `_parts`: blank lines are before.
        self._length = 0
        self._is_quoted = False  # The line begins within a field.
        self._fields = 0  # Of each row (CR1); 0 before the first.

    @property
    def pending(self) -> bytes:
        """Bytes of a row which is not complete."""
        return b"".join(self._parts[self._row_at :])

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take bytes and yield each row which they complete."""
        *ended, rest = data.split(b"\n")
        for line in ended:
            self._add(line + b"\n")
            whole, self._line = b"".join(self._line), []
            if self._ends_row(whole):
                record = b"".join(self._parts)
                self.reset()
                yield record
        if rest:
            self._add(rest)

    def _add(self, part: bytes) -> None:
        self._parts.append(part)
        self._line.append(part)
        self._length += len(part)
        if self._length > RECORD_BYTES_MAX:
            raise FramingError(f"a row is longer than {RECORD_BYTES_MAX} bytes")

    def _ends_row(self, line: bytes) -> bool:
        """Tell whether the line, which is the last, is the end of a row."""
        was_quoted = self._is_quoted
        if not was_quoted and line in (b"\n", b"\r\n"):
            self._row_at = len(self._parts)
            return False
        if line.count(b'"') % 2:  # As escaped quotes come in pairs.
            self._is_quoted = not was_quoted
        if not self._is_quoted:
            self._check_fields(self.pending if was_quoted else line)
        elif not was_quoted and not _OPEN.fullmatch(line):
            raise FramingError(_misplaced(line))
        return not self._is_quoted

    def _check_fields(self, row: bytes) -> None:
        count = len(split_row(row)) if b'"' in row else row.count(b",") + 1
        self._fields = self._fields or count
        if count != self._fields:
            raise FramingError(
                f"a row has {count} fields, and not {self._fields} as the one before it"
            )

    def value_of(self, record: bytes) -> bytes:
        """Return the row without blank lines and its end."""
        return _BLANK_LINES.sub(b"", record, 1).removesuffix(b"\n").removesuffix(b"\r")

    def reset(self) -> None:
        """Drop an incomplete row."""
        self._parts, self._line, self._row_at, self._length = [], [], 0, 0
        self._is_quoted = False


def split_row(row: bytes) -> list[bytes]:
    """Return the fields of a row, with or without its end.

    Raises:
        FramingError: Quotes are misplaced, or there is more than a row.
    """
    text = row.replace(b"\r\n", b"\n").removesuffix(b"\n") + b"\n"
    fields, position = [], 0
    while True:
        found = _FIELD.match(text, position)
        if found is None:
            raise FramingError(_misplaced(row))
        field = found[0]
        if field.startswith(b'"'):
            field = field[1:-1].replace(b'""', b'"')
        fields.append(field)
        position = found.end() + 1
        if found[1] == b"\n":
            break
    if position < len(text):
        raise FramingError("there is more than one row")
    return fields


def make_row(fields: Iterable[str]) -> bytes:
    """Return a row with its end; a field is quoted where it has to be."""
    made = [_quoted(field) if _MUST_QUOTE.search(field) else field for field in fields]
    # A sole empty field would be a blank line, which is no row (CR3).
    return (",".join(made) if made != [""] else '""').encode() + b"\n"


def _quoted(field: str) -> str:
    return '"' + field.replace('"', '""') + '"'


def _misplaced(row: bytes) -> str:
    return f"a quote is misplaced in the row {row[:80]!r}"
