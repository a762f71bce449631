"""JSON of messages, as the reference's gateway writes it."""

import json

import pytest
from google.protobuf.duration_pb2 import Duration

from gazette_py.pb import protocol_pb2 as pb
from gazette_py.web import proto_json
from gazette_py.web.refusal import RefusedError

ROUTE = '{"members":[],"primary":0,"endpoints":[]}'


def test_what_is_not_set_is_written() -> None:
    assert proto_json.encode(pb.ReadResponse()) == (
        '{"status":"OK","header":null,"offset":"0","writeHead":"0","fragment":null,'
        '"fragmentUrl":"","content":null}'
    )


def test_integers_of_64_bits_are_strings_and_bytes_base64() -> None:
    message = pb.ReadResponse(
        status=pb.NOT_ALLOWED,
        offset=-1,
        content=b"\xff\0",
        fragment=pb.Fragment(sum=pb.SHA1Sum(part1=1 << 63, part3=7)),
    )
    found = json.loads(proto_json.encode(message))
    assert (found["status"], found["offset"], found["content"]) == ("NOT_ALLOWED", "-1", "/wA=")
    assert found["fragment"]["sum"] == {"part1": str(1 << 63), "part2": "0", "part3": 7}


def test_what_the_reference_always_has_is_never_null() -> None:
    found = json.loads(proto_json.encode(pb.ListResponse(journals=[pb.ListResponse.Journal()])))
    assert json.dumps(found["journals"][0]["route"], separators=(",", ":")) == ROUTE
    spec = found["journals"][0]["spec"]
    assert (spec["labels"], spec["suspend"]) == ({"labels": []}, None)
    assert spec["fragment"]["refreshInterval"] == "0s"
    assert found["header"]["etcd"]["revision"] == "0"


def test_durations_are_seconds() -> None:
    fragment = pb.JournalSpec.Fragment(refresh_interval=Duration(seconds=300, nanos=500_000_000))
    assert '"refreshInterval":"300.500s"' in proto_json.encode(fragment)


def test_a_newer_enum_is_a_number() -> None:
    raw = b"\x08\x63"  # Field 1, 99.
    assert '"status":99' in proto_json.encode(pb.ReadResponse.FromString(raw))


def test_texts_may_stand_in_a_page() -> None:
    assert (
        proto_json.dumps({"a": "<&>\u2028\u00e9"}) == '{"a":"\\u003c\\u0026\\u003e\\u2028\u00e9"}'
    )


@pytest.mark.parametrize("name", ["metadataOnly", "metadata_only"])
def test_either_spelling_is_read_and_unknown_names_are_dropped(name: str) -> None:
    body = json.dumps({"journal": "a/b", name: True, "offset": "7", "new": 1}).encode()
    message = proto_json.parse(body, pb.ReadRequest())
    assert message == pb.ReadRequest(journal="a/b", metadata_only=True, offset=7)


def test_an_empty_body_sets_nothing() -> None:
    assert proto_json.parse(b"", pb.ListRequest()) == pb.ListRequest()


@pytest.mark.parametrize("body", [b"nonsense", b'{"selector": 1}', b"\xff"])
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(RefusedError, match="no JSON of ListRequest") as refused:
        proto_json.parse(body, pb.ListRequest())
    assert refused.value.status == 400
