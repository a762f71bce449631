"""Listings as the reference's command prints them: JSON and protobuf text of wire messages."""

import json
from typing import TYPE_CHECKING, Any

from gazette_py.cli.gazctl import messages

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor

    from gazette_py.client.client import ListedFragment
    from gazette_py.client.listing import ListResult
    from gazette_py.pb.protocol_pb2 import ListResponse


def list_json(result: "ListResult") -> str:
    """Return the listing as `gazctl journals list --format json` does."""
    from google.protobuf.json_format import MessageToDict

    from gazette_py.pb import protocol_pb2 as pb

    fields: dict[str, Any] = MessageToDict(
        list_response(result),
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
    )
    fields = _in_declared_order(fields, pb.ListResponse.DESCRIPTOR)
    return messages.in_html(json.dumps(fields, separators=(",", ":"), ensure_ascii=False))


def _in_declared_order(fields: dict[str, Any], descriptor: "Descriptor") -> dict[str, Any]:
    """Return the fields as Go orders them, with null for absent messages."""
    ordered: dict[str, Any] = {}
    for field in descriptor.fields:
        value = fields.get(field.name)
        nested = field.message_type
        if nested is not None and isinstance(value, dict):
            value = _in_declared_order(value, nested)
        elif nested is not None and isinstance(value, list):
            value = [_in_declared_order(item, nested) for item in value]
        ordered[field.name] = value
    return ordered


def list_text(result: "ListResult") -> str:
    """Return the listing as `gazctl journals list --format proto` does."""
    return messages.text_of(list_response(result))


def fragment_json(listed: "ListedFragment") -> str:
    """Return a line of `gazctl journals fragments --format json`.

    Fields are left out where they are zero, codecs are numbers, and a SHA-1 is three of them, which
    not every reader of JSON holds exactly.
    """
    from gazette_py.pb import protocol_pb2 as pb
    from gazette_py.protocol import convert

    message = pb.FragmentsResponse._Fragment(  # noqa: SLF001  # The wire's own name.
        spec=convert.fragment_to_pb(listed.fragment), signed_url=listed.url
    )
    return messages.json_of(message) + "\n"


def list_response(result: "ListResult") -> "ListResponse":
    """Return the message which the listing came from."""
    from gazette_py.pb import protocol_pb2 as pb
    from gazette_py.protocol import convert

    return pb.ListResponse(
        header=convert.header_to_pb(result.header),
        journals=[
            pb.ListResponse.Journal(
                spec=convert.journal_to_pb(journal.spec),
                mod_revision=journal.mod_revision,
                create_revision=journal.create_revision,
                route=convert.route_to_pb(journal.route),
            )
            for journal in result.journals
        ],
    )
