"""Over HTTP a token lets in as it does over gRPC, and nobody else is let in, on any path."""

import asyncio
import json
import time
from collections.abc import Iterator

import pytest
from http_exchange import Answer, fetch, request

from gazette_py.clock import SYSTEM
from gazette_py.protocol.claims import Capability, Claims, parse_keys
from gazette_py.protocol.labels import Label, LabelSelector, LabelSet
from gazette_py.rpc.tokens import SignedTokens
from gazette_py.testing.in_process import InProcessCluster

KEYS = "dGhlLWtleXMtb2YtdGhlLWNsdXN0ZXItYXJlLWxvbmc="
ACME = LabelSelector(LabelSet((Label("name", "acme/", prefix=True),)))


@pytest.fixture(scope="module")
def urls() -> Iterator[list[str]]:
    """Of two brokers: one of them has to forward."""
    with InProcessCluster(brokers=2, auth_keys=KEYS) as cluster:
        cluster.create("acme/one", "other/one", replication=1)
        yield cluster.http


def bearer(capability: Capability, lifetime_s: int = 60) -> dict[str, str]:
    now = int(time.time())
    claims = Claims(capability, ACME, now, now + lifetime_s)
    token = SignedTokens(parse_keys("keys", KEYS), SYSTEM).sign(claims)
    return {"authorization": f"Bearer {token}"}


ALL = Capability.LIST | Capability.READ | Capability.APPEND


async def send(url: str, method: str, path: str, headers: dict[str, str], **more: str) -> Answer:
    body = b"{}" if path.startswith("/v1/") else b"hello\n" if method in ("PUT", "POST") else b""
    if path == "/v1/journals/read":
        body = b'{"journal": "acme/one"}'
    return await fetch(url, method, path, headers | more, body)


CALLS = [
    ("GET", "/acme/one?offset=0", Capability.READ),
    ("HEAD", "/acme/one", Capability.READ),
    ("PUT", "/acme/one", Capability.APPEND),
    ("POST", "/acme/one", Capability.APPEND),
    ("POST", "/v1/journals/list", Capability.LIST),
    ("POST", "/v1/journals/read", Capability.READ),
]


@pytest.mark.parametrize(("method", "path", "needed"), CALLS)
async def test_every_path_asks_for_a_token(
    urls: list[str], method: str, path: str, needed: Capability
) -> None:
    for url in urls:
        for headers in (
            {},
            {"authorization": "Bearer abc.def.ghi"},
            {"authorization": "Basic dXNlcjpwYXNz"},
            bearer(ALL, lifetime_s=-60),
        ):
            answer = await send(url, method, path, headers)
            assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
        lacking = await send(url, method, path, bearer(ALL & ~needed))
        assert lacking.status == 403
        assert method == "HEAD" or f"lacks {needed.name}".encode() in lacking.body
        # 416: nothing is in the journal yet.
        assert (await send(url, method, path, bearer(needed))).status in (200, 204, 206, 416)


async def test_events_ask_for_a_token(urls: list[str]) -> None:
    accept = {"accept": "text/event-stream"}
    assert (await send(urls[0], "GET", "/acme/one?block=true", accept)).status == 401
    lacking = accept | bearer(Capability.LIST)
    assert (await send(urls[0], "GET", "/acme/one?block=true", lacking)).status == 403


@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_a_token_for_others_does_not_tell_which_journals_exist(
    urls: list[str], method: str
) -> None:
    for url in urls:
        for journal in ("/other/one", "/none/such"):
            answer = await send(url, method, journal, bearer(ALL))
            assert answer.status == 403
            assert "x-route-token" not in answer.headers
        assert (await send(url, method, "/acme/none", bearer(ALL))).status == 404


async def test_who_is_refused_is_not_asked_for_the_body(urls: list[str]) -> None:
    headers = {"Content-Length": "2", "Expect": "100-continue"}
    async with request(urls[0], "PUT", "/acme/one", headers) as exchange:
        assert (await exchange.start()).status == 401
        assert exchange.informed == []


async def test_events_end_with_their_token(urls: list[str]) -> None:
    headers = {"accept": "text/event-stream"} | bearer(Capability.READ, lifetime_s=2)
    async with request(urls[0], "GET", "/acme/one?block=true", headers) as exchange:
        await exchange.send_body()
        answer = await asyncio.wait_for(exchange.finish(), 30)
    assert answer.status == 200


async def test_a_listing_shows_what_a_token_selects(urls: list[str]) -> None:
    listed = await send(urls[0], "POST", "/v1/journals/list", bearer(ALL))

    (message,) = [json.loads(line) for line in listed.body.splitlines()]
    assert [j["spec"]["name"] for j in message["result"]["journals"]] == ["acme/one"]


async def test_diagnostics_ask_for_none(urls: list[str]) -> None:
    """Probes and scrapers have no tokens; they show no content, and can be had elsewhere only."""
    for path in ("/debug/ready", "/debug/metrics"):
        assert (await fetch(urls[0], "GET", path)).status == 200
