"""Read and ListFragments of a local replica, over the wire: each option, message by message."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from broker_in_process import InProcess, broker_in_process

from gazette_py.core.fragment_index import IndexEntry
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.protocol import convert
from gazette_py.protocol.enums import JournalFlag
from gazette_py.protocol.fragment import Fragment

JOURNAL = "a/journal"


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[InProcess]:
    async with broker_in_process(tmp_path) as started:
        yield started


def shown(message: pb.ReadResponse) -> str:
    """Return a message in short: `head` if it has the header, then what else it has."""
    parts = ["head"] if message.HasField("header") else []
    if message.status != pb.OK:
        parts.append(pb.Status.Name(message.status))
    parts.append(f"@{message.offset}")
    if message.HasField("fragment"):
        parts.append(f"[{message.fragment.begin},{message.fragment.end})")
    if message.content:
        parts.append(message.content.decode())
    else:
        parts.append(f"of {message.write_head}")
    return " ".join(parts)


async def read(broker: InProcess, **options: Any) -> list[str]:
    call = broker.stub.Read(pb.ReadRequest(journal=JOURNAL, **options), timeout=5)
    return [shown(message) async for message in call]


async def answered(broker: InProcess) -> None:
    """Make a call which waits for nothing."""
    async for _ in broker.stub.List(pb.ListRequest(), timeout=5):
        pass


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        # Nothing beyond the end: the write head, and no fragment.
        ({"offset": -1}, ["head OFFSET_NOT_YET_AVAILABLE @10 of 10"]),
        ({"offset": 10}, ["head OFFSET_NOT_YET_AVAILABLE @10 of 10"]),
        ({"offset": 99}, ["head OFFSET_NOT_YET_AVAILABLE @99 of 10"]),
        ({"offset": -1, "metadata_only": True}, ["head OFFSET_NOT_YET_AVAILABLE @10 of 10"]),
        # To the end: metadata before the content of each fragment, the header once.
        (
            {"offset": 2},
            [
                "head @2 [0,6) of 10",
                "@2 obar",
                "@6 [6,10) of 10",
                "@6 quux",
                "OFFSET_NOT_YET_AVAILABLE @10 of 10",
            ],
        ),
        ({"offset": 2, "metadata_only": True}, ["head @2 [0,6) of 10"]),
        ({"offset": 2, "metadata_only": True, "block": True}, ["head @2 [0,6) of 10"]),
        # Local content is sent, whether or not stored content would be.
        ({"offset": 2, "do_not_proxy": True, "end_offset": 4}, ["head @2 [0,6) of 10", "@2 ob"]),
        # It stops exactly at the end offset.
        ({"offset": 0, "end_offset": 6}, ["head @0 [0,6) of 10", "@0 foobar"]),
        (
            {"offset": 0, "end_offset": 7, "block": True},
            ["head @0 [0,6) of 10", "@0 foobar", "@6 [6,10) of 10", "@6 q"],
        ),
        ({"offset": 6, "end_offset": 6}, ["head @6 [6,10) of 10"]),
        # What is not stored yet is never too old.
        (
            {"offset": 6, "begin_mod_time": 1 << 40, "end_offset": 10},
            ["head @6 [6,10) of 10", "@6 quux"],
        ),
    ],
)
async def test_options(broker: InProcess, options: dict[str, Any], expected: list[str]) -> None:
    replica = await broker.serve(JOURNAL)
    broker.commit(replica, 0, b"foobar")
    broker.commit(replica, 6, b"quux")
    assert await read(broker, **options) == expected


async def test_only_new_bytes_of_a_fragment_which_grew_are_sent(broker: InProcess) -> None:
    replica = await broker.serve(JOURNAL)
    broker.commit(replica, 0, b"foo")
    request = pb.ReadRequest(journal=JOURNAL, block=True, end_offset=6)
    call = broker.stub.Read(request, timeout=5)
    seen = [shown(await call.read()), shown(await call.read())]
    broker.commit(replica, 0, b"foobar")
    seen += [shown(await call.read()), shown(await call.read())]
    assert seen == ["head @0 [0,3) of 3", "@0 foo", "@3 [0,6) of 6", "@3 bar"]
    assert await call.read() is grpc.aio.EOF


async def test_content_is_sent_in_chunks(broker: InProcess) -> None:
    replica = await broker.serve(JOURNAL)
    broker.commit(replica, 0, bytes(300_000))
    request = pb.ReadRequest(journal=JOURNAL, end_offset=300_000)
    messages = [message async for message in broker.stub.Read(request)]
    assert [len(m.content) for m in messages] == [0, 131_072, 131_072, 37_856]
    assert [m.offset for m in messages] == [0, 0, 131_072, 262_144]


def stored(begin: int, end: int, mod_time: int) -> IndexEntry:
    return IndexEntry(
        Fragment(
            journal=JOURNAL,
            begin=begin,
            end=end,
            sum=hashlib.sha1(b"").digest(),
            mod_time=mod_time,
            backing_store="memory://store/",
        )
    )


class TestStored:
    @pytest.fixture
    async def stored(self, broker: InProcess) -> InProcess:
        replica = await broker.serve(JOURNAL)
        replica.replace_remote([stored(100, 200, 10), stored(200, 300, 20), stored(400, 500, 30)])
        return broker

    async def test_a_read_which_must_not_proxy_is_given_the_place(self, stored: InProcess) -> None:
        request = pb.ReadRequest(journal=JOURNAL, offset=150, do_not_proxy=True)
        (message,) = [m async for m in stored.stub.Read(request)]
        assert shown(message) == "head @150 [100,200) of 500"
        assert message.fragment_url.startswith("memory://store/a/journal/")

    async def test_jumps_and_skips(self, stored: InProcess) -> None:
        for options, expected in (
            # Over what is missing before all there is, and over an old gap.
            ({"offset": 0}, "head @100 [100,200) of 500"),
            ({"offset": 350}, "head @400 [400,500) of 500"),
            # Over what was stored too early.
            ({"offset": 0, "begin_mod_time": 20}, "head @200 [200,300) of 500"),
            ({"offset": 0, "begin_mod_time": 21}, "head @400 [400,500) of 500"),
            (
                {"offset": 0, "begin_mod_time": 31},
                "head OFFSET_NOT_YET_AVAILABLE @500 of 500",
            ),
        ):
            assert await read(stored, metadata_only=True, **options) == [expected]

    async def test_pages_of_fragments(self, stored: InProcess) -> None:
        async def page(**options: Any) -> tuple[list[int], int]:
            response = await stored.stub.ListFragments(
                pb.FragmentsRequest(journal=f"{JOURNAL};meta", **options)
            )
            assert response.header.route.primary == 0
            return [f.spec.begin for f in response.fragments], response.next_page_token

        assert await page() == ([100, 200, 400], 0)
        assert await page(page_limit=2) == ([100, 200], 400)
        assert await page(page_limit=2, next_page_token=400) == ([400], 0)
        assert await page(next_page_token=101) == ([200, 400], 0)
        assert await page(begin_mod_time=20) == ([200, 400], 0)
        assert await page(end_mod_time=20) == ([100, 200], 0)
        assert await page(begin_mod_time=20, end_mod_time=20) == ([200], 0)
        # A token is of what was not looked at, whether or not it will match.
        assert await page(end_mod_time=10, page_limit=1) == ([100], 200)

    async def test_urls_are_signed_for_who_asks(self, stored: InProcess) -> None:
        request = pb.FragmentsRequest(journal=JOURNAL, page_limit=1)
        plain = await stored.stub.ListFragments(request)
        assert plain.fragments[0].signed_url == ""
        request.signatureTTL.FromSeconds(60)
        signed = await stored.stub.ListFragments(request)
        assert signed.fragments[0].signed_url.startswith("memory://store/a/journal/")


async def test_fragments_which_are_not_stored_have_no_time(broker: InProcess) -> None:
    replica = await broker.serve(JOURNAL)
    broker.commit(replica, 0, b"foobar")
    request = pb.FragmentsRequest(journal=JOURNAL, begin_mod_time=5)
    request.signatureTTL.FromSeconds(60)
    response = await broker.stub.ListFragments(request)
    (fragment,) = response.fragments
    assert convert.fragment_from_pb(fragment.spec).end == 6
    assert fragment.signed_url == ""
    request.end_mod_time = 1 << 40
    assert not (await broker.stub.ListFragments(request)).fragments


async def test_a_listing_of_a_replica_which_ends_is_answered_by_who_serves_then(
    broker: InProcess,
) -> None:
    """The stores were not listed yet: an empty page would be a lie."""
    await broker.serve(JOURNAL)
    listing = asyncio.ensure_future(
        broker.stub.ListFragments(pb.FragmentsRequest(journal=JOURNAL), timeout=5)
    )
    await answered(broker)  # The call before it has begun by now.
    await broker.delete(JOURNAL)
    assert (await listing).status == pb.JOURNAL_NOT_FOUND


async def test_a_blocked_read_of_a_journal_which_is_deleted_ends_cleanly(
    broker: InProcess,
) -> None:
    await broker.serve(JOURNAL)
    call = broker.stub.Read(pb.ReadRequest(journal=JOURNAL, block=True), timeout=5)
    reading = asyncio.ensure_future(call.read())
    await answered(broker)
    await broker.delete(JOURNAL)
    first = await reading
    assert first is grpc.aio.EOF or first.status == pb.JOURNAL_NOT_FOUND
    assert await call.code() is grpc.StatusCode.OK


async def test_a_journal_which_is_only_written_is_not_read(broker: InProcess) -> None:
    await broker.serve(JOURNAL, flags=JournalFlag.O_WRONLY)
    assert await read(broker) == ["head NOT_ALLOWED @0 of 0"]
    response = await broker.stub.ListFragments(pb.FragmentsRequest(journal=JOURNAL))
    assert response.status == pb.NOT_ALLOWED


async def test_a_read_waits_for_the_revision_which_it_names(broker: InProcess) -> None:
    replica = await broker.serve(JOURNAL)
    broker.commit(replica, 0, b"foobar")
    revision = broker.mirror.read_through
    assert await read(broker, min_etcd_revision=revision, metadata_only=True) == [
        "head @0 [0,6) of 6"
    ]
    request = pb.ReadRequest(journal=JOURNAL, min_etcd_revision=1 << 62)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await broker.stub.Read(request, timeout=0.2).read()
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize("options", [{}, {"offset": -1}, {"offset": -1, "block": True}])
async def test_no_write_head_is_told_before_the_stores_were_listed(
    broker: InProcess, options: dict[str, Any]
) -> None:
    """RD4. Who joined lately knows of nothing, and would tell 0."""
    replica = await broker.serve(JOURNAL)
    request = pb.ReadRequest(journal=JOURNAL, **options)
    call = broker.stub.Read(request, timeout=5)
    reading = asyncio.ensure_future(call.read())
    await answered(broker)
    assert not reading.done()
    replica.replace_remote([stored(0, 100, 10)])
    if options.get("block"):
        await answered(broker)
        replica.replace_remote([stored(0, 100, 10), stored(100, 200, 10)])
    expected = {
        "{}": "head @0 [0,100) of 100",
        "{'offset': -1}": "head OFFSET_NOT_YET_AVAILABLE @100 of 100",
    }.get(str(options), "head @100 [100,200) of 200")
    assert shown(await reading) == expected
    call.cancel()
