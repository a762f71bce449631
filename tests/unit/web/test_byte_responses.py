"""Statuses, headers and texts of the byte gateway."""

import pytest

from gazette_py.errors import RpcError, RpcUnauthenticatedError
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.protocol.enums import Status
from gazette_py.protocol.route import ProcessID
from gazette_py.web import byte_responses as answers
from gazette_py.web.codes import http_status_of, number_of

HERE = answers.Here(ProcessID("a", "one"), "http://here:81")
ONE = pb.ProcessSpec.ID(zone="a", suffix="one")
TWO = pb.ProcessSpec.ID(zone="b", suffix="two")


def route(*members: pb.ProcessSpec.ID, primary: int) -> pb.Header:
    endpoints = [f"http://{member.suffix}:80" for member in members]
    return pb.Header(route=pb.Route(members=members, primary=primary, endpoints=endpoints))


def test_reads_have_the_references_statuses() -> None:
    found = {status.name: answers.read_status(status) for status in Status}
    special = {
        "OK": 206,
        "JOURNAL_NOT_FOUND": 404,
        "INSUFFICIENT_JOURNAL_BROKERS": 503,
        "OFFSET_NOT_YET_AVAILABLE": 416,
    }
    assert found == {status.name: special.get(status.name, 500) for status in Status}
    assert answers.read_status(99) == 500


def test_what_time_or_an_append_mends_passes() -> None:
    passing = [status.name for status in Status if answers.is_passing(status)]
    assert passing == ["INSUFFICIENT_JOURNAL_BROKERS", "SUSPENDED"]


def test_appends_have_statuses_of_their_own() -> None:
    found = {status.name: answers.append_status(status, is_compat=False) for status in Status}
    special = {
        "OK": 204,
        "JOURNAL_NOT_FOUND": 404,
        "NOT_ALLOWED": 403,
        "WRONG_APPEND_OFFSET": 409,
        "REGISTER_MISMATCH": 409,
        "NO_JOURNAL_PRIMARY_BROKER": 503,
        "NOT_JOURNAL_PRIMARY_BROKER": 503,
        "INSUFFICIENT_JOURNAL_BROKERS": 503,
        "FRAGMENT_STORE_UNHEALTHY": 503,
    }
    assert found == {status.name: special.get(status.name, 500) for status in Status}


def test_appends_may_have_the_references_statuses() -> None:
    found = {answers.append_status(status, is_compat=True) for status in Status if status}
    assert (answers.append_status(Status.OK, is_compat=True), found) == (204, {500})


def test_a_read_tells_all_of_its_fragment() -> None:
    response = pb.ReadResponse(
        header=route(ONE, primary=0),
        offset=7,
        write_head=9,
        fragment=pb.Fragment(
            journal="a/b", begin=0, end=9, compression_codec=pb.GZIP, mod_time=86400
        ),
        fragment_url="http://store/it",
    )
    assert answers.read_headers(response, "/a/b", HERE) == {
        "x-route-token": 'members:<zone:"a" suffix:"one" > endpoints:"http://one:80"',
        "location": "http://here:81/a/b",
        "x-fragment-name": f"{0:016x}-{9:016x}-{'0' * 40}.gz",
        "x-fragment-last-modified": "Fri, 02 Jan 1970 00:00:00 GMT",
        "x-fragment-location": "http://store/it",
        "content-range": "bytes 7-9223372036854775807/9223372036854775807",
        "x-write-head": "9",
    }


def test_a_local_fragment_has_no_location() -> None:
    fragment = pb.Fragment(journal="a/b", end=9, compression_codec=pb.NONE)
    headers = answers.read_headers(pb.ReadResponse(fragment=fragment), "/a/b", HERE)
    assert set(headers) == {"x-fragment-name", "content-range"}


def test_where_another_is_primary_there_is_no_location() -> None:
    """We know no other broker's HTTP port."""
    for header in (route(ONE, TWO, primary=1), route(ONE, primary=-1)):
        headers = answers.read_headers(pb.ReadResponse(header=header), "/a/b", HERE)
        assert "location" not in headers


