"""Fragments which one kind of broker stored are read by the other, and by the lake, in every codec.

Two clusters of one broker each share a store, and nothing else: what one reads of the other's
journal comes from the store.
"""

from pathlib import Path

import pytest
from go_programs import go_member
from local_clusters import apply, config, eventually, spec
from versitygw_server import S3Server

from gazette_py.client import Client, Source, connect
from gazette_py.lake import Lake
from gazette_py.local.cluster import LocalCluster
from gazette_py.protocol.enums import CompressionCodec

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

NO_ZSTD = b"-tags=nozstd"
"""In a program which was built without Zstandard."""


def codecs_of(program: str) -> list[CompressionCodec]:
    """Return the codecs of a broker: it may have been built without Zstandard."""
    codecs = [codec for codec in CompressionCodec if codec is not CompressionCodec.INVALID]
    with open(program, "rb") as binary:
        if NO_ZSTD in binary.read():
            codecs.remove(CompressionCodec.ZSTANDARD)
    return codecs


async def store(client: Client, prefix: str, s3: S3Server, codecs: list[CompressionCodec]) -> None:
    """Make a journal of each codec, whose fragments end at each append."""
    specs = [
        spec(f"{prefix}/{codec.name}", store=s3.url(), replication=1, codec=codec, length=1 << 10)
        for codec in codecs
    ]
    await apply(client, *specs)
    for each in specs:
        for piece in content(each.name):
            await client.append(each.name, piece, timeout_s=30)
        # An empty append closes the last one.
        await client.append(each.name, timeout_s=30)


def content(journal: str) -> list[bytes]:
    """Return what is appended to a journal: small, compressible, and in several chunks."""
    return [
        f"{journal} begins\n".encode(),
        b"".join(f"{journal} {n}\n".encode() for n in range(2_000)),
        bytes(range(256)) * 1_200,
        f"{journal} ends".encode() * 200,
    ]


async def read_back(
    client: Client, prefix: str, s3: S3Server, codecs: list[CompressionCodec]
) -> None:
    """Read all journals of a prefix by brokers which have them from the store alone."""
    specs = [spec(f"{prefix}/{codec.name}", store=s3.url(), replication=1) for codec in codecs]
    await apply(client, *specs)
    for each in specs:
        expected = b"".join(content(each.name))

        async def is_read(name: str = each.name, expected: bytes = expected) -> bool:
            return await client.read_all(name, 0, len(expected)) == expected

        await eventually(is_read, f"read back: {each.name}")


async def read_directly(client: Client, prefix: str, codecs: list[CompressionCodec]) -> None:
    """Read all journals of a prefix straight from the store, to which brokers show the way."""
    for codec in codecs:
        name = f"{prefix}/{codec.name}"
        expected = b"".join(content(name))

        async def is_listed(name: str = name) -> bool:
            # Until then the broker has files of its own, and reads those.
            return all([listed.fragment.mod_time async for listed in client.fragments(name)])

        await eventually(is_listed, f"listed: {name}")
        async with client.reader(name, end_offset=len(expected)) as reader:
            sources, read = set(), b""
            # In small batches: what health tells is where the next byte comes from.
            async for batch in reader.batches(64):
                read += bytes(batch)
                sources.add(reader.health().source)
            assert read == expected
            assert reader.health().last_error is None
            assert Source.STORE in sources


async def test_each_kind_reads_the_fragments_of_the_other(
    tmp_path: Path, go_broker: str, s3: S3Server
) -> None:
    codecs = codecs_of(go_broker)
    async with (
        LocalCluster(config(tmp_path, brokers=1)) as cluster,
        go_member(cluster, go_broker, "z", prefix="/theirs") as go,
        cluster.connect(cache_size=0) as ours,
        connect(go.endpoint, cache_size=0) as theirs,
        Lake(s3.url()) as lake,
    ):
        await store(ours, "ours", s3, codecs)
        await store(theirs, "theirs", s3, codecs)
        for codec in codecs:
            for prefix in ("ours", "theirs"):
                journal = f"{prefix}/{codec.name}"
                expected = b"".join(content(journal))

                async def is_stored(name: str = journal, expected: bytes = expected) -> bool:
                    pieces = [piece async for piece in lake.read(name)]
                    return b"".join(pieces) == expected

                await eventually(is_stored, f"stored: {journal}")
        await read_back(theirs, "ours", s3, codecs)
        await read_back(ours, "theirs", s3, codecs)
        async with (
            connect(cluster.endpoints[0]) as by_ours,
            connect(go.endpoint) as by_theirs,
        ):
            for prefix in ("ours", "theirs"):
                await read_directly(by_ours, prefix, codecs)
                await read_directly(by_theirs, prefix, codecs)
