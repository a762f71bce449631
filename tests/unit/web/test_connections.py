"""Trailers over real connections, and work which ends with them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from http_exchange import fetch, request

from gazette_py.errors import ConfigError
from gazette_py.web.connections import TRAILERS, while_connected
from gazette_py.web.server import clean_path, listen_http, serve_http


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:
    listener = listen_http("127.0.0.1", 0, "--port")
    task = asyncio.create_task(serve_http(app, listener))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        task.cancel()
        await asyncio.wait([task])


async def trailing(scope: Any, receive: Any, send: Any) -> None:
    """Send a body, and a trailer where one can be sent."""
    can = TRAILERS in scope.get("extensions", {})
    await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": can})
    await send({"type": "http.response.body", "body": b"hel", "more_body": True})
    await send({"type": "http.response.body", "body": b"lo"})
    if can:
        told = [(b"x-why", b"done")] if scope["path"] == "/" else []
        await send({"type": TRAILERS, "headers": told})


async def test_trailers_follow_a_body() -> None:
    async with serving(trailing) as url:
        answer = await fetch(url, "GET", "/")
        assert (answer.body, answer.trailers) == (b"hello", {"x-why": "done"})
        assert (await fetch(url, "GET", "/none")).trailers == {}


async def test_a_connection_goes_on_after_trailers() -> None:
    async with serving(trailing) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        one = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        writer.write(one + one + one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        answers = await asyncio.wait_for(reader.read(-1), 10)
        writer.close()
    assert answers.count(b"x-why: done") == 3


@pytest.mark.parametrize(("method", "version"), [("HEAD", "1.1"), ("GET", "1.0")])
async def test_where_none_can_be_sent_none_is(method: str, version: str) -> None:
    async with serving(trailing) as url, request(url, method, "/", version=version) as exchange:
        await exchange.send_body()
        answer = await exchange.finish()
    assert answer.trailers == {}
    assert answer.body == (b"hello" if method == "GET" else b"")


async def test_work_is_cancelled_once_the_client_has_gone() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert await while_connected(receive, work()) is None

    async with serving(app) as url:
        async with request(url, "GET", "/") as exchange:
            await exchange.send_body()
            await asyncio.wait_for(begun.wait(), 10)
            assert not ended.is_set()
        await asyncio.wait_for(ended.wait(), 10)


async def test_results_and_errors_of_the_work_are_passed_on() -> None:
    async def receive() -> Any:
        await asyncio.Event().wait()

    async def result() -> int:
        return 7

    async def error() -> int:
        raise ValueError("as it is")

    assert await while_connected(receive, result()) == 7
    with pytest.raises(ValueError, match="as it is"):
        await while_connected(receive, error())


def test_a_port_in_use_is_named() -> None:
    with (
        listen_http("127.0.0.1", 0, "--one") as one,
        pytest.raises(ConfigError, match=r"--two: cannot listen at 127\.0\.0\.1"),
    ):
        listen_http("127.0.0.1", one.getsockname()[1], "--two")


@pytest.mark.parametrize(
    ("path", "clean"),
    [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a/b/", "/a/b/"),
        ("//a//b", "/a/b"),
        ("/a/./b/../c", "/a/c"),
        ("/../..", "/"),
        ("/.a", "/.a"),
        ("//", "/"),
    ],
)
def test_paths_are_cleaned(path: str, clean: str) -> None:
    assert clean_path(path) == clean
