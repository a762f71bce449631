"""Journals in stores of Google and Azure: persisted, and read back by signed URL and the lake."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cloud_servers import azurite, fake_gcs
from local_clusters import apply, config, eventually, spec, wait_consistent

from gazette_py.lake import Lake
from gazette_py.local.cluster import LocalCluster
from gazette_py.protocol.enums import CompressionCodec
from gazette_py.stores.base import ObjectStream
from gazette_py.stores.fetch import UrlFetcher

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

CODECS = {
    "cloud/zstd": CompressionCodec.ZSTANDARD,
    "cloud/raw": CompressionCodec.NONE,
    "cloud/offload": CompressionCodec.GZIP_OFFLOAD_DECOMPRESSION,
}
RECORDS = [f"record {number}\n".encode() * 100 for number in range(10)]


@pytest.fixture(params=["gcs", "azure"])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The URL of a store."""
    directory = tmp_path / "emulator"
    directory.mkdir()
    with (fake_gcs if request.param == "gcs" else azurite)(directory) as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        yield server.url("some/prefix/")


async def test_what_was_appended_is_stored_and_read_back_every_way(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"".join(RECORDS)
    fetched: list[str] = []
    open_url = UrlFetcher.open

    async def noted_open(self: UrlFetcher, url: str) -> ObjectStream:
        fetched.append(url)
        return await open_url(self, url)

    monkeypatch.setattr(UrlFetcher, "open", noted_open)
    cluster = LocalCluster(config(tmp_path, store=store, brokers=3))
    async with cluster, cluster.connect() as client, Lake(store) as lake:
        specs = [
            spec(name, store=store, replication=2, length=1 << 10, codec=codec)
            for name, codec in CODECS.items()
        ]
        await apply(client, *specs)
        await wait_consistent(cluster, client, list(CODECS))
        for name in CODECS:
            for record in RECORDS:
                await client.append(name, record)
            # The next append finds a fragment which is long enough, and closes it.
            await client.append(name, b"")

        for name in CODECS:

            async def is_stored(name: str = name) -> bool:
                return (
                    max((f.end for f in await lake.files(name)), default=0) >= len(content) - 1200
                )

            await eventually(is_stored, f"most of {name} stored", 60.0)
            stored = b"".join([piece async for piece in lake.read(name)])
            assert content.startswith(stored)
            assert len(stored) >= len(content) - 1200

            async def is_listed(name: str = name, end: int = len(stored)) -> bool:
                entries = [entry async for entry in client.fragments(name)]
                ends = [e.fragment.end for e in entries if e.fragment.backing_store]
                return max(ends, default=0) >= end

            await eventually(is_listed, f"{name} listed", 60.0)
            fetched.clear()
            got = b""
            async with client.reader(name) as reader:
                async for batch in reader.batches():
                    got += bytes(batch)
                    if len(got) >= len(content):
                        break
            assert got == content
            assert len(fetched) > 1
            assert all(url.startswith("http://127.0.0.1:") for url in fetched)
