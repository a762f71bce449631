"""Pages of other origins."""

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from gazette_py.web.cors import Cors, is_foreign

PAGE = "http://page:80"


async def serve(method: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Return what an application behind it, which allows one origin, answers."""

    async def hello(_: object) -> PlainTextResponse:
        return PlainTextResponse("hello", headers={"vary": "accept"})

    app = Cors(Starlette(routes=[Route("/", hello, methods=["GET", "POST", "PUT"])]), (PAGE,))
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": "/", "query_string": b"", "headers": raw}
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], found, sent[1]["body"]


async def test_an_allowed_origin_is_told_what_it_may() -> None:
    status, headers, body = await serve("GET", origin=PAGE)
    assert (status, body) == (200, b"hello")
    assert headers["access-control-allow-origin"] == PAGE
    assert headers["vary"] == "accept, Origin"
    assert "Last-Event-ID" in headers["access-control-allow-headers"]
    assert "X-Write-Head" in headers["access-control-expose-headers"]


@pytest.mark.parametrize("headers", [{}, {"origin": "http://other"}])
async def test_others_are_told_nothing(headers: dict[str, str]) -> None:
    status, found, _ = await serve("GET", **headers)
    assert status == 200
    assert not [name for name in found if name.startswith("access-control")]


async def test_options_are_answered_with_nothing() -> None:
    assert (await serve("OPTIONS"))[::2] == (200, b"")
    status, headers, body = await serve("OPTIONS", origin=PAGE)
    assert (status, body) == (200, b"")
    assert headers["access-control-allow-methods"] == "GET, HEAD, PUT, POST, OPTIONS"


@pytest.mark.parametrize("method", ["PUT", "POST"])
async def test_a_foreign_page_does_not_write(method: str) -> None:
    """Its browser would send a plain POST unasked."""
    status, _, body = await serve(method, origin="http://evil", host="here:81")
    assert (status, b"--broker.allow-origin=http://evil" in body) == (403, True)
    assert (await serve(method, origin="null", host="here:81"))[0] == 403
    for origin in (PAGE, "http://here:81"):
        assert (await serve(method, origin=origin, host="here:81"))[0] == 200
    assert (await serve(method, host="here:81"))[0] == 200


def test_a_page_of_the_same_host_is_not_foreign() -> None:
    assert not is_foreign("", "here:81")
    assert not is_foreign("http://here:81", "here:81")
    assert is_foreign("http://here", "here:81")
