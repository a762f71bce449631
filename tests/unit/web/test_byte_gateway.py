"""The byte gateway of real brokers, in this process: two, so that one has to forward."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from h11 import Data
from http_exchange import Answer, fetch, request

from gazette_py.client import Change, Client
from gazette_py.errors import SuspendedError
from gazette_py.protocol.enums import AppendSuspend, JournalFlag
from gazette_py.protocol.journal import JournalSpec
from gazette_py.protocol.labels import LabelSet
from gazette_py.testing.in_process import FRAGMENT, InProcessCluster
from gazette_py.web import byte_gateway
from gazette_py.web.bodies import MEMORY_BYTES_MAX

JOURNAL = "a/journal"
TEXT = "a/text"
LINES = LabelSet.of(("content-type", "text/plain"))
CODE = {"content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff"}


@pytest.fixture(scope="module")
def running() -> Iterator[InProcessCluster]:
    with InProcessCluster(brokers=2, allow_origins=("http://page",)) as cluster:
        cluster.create(JOURNAL, replication=1)
        cluster.create(TEXT, replication=1, labels=LINES)
        yield cluster


@pytest.fixture
def urls(running: InProcessCluster) -> list[str]:
    return running.http


async def put(url: str, body: bytes, journal: str = JOURNAL, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await fetch(url, "PUT", f"/{journal}", named, body)


async def get(url: str, query: str = "", journal: str = JOURNAL, **headers: str) -> Answer:
    return await fetch(url, "GET", f"/{journal}?{query}", headers)


async def head_of(url: str, journal: str = JOURNAL) -> int:
    answer = await fetch(url, "HEAD", f"/{journal}?offset=-1")
    assert answer.status == 416
    return int(answer.headers.get("x-write-head", "0"))


@pytest.mark.parametrize("via", [0, 1])
async def test_what_is_put_is_got_through_any_broker(urls: list[str], via: int) -> None:
    begin = await head_of(urls[via])
    put_answer = await put(urls[via], b"hello\n")
    assert (put_answer.status, put_answer.body) == (204, b"")
    assert put_answer.headers["x-commit-begin"] == str(begin)
    assert put_answer.headers["x-commit-end"] == put_answer.headers["x-write-head"]
    assert put_answer.headers["x-commit-sha1-sum"] == "f572d396fae9206628714fb2ce00f72e94f2258f"
    answer = await get(urls[1 - via], f"offset={begin}")
    assert (answer.status, answer.body) == (206, b"hello\n")
    assert answer.trailers == {"x-close-error": "OFFSET_NOT_YET_AVAILABLE"}
    assert answer.headers["content-range"].startswith(f"bytes {begin}-9223372036854775807/")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["trailer"] == "X-Close-Error"


async def test_only_the_primary_tells_where_it_is(urls: list[str]) -> None:
    located = [(await put(url, b"")).headers.get("location") for url in urls]
    ours = [f"{url}/{JOURNAL}" for url in urls]
    assert sorted(map(str, located)) == sorted(["None", next(x for x in ours if x in located)])


async def test_the_label_is_the_content_type(urls: list[str]) -> None:
    for url in urls:
        await put(url, b"x\n", TEXT)
        assert (await get(url, journal=TEXT)).headers["content-type"] == "text/plain"


async def test_post_appends_in_chunks_too(urls: list[str]) -> None:
    headers = {"Transfer-Encoding": "chunked"}
    async with request(urls[0], "POST", f"/{JOURNAL}", headers) as exchange:
        await exchange.send_body(b"one", b"two", b"three")
        answer = await exchange.finish()
    begin = answer.headers["x-commit-begin"]
    assert (await get(urls[0], f"offset={begin}")).body == b"onetwothree"


async def test_a_large_body_is_one_append(urls: list[str]) -> None:
    body = bytes(range(256)) * (MEMORY_BYTES_MAX // 64)
    for url in urls:
        answer = await put(url, body)
        begin = int(answer.headers["x-commit-begin"])
        assert int(answer.headers["x-commit-end"]) - begin == len(body)
        got = await get(url, Range=f"bytes={begin}-{begin + len(body) - 1}")
        assert got.body == body


async def test_a_slow_body_does_not_hold_the_journal(urls: list[str]) -> None:
    """Others append while it comes in, and it begins after them."""
    headers = {"Content-Length": "6"}
    async with request(urls[0], "PUT", f"/{JOURNAL}", headers) as slow:
        await slow.send(Data(data=b"slo"))
        other = await put(urls[0], b"quick")
        assert other.status == 204
        await slow.send_body(b"wly")
        answer = await slow.finish()
    assert answer.headers["x-commit-begin"] == other.headers["x-commit-end"]


async def test_a_body_which_breaks_off_is_not_appended(urls: list[str]) -> None:
    before = await head_of(urls[0])
    async with request(urls[0], "PUT", f"/{JOURNAL}", {"Content-Length": "6"}) as broken:
        await broken.send(Data(data=b"bro"))
    assert (await put(urls[0], b"x")).headers["x-commit-begin"] == str(before)


async def test_a_client_may_wait_to_be_asked_for_the_body(urls: list[str]) -> None:
    headers = {"Content-Length": "2", "Expect": "100-continue"}
    async with request(urls[0], "PUT", f"/{JOURNAL}", headers) as exchange:
        assert await exchange.inform() == 100
        await exchange.send_body(b"ok")
        assert (await exchange.finish()).status == 204
    async with request(urls[0], "PUT", f"/{JOURNAL}?x=1", headers) as refused:
        assert (await refused.start()).status == 400
        assert refused.informed == []


async def test_an_offset_guards_an_append(urls: list[str]) -> None:
    begin = await head_of(urls[0])
    assert (await put(urls[0], b"one", x_append_offset=str(begin or 0))).status == 204
    answer = await put(urls[0], b"one", x_append_offset=str(begin + 1))
    assert (answer.status, answer.headers["x-gazette-status"]) == (409, "WRONG_APPEND_OFFSET")
    assert answer.body.startswith(b"WRONG_APPEND_OFFSET\nits write head is not at")


async def test_registers_guard_an_append(urls: list[str], running: InProcessCluster) -> None:
    running.create("a/fenced", replication=1)
    first = await put(urls[0], b"x", "a/fenced", x_union_registers="owner=me")
    assert first.status == 204
    mine = await put(urls[1], b"x", "a/fenced", x_check_registers="owner=me")
    assert mine.status == 204
    answer = await put(urls[1], b"x", "a/fenced", x_check_registers="owner=you")
    assert (answer.status, answer.headers["x-gazette-status"]) == (409, "REGISTER_MISMATCH")
    assert answer.body.endswith(b"they are owner = me\n")


async def test_refusals_name_their_status(urls: list[str], running: InProcessCluster) -> None:
    running.create("a/readonly", replication=1)
    async with running.connect() as client:
        await set_flags(client, "a/readonly", JournalFlag.O_RDONLY)
    missing, denied = await put(urls[0], b"x", "a/missing"), await put(urls[0], b"x", "a/readonly")
    assert (missing.status, missing.headers["x-gazette-status"]) == (404, "JOURNAL_NOT_FOUND")
    assert (denied.status, denied.headers["x-gazette-status"]) == (403, "NOT_ALLOWED")
    assert missing.body.startswith(b"JOURNAL_NOT_FOUND\nthere is no such journal")
    assert missing.headers.items() >= CODE.items()


async def set_flags(client: Client, journal: str, flags: int) -> None:
    spec = JournalSpec(name=journal, replication=1, fragment=FRAGMENT, flags=flags)
    await client.apply([Change(upsert=spec, expect_mod_revision=-1)])


@pytest.mark.parametrize(
    ("method", "target", "status", "text"),
    [
        ("GET", "/a/missing", 404, b"JOURNAL_NOT_FOUND\n"),
        ("GET", f"/{JOURNAL}?offset=999999999", 416, b"OFFSET_NOT_YET_AVAILABLE\n"),
        ("GET", f"/{JOURNAL}?blok=true", 400, b"unknown parameter 'blok'"),
        ("GET", "/", 400, b"The path names no journal"),
        ("DELETE", f"/{JOURNAL}", 400, b"unknown method: DELETE"),
        ("PUT", f"/{JOURNAL}?offset=1", 400, b"unknown parameter 'offset'"),
    ],
)
async def test_bad_requests_are_explained(
    urls: list[str], method: str, target: str, status: int, text: bytes
) -> None:
    answer = await fetch(urls[0], method, target)
    assert (answer.status, text in answer.body) == (status, True)
    assert answer.headers.items() >= CODE.items()


async def test_head_tells_without_content(urls: list[str]) -> None:
    await put(urls[0], b"some")
    answer = await fetch(urls[0], "HEAD", f"/{JOURNAL}")
    assert (answer.status, answer.body) == (206, b"")
    assert {"x-fragment-name", "x-write-head", "x-route-token"} <= set(answer.headers)
    assert "trailer" not in answer.headers


async def test_a_range_is_exact(urls: list[str], running: InProcessCluster) -> None:
    running.create("a/ranged", replication=1)
    await put(urls[0], b"0123456789", "a/ranged")
    for url in urls:
        part = await get(url, journal="a/ranged", Range="bytes=2-4")
        assert (part.status, part.body, part.trailers) == (206, b"234", {})
        assert part.headers["content-range"] == "bytes 2-4/*"
        rest = await get(url, journal="a/ranged", Range="bytes=7-99")
        assert (rest.body, rest.headers["content-range"]) == (b"789", "bytes 7-9/*")
        open_ended = await get(url, journal="a/ranged", Range="bytes=8-")
        assert (open_ended.body, open_ended.headers["content-range"]) == (b"89", "bytes 8-9/*")
    beyond = await get(urls[0], journal="a/ranged", Range="bytes=10-12")
    assert (beyond.status, beyond.headers["x-write-head"]) == (416, "10")


async def test_a_tail_gets_what_comes(urls: list[str], running: InProcessCluster) -> None:
    running.create("a/tailed", replication=1)
    for url in urls:
        begin = await head_of(url, "a/tailed")
        async with request(url, "GET", f"/a/tailed?offset={begin}&block=true") as tail:
            await tail.send_body()
            await put(url, b"one", "a/tailed")
            assert (await tail.start()).status == 206
            await tail.until(b"one")
            await put(url, b"two", "a/tailed")
            await tail.until(b"onetwo")
            assert not tail.answer.is_whole


async def test_unclean_paths_are_redirected(urls: list[str]) -> None:
    answer = await fetch(urls[0], "PUT", "/a/../a//journal?x=1", body=b"")
    assert (answer.status, answer.headers["location"]) == (307, "/a/journal?x=1")


async def test_http_1_0_gets_all_without_a_trailer(urls: list[str]) -> None:
    await put(urls[0], b"x\n", TEXT)
    async with request(urls[0], "GET", f"/{TEXT}", version="1.0") as exchange:
        await exchange.send_body()
        answer = await exchange.finish()
    assert answer.body.endswith(b"x\n")
    assert "trailer" not in answer.headers


async def test_a_page_of_an_allowed_origin_may_ask(urls: list[str]) -> None:
    answer = await get(urls[0], Origin="http://page")
    assert answer.headers["access-control-allow-origin"] == "http://page"
    refused = await fetch(urls[0], "POST", f"/{JOURNAL}", {"Origin": "http://evil"}, b"x")
    assert refused.status == 403


# Events.

EVENTS = {"Accept": "text/event-stream"}


async def test_events_tell_lines_and_resume(urls: list[str], running: InProcessCluster) -> None:
    running.create("a/events", replication=1, labels=LINES)
    await put(urls[0], b"one\ntwo\nthr", "a/events")
    target = "/a/events?block=true"
    for url in urls:
        async with request(url, "GET", target, EVENTS) as exchange:
            await exchange.send_body()
            answer = await exchange.start()
            assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream")
            assert "content-range" not in answer.headers
            told = await exchange.until(b"two\n\n")
            assert told == b"retry: 1000\nid: 0\n\nid: 4\ndata: one\n\nid: 8\ndata: two\n\n"
    async with request(urls[0], "GET", target, {**EVENTS, "Last-Event-ID": "8"}) as exchange:
        await exchange.send_body()
        await exchange.until(b"id: 8\n\n")
        await put(urls[0], b"ee\n", "a/events")
        assert await exchange.until(b"three") == b"retry: 1000\nid: 8\n\nid: 14\ndata: three\n\n"


async def test_events_begin_before_there_is_content(urls: list[str]) -> None:
    begin = await head_of(urls[0])
    async with request(urls[0], "GET", f"/{JOURNAL}?block=true&offset=-1", EVENTS) as exchange:
        await exchange.send_body()
        await exchange.until(f"id: {begin}\n\n".encode())
        await put(urls[0], b"\0")
        assert await exchange.until(b"base64") is not None
        await exchange.until(f"id: {begin + 1}\ndata: AA==\n\n".encode())


async def test_events_of_a_suspended_journal_come_back(
    urls: list[str], running: InProcessCluster
) -> None:
    """An append resumes it; a browser which was answered by another status would never know."""
    running.create("a/suspended", replication=1)
    async with running.connect() as client:
        with pytest.raises(SuspendedError):
            await client.append("a/suspended", suspend=AppendSuspend.NOW)
    for url in urls:
        answer = await fetch(url, "GET", "/a/suspended?block=true", EVENTS)
        assert (answer.status, answer.body[:12]) == (200, b"retry: 3000\n")
        plain = await get(url, journal="a/suspended")
        assert (plain.status, plain.headers["x-gazette-status"]) == (500, "SUSPENDED")


async def test_events_of_a_missing_journal_are_not_tried_again(urls: list[str]) -> None:
    answer = await fetch(urls[0], "GET", "/a/missing?block=true", EVENTS)
    assert (answer.status, answer.headers["x-gazette-status"]) == (404, "JOURNAL_NOT_FOUND")
    answer = await fetch(urls[0], "GET", f"/{JOURNAL}", EVENTS)
    assert (answer.status, b"add block=true" in answer.body) == (406, True)


# Ends.


@pytest.fixture
async def leaving() -> AsyncIterator[tuple[InProcessCluster, list[str]]]:
    """Two brokers, of which the first may be stopped."""
    loop = asyncio.get_running_loop()
    cluster = InProcessCluster(brokers=2)
    await loop.run_in_executor(None, cluster.__enter__)
    try:
        await loop.run_in_executor(
            None, lambda: cluster.create(JOURNAL, replication=2, labels=LINES)
        )
        yield cluster, list(cluster.http)
    finally:
        await loop.run_in_executor(None, cluster.__exit__)


async def test_tails_end_when_the_broker_stops(
    leaving: tuple[InProcessCluster, list[str]],
) -> None:
    cluster, urls = leaving
    await put(urls[0], b"one\n")
    async with (
        request(urls[0], "GET", f"/{JOURNAL}?block=true") as tail,
        request(urls[0], "GET", f"/{JOURNAL}?block=true", EVENTS) as events,
        request(urls[0], "POST", "/v1/journals/list", {"Content-Length": "14"}) as watch,
    ):
        await tail.send_body()
        await events.send_body()
        await watch.send_body(b'{"watch":true}')
        await tail.until(b"one\n")
        await events.until(b"one\n")
        await watch.until(b'"result"')
        await asyncio.to_thread(cluster.stop_broker, 0)
        assert (await tail.finish()).trailers == {"x-close-error": "broker terminated RPC"}
        assert (await events.finish()).body.endswith(b"id: 4\ndata: one\n\n")
        assert (await watch.finish()).body.endswith(b"}\n")
    assert (await get(urls[1], "offset=0")).body == b"one\n"


async def test_a_body_which_is_on_its_way_is_refused_by_a_stop(
    leaving: tuple[InProcessCluster, list[str]],
) -> None:
    """Its client may take as long as it likes, and the broker does not wait."""
    cluster, urls = leaving
    async with request(urls[0], "PUT", f"/{JOURNAL}", {"Content-Length": "9"}) as slow:
        await slow.send(Data(data=b"slow"))
        stopping = asyncio.create_task(asyncio.to_thread(cluster.stop_broker, 0))
        answer = await slow.finish()
        assert (answer.status, answer.headers["x-gazette-status"]) == (503, "UNAVAILABLE")
        assert b"nothing was appended: try another one" in answer.body
        await stopping
    assert await head_of(urls[1]) == 0


async def test_events_keep_their_connection_alive(
    urls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(byte_gateway, "KEEP_ALIVE_S", 0.01)
    async with request(urls[0], "GET", f"/{JOURNAL}?block=true&offset=-1", EVENTS) as exchange:
        await exchange.send_body()
        await exchange.until(b": \n\n: \n\n")
