"""The JSON gateway: messages as lines, and errors where they can still be told."""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import pytest
from http_exchange import Answer, fetch, request

from gazette_py.errors import RpcError, RpcUnauthenticatedError
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.testing.in_process import InProcessCluster
from gazette_py.web.json_gateway import BODY_BYTES_MAX, JsonGateway

JOURNAL = "a/journal"


@pytest.fixture(scope="module")
def running() -> Iterator[InProcessCluster]:
    with InProcessCluster() as cluster:
        cluster.create(JOURNAL)
        yield cluster


@pytest.fixture
async def url(running: InProcessCluster) -> str:
    return running.http[0]


async def post(url: str, path: str, body: object = None) -> Answer:
    raw = b"" if body is None else json.dumps(body).encode()
    return await fetch(url, "POST", path, {}, raw)


def results(answer: Answer) -> list[Any]:
    assert answer.headers["content-type"] == "application/json"
    return [json.loads(line)["result"] for line in answer.body.splitlines()]


async def test_journals_are_listed(url: str) -> None:
    selector = {"selector": {"include": {"labels": [{"name": "name", "value": JOURNAL}]}}}
    for body in (None, {}, selector):
        (listed,) = results(await post(url, "/v1/journals/list", body))
        assert listed["journals"][0]["spec"]["name"] == JOURNAL
    none = {"selector": {"exclude": selector["selector"]["include"]}}
    assert results(await post(url, "/v1/journals/list", none))[0]["journals"] == []


async def test_a_watch_tells_of_changes(url: str, running: InProcessCluster) -> None:
    body = b'{"watch": true}'
    headers = {"Content-Length": str(len(body))}
    async with request(url, "POST", "/v1/journals/list", headers) as watch:
        await watch.send_body(body)
        await watch.until(b"a/journal")
        running.create("a/new-one")
        await watch.until(b"a/new-one")
        assert not watch.answer.is_whole


async def test_content_is_read(url: str) -> None:
    await fetch(url, "PUT", f"/{JOURNAL}", {}, b"hello\n")
    read = results(await post(url, "/v1/journals/read", {"journal": JOURNAL}))
    assert [part["content"] for part in read] == [None, "aGVsbG8K", None]
    assert [part["status"] for part in read] == ["OK", "OK", "OFFSET_NOT_YET_AVAILABLE"]
    assert (read[0]["header"] is None, read[1]["header"]) == (False, None)


async def test_statuses_are_no_errors_of_http(url: str) -> None:
    answer = await post(url, "/v1/journals/read", {"journal": "a/missing"})
    assert (answer.status, results(answer)[0]["status"]) == (200, "JOURNAL_NOT_FOUND")


async def test_an_invalid_request_is_an_error(url: str) -> None:
    answer = await post(url, "/v1/journals/read", {"journal": ""})
    assert answer.status == 500
    message = "Journal: invalid length (0; expected 4 <= length <= 512)"
    assert json.loads(answer.body)["error"] == {
        "grpcCode": 2,
        "httpCode": 500,
        "message": message,
        "httpStatus": "Internal Server Error",
        "details": [],
    }


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/journals/list"), ("POST", "/v1/else"), ("PUT", "/v1/")]
)
async def test_what_is_no_call_is_not_implemented(url: str, method: str, path: str) -> None:
    answer = await fetch(url, method, path)
    assert (answer.status, answer.body) == (
        501,
        b'{"code":12,"message":"Not Implemented","details":[]}',
    )


async def test_what_is_no_json_is_refused(url: str) -> None:
    answer = await fetch(url, "POST", "/v1/journals/list", {}, b"nonsense")
    assert (answer.status, json.loads(answer.body)["code"]) == (400, 3)
    answer = await fetch(url, "POST", "/v1/journals/list", {}, b" " * (BODY_BYTES_MAX + 1))
    assert (answer.status, json.loads(answer.body)["code"]) == (413, 3)


async def test_a_path_of_its_own_is_redirected(url: str) -> None:
    answer = await fetch(url, "GET", "/v1")
    assert (answer.status, answer.headers["location"]) == (307, "/v1/")


class Failing:
    """Calls which give some responses, and then an error."""

    def __init__(self, error: RpcError, *responses: pb.ReadResponse) -> None:
        self.authorization = ""
        self._error = error
        self._responses = responses

    async def read(
        self, _: pb.ReadRequest, authorization: str
    ) -> AsyncGenerator[pb.ReadResponse, None]:
        self.authorization = authorization
        for response in self._responses:
            yield response
        raise self._error

    list = read


async def ask(calls: Failing) -> tuple[int, dict[str, str], bytes]:
    body = iter([{"type": "http.request", "body": b"{}"}])
    sent: list[Any] = []

    async def receive() -> Any:
        return next(body, None) or await never()

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/journals/read",
        "headers": [(b"authorization", b"Bearer x")],
    }
    await JsonGateway(calls)(scope, receive, send)  # type: ignore[arg-type]  # Enough of them.
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, b"".join(each["body"] for each in sent[1:])


async def never() -> Any:

    await asyncio.Event().wait()


async def test_who_is_not_let_in_is_told_so() -> None:
    calls = Failing(RpcUnauthenticatedError("b", "UNAUTHENTICATED", "no token"))
    status, headers, body = await ask(calls)
    assert (status, headers["www-authenticate"]) == (401, "Bearer")
    assert json.loads(body)["error"]["grpcCode"] == 16
    assert calls.authorization == "Bearer x"


async def test_an_error_after_the_first_message_is_a_line() -> None:
    status, _, body = await ask(
        Failing(RpcError("b", "UNAVAILABLE", "gone"), pb.ReadResponse(offset=7))
    )
    first, second = map(json.loads, body.splitlines())
    assert (status, first["result"]["offset"]) == (200, "7")
    assert second["error"] == {
        "grpcCode": 14,
        "httpCode": 503,
        "message": "gone",
        "httpStatus": "Service Unavailable",
        "details": [],
    }