@pytest.mark.parametrize(
    ("header", "token"),
    [
        (
            route(ONE, TWO, primary=1),
            'members:<zone:"a" suffix:"one" > members:<zone:"b" suffix:"two" > primary:1'
            ' endpoints:"http://one:80" endpoints:"http://two:80"',
        ),
        (route(pb.ProcessSpec.ID(zone='"', suffix="\\"), primary=-1), None),
    ],
)
def test_a_route_is_written_as_the_reference_does(header: pb.Header, token: str | None) -> None:
    token = token or 'members:<zone:"\\"" suffix:"\\\\" > primary:-1 endpoints:"http://\\\\:80"'
    assert answers.route_token(header.route) == token


def test_an_append_tells_what_it_did() -> None:
    commit = pb.Fragment(journal="a/b", begin=3, end=9, compression_codec=pb.NONE)
    headers = answers.append_headers(pb.AppendResponse(commit=commit), "/a/b", HERE)
    assert headers == {
        "x-commit-begin": "3",
        "x-commit-end": "9",
        "x-write-head": "9",
        "x-commit-sha1-sum": "0" * 40,
    }


def test_a_refused_append_says_why_and_what_to_do() -> None:
    registers = pb.LabelSet(labels=[pb.Label(name="owner", value="me")])
    response = pb.AppendResponse(status=pb.REGISTER_MISMATCH, registers=registers)
    expected = (
        "REGISTER_MISMATCH\nits registers are not those of X-Check-Registers: they are owner = me"
    )
    assert answers.append_text(response) == expected
    response.registers.Clear()
    assert answers.append_text(response).endswith("they are none")
    unhealthy = pb.AppendResponse(
        status=pb.FRAGMENT_STORE_UNHEALTHY, store_health_error="s3://b/: denied"
    )
    assert answers.append_text(unhealthy).endswith("cannot be used: s3://b/: denied")


def test_a_status_is_named_first() -> None:
    assert answers.status_text(Status.WRONG_ROUTE) == "WRONG_ROUTE"
    assert answers.status_text(99) == "99"
    assert answers.status_text(Status.JOURNAL_NOT_FOUND).startswith("JOURNAL_NOT_FOUND\nthere is")


def test_who_is_not_known_is_asked_for_a_token() -> None:
    unknown = RpcUnauthenticatedError("b", "UNAUTHENTICATED", "no token")
    denied = RpcUnauthenticatedError("b", "PERMISSION_DENIED", "no READ")
    assert answers.refusal_headers(unknown) == {
        "x-gazette-status": "UNAUTHENTICATED",
        "www-authenticate": "Bearer",
    }
    assert answers.refusal_headers(denied) == {"x-gazette-status": "PERMISSION_DENIED"}
    assert answers.refusal_headers(RpcError("b", "UNKNOWN", "x"))["x-gazette-status"] == "UNKNOWN"


def test_codes_are_those_of_grpc() -> None:
    assert (http_status_of("UNAUTHENTICATED"), number_of("UNAUTHENTICATED")) == (401, 16)
    assert (http_status_of("PERMISSION_DENIED"), number_of("PERMISSION_DENIED")) == (403, 7)
    assert (http_status_of("UNAVAILABLE"), number_of("UNAVAILABLE")) == (503, 14)
    assert (http_status_of("UNKNOWN"), number_of("UNKNOWN")) == (500, 2)


@pytest.mark.parametrize("label", ["", "text", "text/html\r\nx: y", "text/\u00e9"])
def test_a_label_which_is_no_type_is_not_sent(label: str) -> None:
    assert answers.safe_content_type(label) == "application/octet-stream"


def test_a_label_which_is_a_type_is_sent() -> None:
    assert answers.safe_content_type("text/csv; header=present") == "text/csv; header=present"


def test_an_error_fits_into_a_header() -> None:
    assert answers.header_text("a\r\nb: \u00e9") == "a b: ?"
