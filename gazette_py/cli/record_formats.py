"""How read content is printed: raw, as JSON, as hexadecimal, or by a template. Pure."""

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import UUID

from gazette_py.cli.quantities import format_time_ns
from gazette_py.cli.render import jsonable
from gazette_py.errors import ValidationError
from gazette_py.message.serdes import ZERO_UUID, MessageError, Serde
from gazette_py.message.uuids import Flags, clock_of, flags_of, producer_of, time_ns_at

_ROW_BYTES = 16
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
_ASCII_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
_FLAG_NAMES = {int(flags): flags.name for flags in Flags}


@dataclass(kw_only=True)
class Record:
    """A record of a journal, `[begin, end)`."""

    journal: str
    begin: int
    end: int
    raw: bytes  # With its framing.
    value: bytes  # Without.
    serde: Serde

    @cached_property
    def message(self) -> Any:
        """What the record says.

        Raises:
            MessageError: It is no message of its kind.
        """
        return self.serde.decode(self.value)

    @cached_property
    def uuid(self) -> UUID | None:
        """The UUID of the message, if it is one and has one."""
        try:
            uuid = self.serde.uuid_of(self.message)
        except MessageError:
            return None
        return None if uuid == ZERO_UUID else uuid


RecordFormat = Callable[[Record], bytes]


def raw(record: Record) -> bytes:
    """Return the record as it is in the journal."""
    return record.raw


def json_line(record: Record) -> bytes:
    """Return the record, a JSON value or a row of CSV, on one line.

    Raises:
        ValidationError: It is neither.
    """
    try:
        return _line(record.message)
    except (MessageError, ValueError) as exc:
        raise ValidationError(
            f"journal {record.journal} at offset {record.begin}",
            f"{exc}; -o raw prints it, -o json-envelope wraps it",
        ) from exc


def envelope(record: Record) -> bytes:
    """Return the record with where it is and what its UUID says, as one line of JSON."""
    uuid = record.uuid
    fields: dict[str, Any] = {
        "journal": record.journal,
        "offset": jsonable(record.begin),
        "end": jsonable(record.end),
        "uuid": None if uuid is None else str(uuid),
        "producer": None if uuid is None else producer_of(uuid).hex(),
        "clock": None if uuid is None else jsonable(clock_of(uuid)),
        "flags": None if uuid is None else _flags(uuid),
    }
    try:
        return _line(fields | {"value": record.message})
    except (MessageError, ValueError):
        return _line(fields | _text(record.value))


def _text(value: bytes) -> dict[str, str]:
    try:
        return {"value": value.decode()}
    except UnicodeDecodeError:
        return {"value_base64": base64.b64encode(value).decode()}


def _flags(uuid: UUID) -> str | int:
    """Return the name of flags; a number if they have none."""
    return _FLAG_NAMES.get(flags_of(uuid), flags_of(uuid))


def _line(value: object) -> bytes:
    """Return the line of a value.

    Raises:
        ValueError: It has a number which JSON cannot express.
    """
    try:
        return _ENCODER.encode(value).encode() + b"\n"
    except UnicodeEncodeError:
        # Half of a surrogate pair, which JSON may have as an escape, is no UTF-8.
        return _ASCII_ENCODER.encode(value).encode() + b"\n"


_TEMPLATE: dict[str, Callable[[Record], bytes]] = {
    "j": lambda record: record.journal.encode(),
    "o": lambda record: str(record.begin).encode(),
    "e": lambda record: str(record.end).encode(),
    "v": lambda record: record.value,
    "u": lambda record: _of_uuid(record, str),
    "p": lambda record: _of_uuid(record, lambda uuid: producer_of(uuid).hex()),
    "c": lambda record: _of_uuid(record, lambda uuid: str(clock_of(uuid))),
    "t": lambda record: _of_uuid(record, lambda uuid: format_time_ns(time_ns_at(clock_of(uuid)))),
    "f": lambda record: _of_uuid(record, lambda uuid: str(_flags(uuid))),
}


def _of_uuid(record: Record, show: Callable[[UUID], str]) -> bytes:
    return b"" if record.uuid is None else show(record.uuid).encode()


def template(text: str) -> RecordFormat:
    r"""Return the format of a template.

    %j journal, %o offset, %e end, %v value; %u UUID, and of that %p producer, %c clock, %t its
    time, %f flags, which are empty without one; %%, \n, \t, \\.

    Raises:
        ValidationError: It has another escape.
    """
    parts = list(_parts(text))

    def render(record: Record) -> bytes:
        return b"".join(part if isinstance(part, bytes) else part(record) for part in parts)

    return render


def _parts(text: str) -> Iterator[bytes | Callable[[Record], bytes]]:
    """Yield literals, and what shows a part of the record."""
    literals = {"%%": b"%", "\\n": b"\n", "\\t": b"\t", "\\\\": b"\\"}
    position = 0
    while position < len(text):
        if text[position] not in "%\\":
            yield text[position].encode()
            position += 1
            continue
        escape = text[position : position + 2]
        if escape in literals:
            yield literals[escape]
        elif escape[0] == "%" and escape[1:] in _TEMPLATE:
            yield _TEMPLATE[escape[1:]]
        else:
            names = " ".join(f"%{name}" for name in _TEMPLATE)
            raise ValidationError(
                f"--format {text!r}", f"no escape {escape}: there are {names} %% \\n \\t"
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
