"""Messages as JSON, byte for byte as the reference's gateway writes them. Pure.

Names are lowerCamelCase, what is not set is written, too, 64-bit integers are strings, bytes are
base64, and null if there are none. A message which is not set is null, but for those fields which
the reference cannot leave unset.

Source: gazette/core broker/protocol/protocol.proto (nullable), gogo/gateway.
"""

import base64
import json
from typing import Any, Final, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from gazette_py.web.refusal import RefusedError

M = TypeVar("M", bound=Message)

_ALWAYS_SET: Final = frozenset(
    {
        "protocol.LabelSelector.include",
        "protocol.LabelSelector.exclude",
        "protocol.JournalSpec.labels",
        "protocol.JournalSpec.fragment",
        "protocol.Fragment.sum",
        "protocol.ListResponse.header",
        "protocol.ListResponse.Journal.spec",
        "protocol.ListResponse.Journal.route",
        "protocol.Header.process_id",
        "protocol.Header.route",
        "protocol.Header.etcd",
    }
)
_AS_TEXT: Final = frozenset({FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64})

# As Go's encoder does, so that the text may stand in a page.
_ESCAPES: Final = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}


def parse(body: bytes, message: M) -> M:
    """Fill a message from JSON, whose names may be of either spelling; unknown ones are dropped.

    Raises:
        RefusedError: It is no such JSON. An empty body is one which sets nothing.
    """
    from google.protobuf.json_format import Parse, ParseError  # Costs 10 ms, and few need it.

    try:
        Parse(body or b"{}", message, ignore_unknown_fields=True)
    except (ParseError, UnicodeDecodeError) as exc:
        raise RefusedError(400, f"the body is no JSON of {message.DESCRIPTOR.name}: {exc}") from exc
    return message


def encode(message: Message) -> str:
    """Return a message as JSON, without blanks."""
    return dumps(_value_of(message))


def dumps(value: object) -> str:
    """Return plain values as JSON, likewise."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).translate(_ESCAPES)


def _value_of(message: Message) -> object:
    if isinstance(message, Duration):
        return message.ToJsonString()
    return {field.json_name: _field(message, field) for field in message.DESCRIPTOR.fields}


def _field(message: Message, field: Any) -> object:
    value: Any = getattr(message, field.name)
    if field.is_repeated:
        return [_scalar(each, field) for each in value]
    if field.message_type is not None and not message.HasField(field.name):
        is_duration = field.message_type is Duration.DESCRIPTOR
        return _value_of(value) if is_duration or field.full_name in _ALWAYS_SET else None
    return _scalar(value, field)


def _scalar(value: Any, field: Any) -> object:
    if field.message_type is not None:
        return _value_of(value)
    if field.enum_type is not None:
        named = field.enum_type.values_by_number.get(value)
        return named.name if named is not None else value
    if field.type == FieldDescriptor.TYPE_BYTES:
        return base64.b64encode(value).decode() or None
    return str(value) if field.cpp_type in _AS_TEXT else value
