"""Diagnostics of a broker, on both of its HTTP ports."""

from collections.abc import Iterator

import pytest
from http_exchange import fetch, request

from gazette_py.local.ports import free_ports
from gazette_py.testing.in_process import InProcessCluster

JOURNAL = "a/journal"


@pytest.fixture(scope="module")
def private_port() -> int:
    return free_ports(1)[0]


@pytest.fixture(scope="module")
def private(private_port: int) -> Iterator[InProcessCluster]:
    with InProcessCluster(debug_port=private_port, debug_private=True) as cluster:
        cluster.create(JOURNAL)
        yield cluster


async def test_the_first_port_tells_only_that_it_serves(private: InProcessCluster) -> None:
    (url,) = private.http
    for path, body in (("ready", b"ready\n"), ("live", b"live\n")):
        answer = await fetch(url, "GET", f"/debug/{path}")
        assert (answer.status, answer.body) == (200, body)
    for path in ("metrics", f"story?journal={JOURNAL}", "else"):
        assert (await fetch(url, "GET", f"/debug/{path}")).status == 404


async def test_the_second_port_has_all_of_it_and_no_journals(
    private: InProcessCluster, private_port: int
) -> None:
    url = f"http://127.0.0.1:{private_port}"
    metrics = await fetch(url, "GET", "/debug/metrics")
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert b"gazette_" in metrics.body
    story = await fetch(url, "GET", f"/debug/story?journal={JOURNAL}")
    assert (story.status, story.body.count(b"\n") > 0) == (200, True)
    missing = await fetch(url, "GET", "/debug/story?journal=a/missing")
    assert (missing.status, missing.body) == (404, b"journal 'a/missing' has no replica here\n")
    assert (await fetch(url, "GET", f"/{JOURNAL}")).status == 404


async def test_others_are_not_told_the_story(private: InProcessCluster, private_port: int) -> None:
    """A proxy on this machine speaks for clients which are not on it."""
    url = f"http://127.0.0.1:{private_port}"
    headers = {"X-Forwarded-For": "10.0.0.1"}
    async with request(url, "GET", f"/debug/story?journal={JOURNAL}", headers) as exchange:
        await exchange.send_body()
        answer = await exchange.finish()
    assert (answer.status, answer.body) == (403, b"only from this machine\n")
