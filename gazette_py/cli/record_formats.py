"""How read content is printed: raw, as JSON, as hexadecimal, or by a template. Pure."""

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from gazette_py.cli.render import jsonable
from gazette_py.errors import ValidationError

_ROW_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A record of a journal, `[begin, end)`."""

    journal: str
    begin: int
    end: int
    raw: bytes  # With its framing.
    value: bytes  # Without.


RecordFormat = Callable[[Record], bytes]


def raw(record: Record) -> bytes:
    """Return the record as it is in the journal."""
    return record.raw


def json_line(record: Record) -> bytes:
    """Return the record, a JSON value, on one line.

    Raises:
        ValidationError: It is none.
    """
    try:
        value = json.loads(record.value)
    except ValueError as exc:
        raise ValidationError(
            f"journal {record.journal} at offset {record.begin}",
            f"the record is no JSON ({exc}); -o raw prints it, -o json-envelope wraps it",
        ) from exc
    return _line(value)


def envelope(record: Record) -> bytes:
    """Return the record with where it is, as one line of JSON."""
    fields: dict[str, Any] = {
        "journal": record.journal,
        "offset": jsonable(record.begin),
        "end": jsonable(record.end),
    }
    return _line(fields | _value(record.value))


def _value(value: bytes) -> dict[str, Any]:
    try:
        return {"value": json.loads(value)}
    except ValueError:
        pass
    try:
        return {"value": value.decode()}
    except UnicodeDecodeError:
        return {"value_base64": base64.b64encode(value).decode()}


def _line(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def template(text: str) -> RecordFormat:
    r"""Return the format of a template: %j journal, %o offset, %e end, %v value, %%, \n, \t.

    Raises:
        ValidationError: It has another escape.
    """
    parts = list(_parts(text))

    def render(record: Record) -> bytes:
        values = {
            "j": record.journal.encode(),
            "o": str(record.begin).encode(),
            "e": str(record.end).encode(),
            "v": record.value,
        }
        return b"".join(values[name] if name else literal for name, literal in parts)

    return render


def _parts(text: str) -> Iterator[tuple[str, bytes]]:
    """Yield the name of a value, or no name and a literal."""
    literals = {"%%": b"%", "\\n": b"\n", "\\t": b"\t", "\\\\": b"\\"}
    position = 0
    while position < len(text):
        if text[position] not in "%\\":
            yield "", text[position].encode()
            position += 1
            continue
        escape = text[position : position + 2]
        if escape in literals:
            yield "", literals[escape]
        elif escape in ("%j", "%o", "%e", "%v"):
            yield escape[1], b""
        else:
            raise ValidationError(
                f"--format {text!r}", f"no escape {escape}: there are %j %o %e %v %% \\n \\t"
            )
        position += 2


def hex_dump(data: bytes, offset: int) -> bytes:
    """Return rows of offset, sixteen bytes in hexadecimal, and their printable characters."""
    rows = []
    for i in range(0, len(data), _ROW_BYTES):
        row = data[i : i + _ROW_BYTES]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        rows.append(f"{offset + i:016x}  {row.hex(' '):<47}  |{text}|\n")
    return "".join(rows).encode()
