"""Messages of the protocol as Go's libraries write them: as protobuf text, and as JSON of structs.

Source: github.com/gogo/protobuf (`proto.MarshalText`) and Go's encoding/json, by what gazctl was
seen to print. Fields are in the order of their declaration.
"""

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from google.protobuf.message import Message

_POINTERS = frozenset({"suspend", "upsert"})
"""Messages which Go leaves out if they were not set."""

_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}
_IN_HTML = {
    "<": "\\u003c",
    ">": "\\u003e",
    "&": "\\u0026",
    "\u2028": "\\u2028",
    "\u2029": "\\u2029",
}


def text_of(message: "Message") -> str:
    """Return a message as protobuf text, with the brackets of old."""
    return "".join(f"{line}\n" for line in _text_lines(message))


def _text_lines(message: "Message") -> Iterator[str]:
    for field, value in _fields(message):
        if field.message_type is None:
            yield f"{field.name}: {_scalar_text(field, value)}"
        else:
            yield f"{field.name}: <"
            yield from (f"  {line}" for line in _text_lines(value))
            yield ">"


def _fields(message: "Message") -> Iterator[tuple[Any, Any]]:
    """Yield what Go writes, as descriptor and value; repeated fields once for each value."""
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if _is_repeated(value):
            yield from ((field, each) for each in value)
        elif field.message_type is not None:
            if _is_written(message, field):
                yield field, value
        elif value:
            yield field, value


def _is_repeated(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _is_written(message: "Message", field: Any) -> bool:
    """Tell whether Go writes a message: those which are no pointers it does, also if empty."""
    if field.message_type.full_name == "google.protobuf.Duration":
        return bool(getattr(message, field.name).ListFields())
    return field.name not in _POINTERS or message.HasField(field.name)


def _scalar_text(field: Any, value: Any) -> str:
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return known.name if known else str(value)
    if isinstance(value, bool):
        return str(value).lower()
    return _quoted(value) if isinstance(value, str) else str(value)


def _quoted(text: str) -> str:
    def escaped(char: str) -> str:
        if char in _ESCAPES:
            return _ESCAPES[char]
        if " " <= char < "\x7f":
            return char
        return "".join(f"\\{byte:03o}" for byte in char.encode())

    return f'"{"".join(map(escaped, text))}"'


def json_of(message: "Message") -> str:
    """Return a message as Go's encoding/json writes its struct: without zeros, enums as numbers."""
    return in_html(json.dumps(_struct(message), ensure_ascii=False, separators=(",", ":")))


def _struct(message: "Message") -> dict[str, Any]:
    struct: dict[str, Any] = {}
    for field, value in _fields(message):
        shown = value if field.message_type is None else _struct(value)
        if _is_repeated(getattr(message, field.name)):
            struct.setdefault(field.name, []).append(shown)
        else:
            struct[field.name] = shown
    return struct


def in_html(text: str) -> str:
    """Return JSON with what Go escapes, lest it stands in a page of HTML."""
    return "".join(_IN_HTML.get(char, char) for char in text)
