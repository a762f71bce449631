"""How the byte gateway answers calls which fail, on every path of it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import pytest

from gazette_py.clock import SYSTEM
from gazette_py.errors import (
    AppendOutcomeUnknownError,
    RpcError,
    RpcUnauthenticatedError,
    RpcUnavailableError,
)
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.protocol.claims import Capability
from gazette_py.protocol.route import ProcessID
from gazette_py.web.byte_gateway import ByteGateway
from gazette_py.web.byte_responses import Here
from gazette_py.web.connections import TRAILERS

MISSING = RpcUnauthenticatedError("b", "UNAUTHENTICATED", "missing or empty Authorization token")
DENIED = RpcUnauthenticatedError("b", "PERMISSION_DENIED", "no APPEND")
GONE = RpcUnavailableError("b", "UNAVAILABLE", "the peer has left")
BROKEN = RpcError("b", "UNKNOWN", "it broke\nsomehow")
UNKNOWN = AppendOutcomeUnknownError("b", "UNAVAILABLE", "it vanished")
EVENTS = {"accept": "text/event-stream"}


class Calls:
    """Calls which give some responses, and then end or fail."""

    def __init__(
        self, error: RpcError | None, *responses: pb.ReadResponse, is_late: bool = False
    ) -> None:
        self.tokens: list[str] = []
        self.checked: list[tuple[Capability, str, str]] = []
        self._is_late = is_late  # The call refuses, and not the check before it.
        self._error = error
        self._responses = responses

    async def read(
        self, request: pb.ReadRequest, token: str
    ) -> AsyncGenerator[pb.ReadResponse, None]:
        self.tokens.append(token)
        for response in self._responses:
            yield response
        if self._error is not None:
            raise self._error

    async def append(
        self, request: pb.AppendRequest, content: AsyncIterator[bytes], token: str
    ) -> pb.AppendResponse:
        self.tokens.append(token)
        assert [piece async for piece in content] == [b"x"]
        assert self._error is not None
        raise self._error

    async def wait_stopping(self) -> None:
        await asyncio.Event().wait()

    def check(self, capability: Capability, journal: str, token: str) -> None:
        self.checked.append((capability, journal, token))
        if isinstance(self._error, RpcUnauthenticatedError) and not self._is_late:
            raise self._error

    def content_type(self, journal: str) -> str:
        return ""


class Answer:
    def __init__(self, sent: list[Any]) -> None:
        self.status = sent[0]["status"]
        self.headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        self.body = b"".join(message.get("body", b"") for message in sent[1:])
        self.trailers = dict(sent[-1]["headers"] if sent[-1]["type"] == TRAILERS else [])


async def ask(
    calls: Calls,
    method: str = "GET",
    query: str = "",
    headers: dict[str, str] | None = None,
    *,
    is_compat: bool = False,
) -> Answer:
    body = iter([{"type": "http.request", "body": b"x"}])
    sent: list[Any] = []

    async def receive() -> Any:
        if (message := next(body, None)) is not None:
            return message
        return await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": "/a/journal",
        "query_string": query.encode(),
        "headers": [(k.encode(), v.encode()) for k, v in (headers or {}).items()],
        "extensions": {TRAILERS: {}},
    }
    here = Here(ProcessID("a", "one"), "http://here")
    gateway = ByteGateway(calls, here, SYSTEM, is_compat=is_compat)  # type: ignore[arg-type]  # Enough of them.
    await gateway(scope, receive, send)
    return Answer(sent)


@pytest.mark.parametrize("is_compat", [False, True])
@pytest.mark.parametrize(
    ("method", "query", "headers"),
    [
        ("GET", "", {}),
        ("HEAD", "", {}),
        ("GET", "", {"range": "bytes=0-1"}),
        ("GET", "block=true", EVENTS),
        ("PUT", "", {}),
        ("POST", "", {}),
    ],
)
async def test_who_is_not_let_in_is_told_so_on_every_path(
    method: str, query: str, headers: dict[str, str], is_compat: bool
) -> None:
    headers = {**headers, "authorization": "Bearer x"}
    needed = Capability.APPEND if method in ("PUT", "POST") else Capability.READ
    for is_late, tokens in ((False, []), (True, ["Bearer x"])):
        calls = Calls(MISSING, is_late=is_late)
        answer = await ask(calls, method, query, headers, is_compat=is_compat)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert b"missing or empty Authorization token" in answer.body
        assert calls.checked == [(needed, "a/journal", "Bearer x")]
        assert calls.tokens == tokens
    answer = await ask(Calls(DENIED), method, query, headers, is_compat=is_compat)
    assert (answer.status, "www-authenticate" in answer.headers) == (403, False)


async def test_a_read_which_fails_before_its_first_response_is_500() -> None:
    answer = await ask(Calls(BROKEN))
    assert (answer.status, answer.body) == (500, b"it broke\nsomehow\n")
    ended = await ask(Calls(None))
    assert (ended.status, ended.headers["x-gazette-status"]) == (500, "UNAVAILABLE")
    assert b"moving to other brokers: try again" in ended.body


@pytest.mark.parametrize(
    ("error", "last", "why"),
    [
        (BROKEN, None, b"it broke somehow"),
        (None, None, b"broker terminated RPC"),
        (None, pb.ReadResponse(offset=9), b"offset jump"),
        (None, pb.ReadResponse(status=pb.OFFSET_NOT_YET_AVAILABLE), b"OFFSET_NOT_YET_AVAILABLE"),
    ],
)
async def test_a_trailer_tells_why_content_ended(
    error: RpcError | None, last: pb.ReadResponse | None, why: bytes
) -> None:
    responses = [pb.ReadResponse(offset=3), pb.ReadResponse(offset=3, content=b"hi")]
    answer = await ask(Calls(error, *responses, *([last] if last else [])))
    assert (answer.status, answer.body) == (206, b"hi")
    assert answer.trailers == {b"x-close-error": why}


async def test_a_range_which_is_gone_is_refused() -> None:
    first = pb.ReadResponse(offset=7, write_head=9)
    answer = await ask(Calls(None, first), headers={"range": "bytes=2-4"})
    assert (answer.status, answer.headers["x-write-head"]) == (416, "9")
    assert answer.body == b"bytes 2-4 are gone: content begins at 7\n"


async def test_a_range_is_cut_where_it_ends() -> None:
    responses = [pb.ReadResponse(write_head=3), pb.ReadResponse(content=b"more than that")]
    answer = await ask(Calls(BROKEN, *responses), headers={"range": "bytes=0-9"})
    assert (answer.body, answer.headers["content-range"]) == (b"mor", "bytes 0-2/*")
    assert answer.trailers == {}


@pytest.mark.parametrize("calls", [Calls(GONE), Calls(None)])
async def test_events_which_may_be_had_later_ask_to_come_back(calls: Calls) -> None:
    answer = await ask(calls, query="block=true", headers=EVENTS)
    assert (answer.status, answer.body[:12]) == (200, b"retry: 3000\n")


async def test_events_which_fail_for_good_end_for_good() -> None:
    answer = await ask(Calls(BROKEN), query="block=true", headers=EVENTS)
    assert answer.status == 500


async def test_events_tell_of_what_is_gone() -> None:
    responses = [pb.ReadResponse(offset=3), pb.ReadResponse(offset=3, content=b"\1")]
    query = "block=true&offset=1"
    answer = await ask(Calls(GONE, *responses), query=query, headers=EVENTS)
    assert answer.body.startswith(
        b'retry: 1000\nid: 1\n\nevent: jump\nid: 3\ndata: {"from": 1, "to": 3}\n\n'
        b"event: base64\nid: 4\ndata: AQ==\n\nretry: 3000\n: the peer has left\n\n"
    )


async def test_an_append_whose_outcome_is_unknown_says_so() -> None:
    for is_compat in (False, True):
        answer = await ask(Calls(UNKNOWN), "PUT", is_compat=is_compat)
        assert (answer.status, answer.headers["x-gazette-status"]) == (500, "OUTCOME_UNKNOWN")
        assert b"may be in the journal, or not" in answer.body


async def test_an_append_which_may_be_tried_again_is_503() -> None:
    assert (await ask(Calls(GONE), "PUT")).status == 503
    assert (await ask(Calls(GONE), "PUT", is_compat=True)).status == 500
    assert (await ask(Calls(BROKEN), "PUT")).status == 500
