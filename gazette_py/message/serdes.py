"""Messages in records: what a record says, and the UUID which it bears. Pure.

A serde knows one kind of record by its framing. UUIDs are those of `uuids`: of version 1. Others
which a record may have are its own, and mean nothing to us.

    lines     JSON   where the journal's label `gazette-py.dev/uuid-ptr` points to; without it, at
                     the first of /UUID, /_meta/uuid and /uuid which is there
    csv       CSV    the first field
    fixed            none: where it is depends on the type of the message, which no frame tells

Source: gazette/core message/interfaces.go, csv_framing.go.
"""

import json
from collections.abc import Sequence
from typing import Any, Final, NoReturn, Protocol
from uuid import RFC_4122, UUID

from gazette_py.errors import GazetteError
from gazette_py.message.csv_rows import make_row, split_row
from gazette_py.message.framing import FramingError
from gazette_py.message.json_pointer import MISSING, find, parse_pointer

UUID_POINTER_LABEL: Final = "gazette-py.dev/uuid-ptr"

ZERO_UUID: Final = UUID(int=0)
"""Of messages which have none. They are delivered as they come, each as often as it is there."""

_POINTERS_READ: Final = ("/UUID", "/_meta/uuid", "/uuid")
_POINTER_WRITTEN: Final = "/UUID"
_UUID_LENGTH: Final = 36


class MessageError(GazetteError):
    """A record is no message of its kind."""


class Serde(Protocol):
    """Knows the messages of one kind of record."""

    def decode(self, value: bytes) -> Any:
        """Return the message which a record without its framing is.

        Raises:
            MessageError: It is none.
        """

    def uuid_of(self, message: Any) -> UUID:
        """Return the UUID of a decoded message, or `ZERO_UUID`."""
        ...

    def attach(self, value: bytes, uuid: UUID) -> bytes:
        """Return the record, with its framing, which bears the UUID and is the same otherwise.

        Raises:
            MessageError: It cannot bear one.
        """
        ...


class JSONSerde:
    """Lines of JSON.

    Args:
        uuid_pointer: JSON pointer to the UUID; "": where it usually is.

    Raises:
        ValueError: It is no pointer.
    """

    def __init__(self, uuid_pointer: str = "") -> None:
        pointers = (uuid_pointer,) if uuid_pointer else _POINTERS_READ
        self._read = tuple(parse_pointer(pointer) for pointer in pointers)
        self._written = parse_pointer(uuid_pointer or _POINTER_WRITTEN)

    def decode(self, value: bytes) -> Any:
        """Return the document."""
        return parse_json(value)

    def uuid_of(self, message: Any) -> UUID:
        """Return the UUID at the first pointer which leads to something."""
        for names in self._read:
            if (found := find(message, names)) is not MISSING:
                return parse_uuid(found)
        return ZERO_UUID

    def attach(self, value: bytes, uuid: UUID) -> bytes:
        """Return the line with the UUID, in place of one which is there.

        It is put first, and the line is left as it was, unless something of the way to the UUID is
        there already: then the document is written anew.
        """
        document = self._object(parse_json(value))
        *path, last = self._written
        if self._written[0] in document:
            node = document
            for name in path:
                node = self._object(node.setdefault(name, {}))
            node[last] = str(uuid)
            return _dump(document) + b"\n"
        node = {last: str(uuid)}
        for name in reversed(path):
            node = {name: node}
        member = _dump(node).removesuffix(b"}")
        return member + (b"," if document else b"") + value.lstrip()[1:] + b"\n"

    def _object(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            pointer = "/".join(("", *self._written))
            raise MessageError(f"there is no JSON object to have a UUID at {pointer}")
        return value


class CSVSerde:
    """Rows of CSV, whose first field is the UUID."""

    def decode(self, value: bytes) -> list[str]:
        """Return the fields."""
        try:
            return [field.decode() for field in split_row(value)]
        except (FramingError, UnicodeDecodeError) as exc:
            raise MessageError(f"the row is no text with commas: {exc}") from exc

    def uuid_of(self, message: Sequence[str]) -> UUID:
        """Return the UUID in the first field."""
        return parse_uuid(message[0])

    def attach(self, value: bytes, uuid: UUID) -> bytes:
        """Return the row with the UUID in a field before the others."""
        return make_row([str(uuid)]).removesuffix(b"\n") + b"," + value + b"\n"


class RawSerde:
    """Records of which no more is known."""

    def decode(self, value: bytes) -> NoReturn:
        """Refuse: it has no meaning here."""
        raise MessageError("the record's type is not known")

    def uuid_of(self, message: object) -> UUID:
        """Return that there is none."""
        return ZERO_UUID

    def attach(self, value: bytes, uuid: UUID) -> NoReturn:
        """Refuse: where it would be is not known."""
        raise MessageError("where records of this framing have their UUIDs is not known")


def serde_of(framing: str, uuid_pointer: str = "") -> Serde:
    """Return the serde of a framing's records.

    Raises:
        ValueError: The pointer is none.
    """
    match framing:
        case "lines":
            return JSONSerde(uuid_pointer)
        case "csv":
            return CSVSerde()
        case _:
            return RawSerde()


def parse_json(value: bytes) -> Any:
    """Return a JSON document, strictly as RFC 8259 has it.

    Raises:
        MessageError: It is none.
    """
    try:
        return _DECODER.decode(value.decode())
    except (ValueError, RecursionError) as exc:
        raise MessageError(f"the record is no JSON ({exc})") from exc


def parse_uuid(value: object) -> UUID:
    """Return the UUID of a message which a text is, or `ZERO_UUID` if it is something else."""
    if not isinstance(value, str) or len(value) != _UUID_LENGTH:
        return ZERO_UUID
    try:
        uuid = UUID(value)
    except ValueError:
        return ZERO_UUID
    return uuid if uuid.variant == RFC_4122 and uuid.version == 1 else ZERO_UUID


def _dump(document: object) -> bytes:
    try:
        return _ENCODER.encode(document).encode()
    except ValueError as exc:  # A number beyond all doubles, or half of a surrogate pair.
        raise MessageError(f"the record cannot be written as JSON ({exc})") from exc


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


# Made once: that takes as long as a small document does.
_DECODER: Final = json.JSONDecoder(parse_constant=_refuse_constant)
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
