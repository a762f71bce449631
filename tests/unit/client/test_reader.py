"""Readers of a real broker in this process, whose store is a directory."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from broker_harness import until
from broker_in_process import InProcess, broker_in_process
from stored_journals import JOURNAL, StoredJournal, stored_journal

from gazette_py.client import Client, Reader, Source, connect
from gazette_py.clock import SystemClock
from gazette_py.errors import (
    CorruptFragmentError,
    JournalNotFoundError,
    OffsetJumpError,
    OffsetNotYetAvailableError,
    ReadError,
    StoreMissingError,
    StoreUnavailableError,
)
from gazette_py.protocol.enums import CompressionCodec
from gazette_py.stores.base import ObjectStream

CONTENT = b"".join(b'{"n": %d}\n' % n for n in range(5000))
LONG_AGO_S = 7 * 3600


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[InProcess]:
    (tmp_path / "store").mkdir()
    async with broker_in_process(tmp_path / "spools", str(tmp_path / "store")) as started:
        yield started


@pytest.fixture
async def journal(broker: InProcess, tmp_path: Path) -> StoredJournal:
    return await stored_journal(broker, "file:///", tmp_path / "store")


@pytest.fixture
async def client(broker: InProcess, tmp_path: Path) -> AsyncIterator[Client]:
    async with connect(
        broker.endpoint, file_root=str(tmp_path / "store"), timeout_s=5
    ) as connected:
        yield connected


@asynccontextmanager
async def reading(client: Client, **options: Any) -> AsyncIterator[Reader]:
    async with asyncio.timeout(10), client.reader(JOURNAL, **options) as reader:
        yield reader


class SetClock(SystemClock):
    ahead_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead_s


async def rest_of(reader: Reader) -> bytes:
    """Read to the end. Batches must follow each other."""
    read = []
    begin = reader.offset
    async for batch in reader.batches():
        assert batch.begin == begin
        assert batch.end == reader.offset
        begin = batch.end
        read.append(bytes(batch))
    return b"".join(read)


class TestSources:
    @pytest.mark.parametrize(
        "codec",
        [
            CompressionCodec.NONE,
            CompressionCodec.GZIP,
            CompressionCodec.ZSTANDARD,
            CompressionCodec.SNAPPY,
        ],
    )
    async def test_history_comes_from_the_store_and_the_tail_from_the_broker(
        self, journal: StoredJournal, client: Client, codec: CompressionCodec
    ) -> None:
        await journal.put_all(CONTENT, 4000, codec)
        await journal.refresh()
        journal.append(len(CONTENT), b"tail")
        async with reading(client) as reader:
            sources = set()
            read = b""
            async for batch in reader.batches():
                read += bytes(batch)
                sources.add(batch.fragment is not None and bool(batch.fragment.backing_store))
            assert read == CONTENT + b"tail"
            assert sources == {True, False}
            assert reader.health().write_head == len(read)
            assert reader.health().lag_bytes == 0
            assert reader.health().last_error is None

    async def test_a_read_begins_and_ends_within_fragments(
        self, journal: StoredJournal, client: Client
    ) -> None:
        await journal.put_all(CONTENT, 4000)
        await journal.refresh()
        async with reading(client, offset=4321, end_offset=43210) as reader:
            assert await rest_of(reader) == CONTENT[4321:43210]
        assert await client.read_all(JOURNAL, 10, 20) == CONTENT[10:20]

    async def test_files_which_overlap_are_read_once(
        self, journal: StoredJournal, client: Client
    ) -> None:
        for begin, end in ((0, 3000), (1000, 5000), (2000, 4000), (4500, len(CONTENT))):
            await journal.put(begin, CONTENT[begin:end])
        await journal.refresh()
        async with reading(client) as reader:
            assert await rest_of(reader) == CONTENT

    async def test_a_gap_of_the_listing_is_asked_of_the_broker(
        self, journal: StoredJournal, client: Client
    ) -> None:
        """Its content is in a spool still, though what follows is stored."""
        await journal.put(0, CONTENT[:1000])
        await journal.put(2000, CONTENT[2000:])
        await journal.refresh()
        journal.append(1000, CONTENT[1000:2000])
        async with reading(client) as reader:
            assert await rest_of(reader) == CONTENT

    async def test_a_reader_who_waits_at_the_head_is_given_what_is_stored_and_what_is_not(
        self, journal: StoredJournal, client: Client
    ) -> None:
        journal.append(0, CONTENT[:100])
        async with reading(client, block=True) as reader:
            first = await reader.next_batch()
            assert first is not None
            assert bytes(first) == CONTENT[:100]
            waiting = asyncio.ensure_future(reader.next_batch())
            # Stored before the broker tells of it: the reader is sent to the store.
            await journal.put(0, CONTENT[:1000])
            await journal.put(1000, CONTENT[1000:2000])
            await journal.refresh()
            second = await waiting
            while second is not None and second.end < 2000:
                more = await reader.next_batch()
                assert more is not None
                assert more.begin == second.end
                assert bytes(more) == CONTENT[more.begin : more.end]
                second = more
            journal.append(2000, b"live")
            live = await reader.next_batch()
            assert live is not None
            assert bytes(live) == b"live"
            assert reader.health().source is Source.BROKER

    async def test_a_client_without_routes_has_brokers_read_the_store(
        self, broker: InProcess, journal: StoredJournal
    ) -> None:
        await journal.put_all(CONTENT, 10_000)
        await journal.refresh()
        async with (
            connect(broker.endpoint, cache_size=0, timeout_s=5) as proxied,
            reading(proxied) as reader,
        ):
            assert await rest_of(reader) == CONTENT

    async def test_a_store_out_of_reach_is_read_through_the_broker_and_health_says_so(
        self, broker: InProcess, journal: StoredJournal, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The client has no file root."""
        await journal.put_all(CONTENT, 10_000)
        await journal.refresh()
        async with connect(broker.endpoint, timeout_s=5) as blind, reading(blind) as reader:
            assert await rest_of(reader) == CONTENT
            health = reader.health()
        assert "no file root is set" in str(health.last_error)
        assert health.endpoint == broker.endpoint
        assert health.failing_s == 0
        assert len([r for r in caplog.records if r.message.startswith("asking_a_broker")]) == 1

    async def test_without_a_listing_files_are_fetched_one_by_one(
        self, journal: StoredJournal, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await journal.put_all(CONTENT, 10_000)
        await journal.refresh()

        async def refuse(*_: object) -> None:
            raise JournalNotFoundError(JOURNAL, "JOURNAL_NOT_FOUND")

        monkeypatch.setattr(client, "_fragments_page", refuse)
        async with reading(client) as reader:
            assert await rest_of(reader) == CONTENT

    async def test_only_what_is_missing_is_asked_of_the_broker(
        self, journal: StoredJournal, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fragments = await journal.put_all(CONTENT, 10_000)
        await journal.refresh()
        open_url, opened = client._fetcher.open, []

        async def open_most(url: str) -> Any:
            opened.append(int(url.rpartition("/")[2][:16], 16))
            if opened[-1] == 20_000:
                raise StoreMissingError("file:///", "fetch", url, "gone for a moment")
            return await open_url(url)

        monkeypatch.setattr(client._fetcher, "open", open_most)
        async with reading(client) as reader:
            assert await rest_of(reader) == CONTENT
        assert set(opened) == {fragment.begin for fragment in fragments}
        assert max(opened) > 20_000

    async def test_urls_are_not_used_until_they_expire(
        self, broker: InProcess, journal: StoredJournal, tmp_path: Path
    ) -> None:
        """A reader who is slow lists again."""
        await journal.put_all(CONTENT, 1000)
        await journal.refresh()
        clock = SetClock()
        async with connect(
            broker.endpoint, file_root=str(tmp_path / "store"), clock=clock
        ) as client:
            page, listings = client._fragments_page, []

            async def noted(request: Any) -> Any:
                listings.append(request.next_page_token)
                return await page(request)

            client._fragments_page = noted  # type: ignore[method-assign]
            async with reading(client, read_ahead_bytes=1) as reader:
                assert await reader.next_batch() is not None
                assert listings == [0]
                clock.ahead_s = 1000
                await rest_of(reader)
        assert listings == [0, 1000]


class TestRestsFromBrokers:
    """Of a file whose stream breaks for good, the rest comes from a broker, and is summed, too."""

    LONG = CONTENT * 60

    @pytest.fixture
    def broken(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
        """Chunks which the store gives of every file before its stream breaks."""
        chunks: list[bytes] = []

        async def give() -> AsyncIterator[bytes]:
            for chunk in chunks:
                yield chunk
            raise StoreUnavailableError("file:///", "fetch", "", "connection reset")

        async def open_broken(_url: str) -> ObjectStream:
            return ObjectStream("", give())  # type: ignore[arg-type]  # It has all of it.

        monkeypatch.setattr(client._fetcher, "open", open_broken)
        return chunks

    @pytest.mark.parametrize("offset", [0, 5, (1 << 20) + 5])
    async def test_both_are_joined(
        self, journal: StoredJournal, client: Client, broken: list[bytes], offset: int
    ) -> None:
        await journal.put(0, self.LONG)
        await journal.refresh()
        broken += [self.LONG[: 1 << 20], self.LONG[1 << 20 : 2 << 20]]
        async with reading(client, offset=offset) as reader:
            assert await rest_of(reader) == self.LONG[offset:]
            assert isinstance(reader.health().last_error, StoreUnavailableError)

    async def test_a_damage_of_the_first_part_is_found_before_the_end(
        self, journal: StoredJournal, client: Client, broken: list[bytes]
    ) -> None:
        fragment = await journal.put(0, self.LONG)
        await journal.refresh()
        broken += [b"?" + self.LONG[1 : 1 << 20], self.LONG[1 << 20 : 2 << 20]]
        async with reading(client) as reader:
            with pytest.raises(CorruptFragmentError, match="its rest was read by a broker") as bad:
                await rest_of(reader)
            assert 1 << 20 < reader.offset < fragment.end
        assert fragment.sum.hex() in bad.value.expected

    async def test_a_file_which_was_replaced_before_anything_of_it_was_read(
        self, journal: StoredJournal, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Two primaries wrote the same offsets, and an operator chose."""
        first = await journal.put(0, CONTENT)
        await journal.refresh()

        async def replace(_url: str) -> ObjectStream:
            journal.path(first).unlink()
            await journal.put(0, CONTENT[::-1])
            await journal.refresh()
            raise StoreMissingError("file:///", "fetch", "", "gone")

        monkeypatch.setattr(client._fetcher, "open", replace)
        async with reading(client) as reader:
            assert await rest_of(reader) == CONTENT[::-1]

    async def test_a_rest_which_was_jumped_over_is_not_awaited(
        self, journal: StoredJournal, client: Client, broken: list[bytes]
    ) -> None:
        fragment = await journal.put(0, self.LONG)
        await journal.put(fragment.end, CONTENT)
        await journal.refresh(older_s=LONG_AGO_S)
        broken += [self.LONG[: 1 << 20], self.LONG[1 << 20 : 2 << 20]]
        async with reading(client, read_ahead_bytes=1) as reader:
            assert await reader.next_batch() is not None
            journal.path(fragment).unlink()
            await journal.refresh(older_s=LONG_AGO_S)
            with pytest.raises(OffsetJumpError):
                await rest_of(reader)
            assert await rest_of(reader) == CONTENT


class TestJumps:
    async def test_a_jump_is_told_and_reading_goes_on_behind_it(
        self, journal: StoredJournal, client: Client
    ) -> None:
        await journal.put(0, CONTENT[:1000])
        await journal.put(3000, CONTENT[3000:])
        await journal.refresh(older_s=LONG_AGO_S)
        async with reading(client) as reader:
            batches = reader.batches()
            first = await anext(batches)
            assert bytes(first) == CONTENT[:1000]
            with pytest.raises(OffsetJumpError) as caught:
                await anext(batches)
            assert (caught.value.offset, caught.value.to) == (1000, 3000)
            assert reader.offset == 3000
            assert b"".join([bytes(batch) async for batch in batches]) == CONTENT[3000:]

    async def test_files_which_are_removed_while_they_are_read_are_a_jump(
        self, journal: StoredJournal, client: Client
    ) -> None:
        fragments = await journal.put_all(CONTENT, 10_000)
        await journal.refresh(older_s=LONG_AGO_S)
        async with reading(client, read_ahead_bytes=1) as reader:
            first = await reader.next_batch(1000)
            assert first is not None
            for fragment in fragments[:3]:
                journal.path(fragment).unlink()
            await journal.refresh(older_s=LONG_AGO_S)
            with pytest.raises(OffsetJumpError) as caught:
                await rest_of(reader)
            assert 1000 <= caught.value.offset < 30_000
            assert caught.value.to == 30_000
            assert await rest_of(reader) == CONTENT[30_000:]

    async def test_a_read_by_time_skips_what_was_stored_before(
        self, journal: StoredJournal, client: Client
    ) -> None:
        await journal.put(0, CONTENT[:1000])
        await journal.refresh(older_s=1000)
        (old,) = journal.replica.index.list_page(0, 0, 0, 10)[0]
        await journal.put(1000, CONTENT[1000:])
        await journal.refresh()
        _, new = journal.replica.index.list_page(0, 0, 0, 10)[0]
        journal.replica.replace_remote([old, new])
        since = old.fragment.mod_time + 1
        async with reading(client, begin_mod_time=since) as reader:
            with pytest.raises(OffsetJumpError) as caught:
                await reader.next_batch()
            assert (caught.value.offset, caught.value.to) == (0, 1000)
            assert await rest_of(reader) == CONTENT[1000:]

    async def test_a_read_by_time_after_all_there_is_jumps_to_the_head(
        self, journal: StoredJournal, client: Client
    ) -> None:
        await journal.put(0, CONTENT)
        await journal.refresh(older_s=1000)
        since = journal.replica.index.summary().mod_time + 1
        async with reading(client, begin_mod_time=since) as reader:
            with pytest.raises(OffsetJumpError):
                await reader.next_batch()
            assert await reader.next_batch() is None
            assert reader.offset == len(CONTENT)


class TestWriteHead:
    async def test_a_read_from_the_head_begins_where_it_was_first_told(
        self, journal: StoredJournal, client: Client
    ) -> None:
        """What is appended while its call is broken is not passed over."""
        journal.append(0, b"before")
        await journal.refresh()
        async with reading(client, offset=-1, block=True) as reader:
            waiting = asyncio.ensure_future(reader.next_batch())
            await until(lambda: reader.offset == 6, "told")
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            journal.append(0, b"before-and-after")
            batch = await reader.next_batch()
            assert batch is not None
            assert (batch.begin, bytes(batch)) == (6, b"-and-after")

    async def test_a_read_from_the_head_which_does_not_wait_has_no_content(
        self, journal: StoredJournal, client: Client
    ) -> None:
        journal.append(0, b"before")
        await journal.refresh()
        async with reading(client, offset=-1) as reader:
            assert reader.health().lag_bytes is None
            assert await reader.next_batch() is None
            assert reader.offset == reader.write_head == 6
        assert await client.write_head(JOURNAL) == 6

    async def test_the_head_is_not_told_before_the_store_was_listed(
        self, journal: StoredJournal, client: Client
    ) -> None:
        """A broker which has just begun to serve knows of nothing: 0 would be wrong."""
        await journal.put(0, CONTENT)
        assert not journal.replica.index.is_refreshed
        asking = asyncio.ensure_future(client.write_head(JOURNAL))
        reader = client.reader(JOURNAL)
        ending = asyncio.ensure_future(rest_of(reader))
        await until(lambda: reader.health().endpoint, "asked")
        await client.list()  # The calls before it have arrived by now.
        assert not asking.done()
        assert not ending.done()
        await journal.refresh()
        assert await asking == len(CONTENT)
        assert await ending == CONTENT

    async def test_an_end_beyond_the_head_is_an_error(
        self, journal: StoredJournal, client: Client
    ) -> None:
        journal.append(0, b"content")
        await journal.refresh()
        async with reading(client, end_offset=100) as reader:
            assert await reader.next_batch() is not None
            with pytest.raises(OffsetNotYetAvailableError):
                await reader.next_batch()


class TestLines:
    async def test_lines_are_whole_and_have_their_offsets(
        self, journal: StoredJournal, client: Client
    ) -> None:
        await journal.put_all(CONTENT, 3333)
        await journal.refresh()
        async with reading(client) as reader:
            found = []
            async for batch in reader.lines(bytes_max=1000):
                assert not batch.is_cut
                for line, offset in zip(batch.lines, batch.offsets(), strict=True):
                    assert CONTENT[offset : offset + len(line) + 1] == line + b"\n"
                    found.append(json.loads(line)["n"])
            assert found == list(range(5000))

    async def test_a_line_which_the_end_cuts_is_told(
        self, journal: StoredJournal, client: Client
    ) -> None:
        journal.append(0, b"one\ntwo\nthr")
        await journal.refresh()
        async with reading(client) as reader:
            whole, cut = [batch async for batch in reader.lines()]
        assert (whole.begin, whole.end, whole.lines) == (0, 8, [b"one", b"two"])
        assert (cut.begin, cut.end, cut.lines, cut.is_cut) == (8, 11, [b"thr"], True)

    async def test_a_line_which_a_jump_cuts_is_told_and_not_joined(
        self, journal: StoredJournal, client: Client
    ) -> None:
        await journal.put(0, b"one\ntw")
        await journal.put(100, b"five\n")
        await journal.refresh(older_s=LONG_AGO_S)
        async with reading(client) as reader:
            lines = reader.lines()
            assert (await anext(lines)).lines == [b"one"]
            cut = await anext(lines)
            assert (cut.lines, cut.is_cut) == ([b"tw"], True)
            with pytest.raises(OffsetJumpError):
                await anext(lines)
            after = await anext(lines)
            assert (after.begin, after.lines, after.is_cut) == (100, [b"five"], False)

    async def test_empty_lines_are_lines(self, journal: StoredJournal, client: Client) -> None:
        journal.append(0, b"\n\na\n\n")
        await journal.refresh()
        async with reading(client) as reader:
            (batch,) = [batch async for batch in reader.lines()]
        assert batch.lines == [b"", b"", b"a", b""]
        assert batch.offsets() == [0, 1, 2, 4]

    async def test_what_is_no_line_is_an_error(
        self, journal: StoredJournal, client: Client
    ) -> None:
        journal.append(0, bytes(100))
        await journal.refresh()
        async with reading(client) as reader:
            with pytest.raises(ReadError, match="longer than 99 bytes, up to offset 100"):
                await anext(reader.lines(line_bytes_max=99))


async def test_a_client_which_is_closed_ends_reads_which_wait_for_the_store(
    broker: InProcess, journal: StoredJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    await journal.put_all(CONTENT, 10_000)
    await journal.refresh()
    client = connect(broker.endpoint)
    is_opening = asyncio.Event()

    async def hang(_url: str) -> Any:
        is_opening.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(client._fetcher, "open", hang)
    waiting = asyncio.ensure_future(client.reader(JOURNAL).next_batch())
    await is_opening.wait()
    await client.close()
    assert await waiting is None


async def test_readers_which_were_left_end_with_their_client(
    broker: InProcess, journal: StoredJournal, tmp_path: Path
) -> None:
    await journal.put_all(CONTENT, 10_000)
    await journal.refresh()
    async with connect(broker.endpoint, file_root=str(tmp_path / "store")) as client:
        reader = client.reader(JOURNAL, read_ahead_bytes=1)
        assert await reader.next_batch(100) is not None
    assert await reader.next_batch() is None
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("fetch")]
