"""Our HTTP gateways answer as the reference's do: statuses, headers, trailers and JSON.

Each request goes to a broker of either kind, which has a journal of the same content. What must
differ is left out of what is compared: addresses, names of brokers, times, and what is ours.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from go_programs import go_member
from http_exchange import Answer, fetch, request
from local_clusters import config, eventually, spec

from gazette_py.client import Change, Client, connect
from gazette_py.local.cluster import LocalCluster
from gazette_py.protocol.claims import of_journal
from gazette_py.protocol.labels import LabelSet

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

JOURNAL = "compared/journal"

# What we send and the reference does not, or the other way round.
NOT_COMPARED = {
    "date",
    "content-type",  # The label is ours; the reference guesses.
    "connection",
    "keep-alive",
    "content-length",  # Of texts which say what to do.
    "transfer-encoding",
    "content-security-policy",
    "x-gazette-status",
    "grpc-metadata-content-type",
}


@dataclass(frozen=True, slots=True)
class Pair:
    """URLs of a broker of either kind."""

    ours: str
    theirs: str

    async def both(
        self,
        method: str,
        target: str,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
    ) -> tuple[Answer, Answer]:
        ours, theirs = await asyncio.gather(
            fetch(self.ours, method, target, headers, body),
            fetch(self.theirs, method, target, headers, body),
        )
        return ours, theirs


@pytest.fixture
async def pair(tmp_path: Path, go_broker: str) -> AsyncIterator[Pair]:
    async with (
        LocalCluster(config(tmp_path, brokers=1, extra_flags=("--http.compat",))) as cluster,
        go_member(cluster, go_broker, "a", name="broker-0", prefix="/other") as go,
        connect(cluster.brokers[0].endpoint) as ours,
        connect(go.endpoint) as theirs,
    ):
        # Nothing is stored while we compare: when it is would differ.
        await create(ours)
        await create(theirs)
        yield Pair(cluster.brokers[0].http, go.endpoint)


async def create(client: Client) -> None:
    labels = LabelSet.of(("content-type", "text/plain"))
    wanted = spec(JOURNAL, replication=1, length=1 << 20, store="", labels=labels)
    await client.apply([Change(upsert=wanted, expect_mod_revision=0)])

    async def is_served() -> bool:
        (journal,) = (await client.list(of_journal(JOURNAL))).journals
        return journal.route.primary >= 0

    await eventually(is_served, "served")
    await client.append(JOURNAL)


def comparable(answer: Answer) -> dict[str, Any]:
    """Return what must be the same."""
    headers = {
        name: re.sub(r"http://[\w.]+:\d+", "http://broker", value)
        for name, value in answer.headers.items()
        if name not in NOT_COMPARED
    }
    if answer.status < 300:
        headers.pop("x-content-type-options", None)
    return {"status": answer.status, "headers": headers, "trailers": answer.trailers}


async def test_reads_and_appends_are_answered_alike(pair: Pair) -> None:
    steps: list[tuple[str, str, dict[str, str], bytes | None]] = [
        ("GET", f"/{JOURNAL}", {}, None),
        ("HEAD", f"/{JOURNAL}?offset=-1", {}, None),
        ("PUT", f"/{JOURNAL}", {}, b"hello\n"),
        ("PUT", f"/{JOURNAL}", {}, b""),
        ("GET", f"/{JOURNAL}", {}, None),
        ("GET", f"/{JOURNAL}?offset=2", {}, None),
        ("GET", f"/{JOURNAL}?OFFSET=1&block=F", {}, None),
        ("HEAD", f"/{JOURNAL}?offset=-1", {}, None),
        ("GET", f"/{JOURNAL}?offset=77", {}, None),
        ("PUT", f"/{JOURNAL}", {}, bytes(300_000)),
        ("GET", f"/{JOURNAL}?offset=6", {}, None),
        ("GET", "/compared/missing", {}, None),
        ("HEAD", "/compared/missing", {}, None),
        ("PUT", "/compared/missing", {}, b"x"),
        *(
            (method, target, {}, None)
            for method, target in (
                ("GET", f"/{JOURNAL}?offset=x"),
                ("GET", f"/{JOURNAL}?offset=-2"),
                ("GET", f"/{JOURNAL}?block=x"),
                ("GET", f"/{JOURNAL}?other=1"),
                ("GET", f"/{JOURNAL}?="),
                ("GET", f"/{JOURNAL}?offset=%zz"),
                ("GET", f"/{JOURNAL}?offset=1;block=true"),
                ("PUT", f"/{JOURNAL}?offset=1"),
                ("GET", "/"),
                ("GET", f"/{JOURNAL}/"),
                ("GET", "/a%20b"),
                ("GET", "/a//b"),
                ("GET", "/a/../b?x=1"),
                ("GET", "/v1"),
                ("DELETE", f"/{JOURNAL}"),
            )
        ),
    ]
    for step in steps:
        ours, theirs = await pair.both(*step)
        assert comparable(ours) == comparable(theirs), step[:2]
        if ours.status < 300:
            assert ours.body == theirs.body, step[:2]


async def test_a_tail_gets_the_same(pair: Pair) -> None:
    found = []
    for url in (pair.ours, pair.theirs):
        async with request(url, "GET", f"/{JOURNAL}?block=true") as tail:
            await tail.send_body()
            await fetch(url, "PUT", f"/{JOURNAL}", {}, b"one")
            await tail.until(b"one")
            await fetch(url, "PUT", f"/{JOURNAL}", {}, b"two")
            await tail.until(b"onetwo")
            found.append(comparable(tail.answer))
    assert found[0] == found[1]


async def test_json_is_the_same(pair: Pair) -> None:
    await pair.both("PUT", f"/{JOURNAL}", {}, b"hello\n")
    selector = {"include": {"labels": [{"name": "name", "value": JOURNAL}]}}
    calls: list[tuple[str, object]] = [
        ("list", {}),
        ("list", {"selector": selector, "unknown": 1}),
        ("list", {"selector": {"exclude": selector["include"]}}),
        ("list", {"selector": {"include": {"labels": [{"name": "bad name"}]}}}),
        ("read", {"journal": JOURNAL}),
        ("read", {"journal": JOURNAL, "metadata_only": True, "offset": "2"}),
        ("read", {"journal": JOURNAL, "metadataOnly": True, "offset": -1}),
        ("read", {"journal": "compared/missing"}),
        ("read", {"journal": ""}),
        ("else", {}),
    ]
    for method, message in calls:
        body = json.dumps(message).encode()
        ours, theirs = await pair.both("POST", f"/v1/journals/{method}", {}, body)
        assert ours.status == theirs.status, message
        assert without_places(ours.body) == without_places(theirs.body), message
    for method, target in (("GET", "/v1/journals/list"), ("OPTIONS", "/v1/journals/list")):
        ours, theirs = await pair.both(method, target)
        assert (ours.status, ours.body) == (theirs.status, theirs.body)


def without_places(body: bytes) -> str:
    """Return JSON without what differs between clusters, to the letter otherwise."""
    text = re.sub(r"http://[\w.]+:\d+", "http://broker", body.decode())
    numbers = r'"(clusterId|memberId|revision|raftTerm|modRevision|createRevision)":"\d+"'
    return re.sub(numbers, r'"\1":"0"', text)
