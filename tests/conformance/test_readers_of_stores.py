"""What readers make of the files of a store: good, bad, missing and foreign ones.

Each test runs against a directory and against a real S3 server, whose files are fetched by signed
URL. A file which is not what its name says is a named error, and never a short read.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from broker_in_process import InProcess, broker_in_process
from stored_journals import JOURNAL, StoredJournal, stored_journal
from versitygw_server import S3Server

from gazette_py.client import Client, Source, connect
from gazette_py.core.fragment_index import IndexEntry
from gazette_py.errors import (
    CorruptFragmentError,
    GazetteError,
    StoreDeniedError,
    StoreMissingError,
)
from gazette_py.protocol.enums import CompressionCodec

CONTENT = hashlib.shake_128(b"content").digest(200_000)
LENGTH = 40_000


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[InProcess]:
    async with broker_in_process(tmp_path / "spools", str(tmp_path)) as started:
        yield started


@pytest.fixture(params=["file", "s3"])
async def journal(
    request: pytest.FixtureRequest, broker: InProcess, tmp_path: Path
) -> StoredJournal:
    if request.param == "file":
        (tmp_path / "store").mkdir()
        return await stored_journal(broker, "file:///store/", tmp_path / "store")
    server: S3Server = request.getfixturevalue("s3")
    directory = tmp_path / "s3" / "objects" / server.bucket / "store"
    return await stored_journal(broker, server.url("store/"), directory)


@pytest.fixture
async def client(broker: InProcess, tmp_path: Path) -> AsyncIterator[Client]:
    async with connect(broker.endpoint, file_root=str(tmp_path), timeout_s=1) as connected:
        yield connected


async def read(client: Client, **options: Any) -> tuple[bytes, GazetteError | None]:
    """Read as far as it goes, and return the error which ended it."""
    content = b""
    async with asyncio.timeout(20), client.reader(JOURNAL, **options) as reader:
        try:
            async for batch in reader.batches(bytes_max=1000):
                content += bytes(batch)
        except GazetteError as exc:
            assert reader.offset == options.get("offset", 0) + len(content)
            return content, exc
    return content, None


@pytest.mark.parametrize(
    "codec",
    [
        CompressionCodec.NONE,
        CompressionCodec.GZIP,
        CompressionCodec.ZSTANDARD,
        CompressionCodec.SNAPPY,
    ],
)
async def test_content_of_every_codec(
    journal: StoredJournal, client: Client, codec: CompressionCodec
) -> None:
    await journal.put_all(CONTENT, LENGTH, codec)
    await journal.refresh()
    assert await read(client) == (CONTENT, None)


def flip(packed: bytes) -> bytes:
    return packed[:10_000] + bytes([packed[10_000] ^ 1]) + packed[10_001:]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "flipped": flip,
    "truncated": lambda packed: packed[:-1],
    "emptied": lambda packed: b"",
    "longer": lambda packed: packed + b"more",
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("codec", [CompressionCodec.NONE, CompressionCodec.ZSTANDARD])
async def test_a_damaged_file_is_named_with_both_sums(
    journal: StoredJournal, client: Client, damage: str, codec: CompressionCodec
) -> None:
    fragments = await journal.put_all(CONTENT, LENGTH, codec)
    await journal.refresh()
    bad = fragments[2]
    path = journal.path(bad)
    path.chmod(0o640)
    path.write_bytes(DAMAGES[damage](path.read_bytes()))

    content, error = await read(client)
    assert isinstance(error, CorruptFragmentError)
    assert path.name in error.fragment
    assert error.expected == f"40000 bytes with SHA-1 {bad.sum.hex()}"
    assert "bytes with SHA-1" in error.actual
    # All before it was handed out, and it was not handed out to its end.
    assert content == CONTENT[: len(content)]
    assert bad.begin <= len(content) < bad.end
    # What lies behind can be read all the same.
    assert await read(client, offset=bad.end) == (CONTENT[bad.end :], None)


@pytest.mark.parametrize(
    ("named", "written"),
    [
        (CompressionCodec.GZIP, CompressionCodec.NONE),
        (CompressionCodec.GZIP, CompressionCodec.ZSTANDARD),
        (CompressionCodec.ZSTANDARD, CompressionCodec.GZIP),
        (CompressionCodec.SNAPPY, CompressionCodec.NONE),
        (CompressionCodec.NONE, CompressionCodec.GZIP),
    ],
)
async def test_an_extension_of_another_codec(
    journal: StoredJournal, client: Client, named: CompressionCodec, written: CompressionCodec
) -> None:
    bad = await journal.put(0, CONTENT, named, written_as=written)
    await journal.refresh()
    content, error = await read(client)
    assert isinstance(error, CorruptFragmentError)
    assert journal.path(bad).name in error.fragment
    assert content == CONTENT[: len(content)]


async def test_a_name_which_tells_more_than_the_file_holds(
    journal: StoredJournal, client: Client
) -> None:
    fragment = await journal.put(0, CONTENT[:1000])
    path = journal.path(fragment)
    path.rename(path.with_name(f"{0:016x}-{2000:016x}-{fragment.sum.hex()}.raw"))
    await journal.refresh()
    content, error = await read(client)
    assert isinstance(error, CorruptFragmentError)
    assert error.expected.startswith("2000 bytes")
    assert content == b""


async def test_a_missing_file_is_an_error_until_the_broker_knows(
    journal: StoredJournal, client: Client
) -> None:
    fragments = await journal.put_all(CONTENT, LENGTH)
    await journal.refresh()
    gone = fragments[3]
    journal.path(gone).unlink()
    content, error = await read(client)
    assert content == CONTENT[: gone.begin]
    assert isinstance(error, StoreMissingError)
    assert journal.path(gone).name in str(error)
    assert await read(client, offset=gone.end) == (CONTENT[gone.end :], None)


async def test_foreign_files_are_passed_over(journal: StoredJournal, client: Client) -> None:
    await journal.put_all(CONTENT, LENGTH)
    directory = journal.directory / JOURNAL
    (directory / "README.txt").write_text("not a fragment")
    (directory / f"{LENGTH:016x}-{2 * LENGTH:016x}-00ff.raw").write_bytes(b"short sum")
    (directory / f"{0:016x}-{10:016x}-{'0' * 40}.tar").write_bytes(b"no codec")
    (directory / f"{10:016x}-{0:016x}-{'0' * 40}.raw").write_bytes(b"ends before it begins")
    await journal.refresh()
    assert await read(client) == (CONTENT, None)


async def test_files_which_overlap_give_each_byte_once(
    journal: StoredJournal, client: Client
) -> None:
    for begin, end in ((0, 90_000), (30_000, 120_000), (60_000, 100_000), (110_000, 200_000)):
        await journal.put(begin, CONTENT[begin:end], CompressionCodec.GZIP)
    await journal.refresh()
    assert await read(client) == (CONTENT, None)


async def test_files_which_conflict_are_no_mixture(journal: StoredJournal, client: Client) -> None:
    """Two primaries wrote the same extent: one of them is read, whole."""
    await journal.put(0, CONTENT[:LENGTH])
    await journal.put(0, CONTENT[LENGTH : 2 * LENGTH])
    await journal.refresh()
    content, error = await read(client)
    assert error is None
    assert content in (CONTENT[:LENGTH], CONTENT[LENGTH : 2 * LENGTH])


async def test_a_store_which_is_gone(journal: StoredJournal, client: Client) -> None:
    await journal.put_all(CONTENT, LENGTH)
    await journal.refresh()
    journal.directory.rename(journal.directory.with_name("away"))
    content, error = await read(client)
    assert content == b""
    assert isinstance(error, StoreMissingError | StoreDeniedError)


class TestPermissions:
    """Of S3, whose server checks signatures."""

    @pytest.fixture
    async def journal(self, broker: InProcess, tmp_path: Path, s3: S3Server) -> StoredJournal:
        directory = tmp_path / "s3" / "objects" / s3.bucket / "store"
        made = await stored_journal(broker, s3.url("store/"), directory)
        await made.put_all(CONTENT, LENGTH)
        await made.refresh()
        return made

    async def test_whom_the_store_denies_reads_through_the_broker(
        self, journal: StoredJournal, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        opened = []
        open_url = client._fetcher.open

        async def open_forged(url: str) -> Any:
            opened.append(url)
            return await open_url(url.replace("X-Amz-Signature=", "X-Amz-Signature=0"))

        monkeypatch.setattr(client._fetcher, "open", open_forged)
        async with client.reader(JOURNAL) as reader:
            content = b"".join([bytes(batch) async for batch in reader.batches()])
            health = reader.health()
        assert content == CONTENT
        assert isinstance(health.last_error, StoreDeniedError)
        assert health.source in (Source.BROKER, Source.PROXY)
        assert len(opened) <= 4  # Those ahead; the store is not tried again.

    async def test_nobody_may_read_the_store(
        self, journal: StoredJournal, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        other = journal.url.replace("store/?", "store/?region=us-east-1&").rpartition("&")[0]
        assert other != journal.url
        entries, _ = journal.replica.index.list_page(0, 0, 0, 100)
        journal.replica.replace_remote(
            [IndexEntry(replace(each.fragment, backing_store=other)) for each in entries]
        )
        content, error = await read(client)
        assert content == b""
        assert isinstance(error, StoreDeniedError)
        assert "X-Amz-Signature" not in str(error)
