"""Fragments in a real S3 server, which checks who asks."""

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from fragment_files import write_fragment
from versitygw_server import S3Server, versitygw

from gazette_py import lake
from gazette_py.errors import StoreDeniedError
from gazette_py.lake import Lake
from gazette_py.protocol.enums import CompressionCodec

JOURNAL = "acme/orders"
CONTENT = b"".join(b'{"id": %d}\n' % number for number in range(1000))


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    with versitygw(tmp_path) as started:
        for name, value in started.environment().items():
            monkeypatch.setenv(name, value)
        local = tmp_path / "local"
        write_fragment(local, JOURNAL, 0, CONTENT[:5000], codec=CompressionCodec.GZIP)
        write_fragment(local, JOURNAL, 4000, CONTENT[4000:], codec=CompressionCodec.ZSTANDARD)
        client = boto3.client(
            "s3",
            endpoint_url=started.endpoint,
            region_name=started.region,
            aws_access_key_id=started.access_key,
            aws_secret_access_key=started.secret_key,
        )
        for path in (p for p in local.rglob("*") if p.is_file()):
            client.upload_file(str(path), started.bucket, f"lake/{path.relative_to(local)}")
        client.close()
        yield started


async def test_content_is_read_from_s3(server: S3Server) -> None:
    async with Lake(server.url("lake/")) as opened:
        assert b"".join([piece async for piece in opened.read(JOURNAL)]) == CONTENT


async def test_who_has_no_permission_is_told(
    server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    async with Lake(server.url("lake/")) as opened:
        with pytest.raises(StoreDeniedError):
            await opened.files(JOURNAL)


async def test_a_bucket_which_is_not_there_is_no_empty_one(server: S3Server) -> None:
    async with Lake(server.url("lake/", bucket="elsewhere")) as opened:
        with pytest.raises(StoreDeniedError):
            await opened.files(JOURNAL)


def test_a_table_over_s3_has_each_row_once(server: S3Server) -> None:
    with lake.table(JOURNAL, store=server.url("lake/")) as table:
        assert table.reader(["id"]).read_all().column(0).to_pylist() == list(range(1000))
