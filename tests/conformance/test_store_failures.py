"""How stores fail: with the kind of `StoreError` that tells what to do, and in time (ST4)."""

import contextlib
import gc
import io
import os
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from cloud_servers import ACCOUNT, ACCOUNT_KEY
from local_clusters import eventually
from store_servers import FailingServer, Zeros, failing_server, http_answer, moto
from versitygw_server import S3Server, versitygw

from gazette_py.clock import SYSTEM
from gazette_py.errors import (
    StoreDeniedError,
    StoreError,
    StoreMissingError,
    StoreUnavailableError,
)
from gazette_py.protocol.store_url import StoreURL
from gazette_py.stores.azure import AzureStore
from gazette_py.stores.base import ObjectStream, Store
from gazette_py.stores.fetch import UrlFetcher
from gazette_py.stores.gcs import GCSStore
from gazette_py.stores.s3 import S3Store

_Store = TypeVar("_Store", bound=Store)
Failing = Callable[[FailingServer], AbstractAsyncContextManager[Store]]

LIST_PAGE = b"""<?xml version="1.0"?>
<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>journal/object</Key>
<LastModified>2024-01-02T03:04:05.000Z</LastModified><Size>7</Size></Contents></ListBucketResult>"""
GCS_PAGE = b"""{"kind": "storage#objects", "items":
[{"name": "journal/object", "size": "7", "updated": "2024-01-02T03:04:05Z"}]}"""
AZURE_PAGE = b"""<?xml version="1.0"?><EnumerationResults><Blobs><Blob><Name>journal/object</Name>
<Properties><Last-Modified>Tue, 02 Jan 2024 03:04:05 GMT</Last-Modified>
<Content-Length>7</Content-Length></Properties></Blob></Blobs><NextMarker/></EnumerationResults>"""


@pytest.fixture(scope="module")
def real_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with versitygw(tmp_path_factory.mktemp("versitygw")) as server:
        yield server


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    server = S3Server(endpoint="", bucket="", access_key="test-access", secret_key="test-secret")
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[S3Store]:
    async with _closing(url, S3Store) as store:
        yield store


@asynccontextmanager
async def _closing(url: str, kind: Callable[..., _Store]) -> AsyncIterator[_Store]:
    store = kind(StoreURL.parse(url), SYSTEM, connect_timeout_s=0.5, read_timeout_s=0.5)
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture(params=["s3", "gcs", "azure"])
def failing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Failing:
    """Opens a store of each kind at a server which fails."""

    def open_it(server: FailingServer) -> AbstractAsyncContextManager[Store]:
        match request.param:
            case "s3":
                return opened(server.url())
            case "gcs":
                monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.endpoint)
                return _closing("gs://fragments/", GCSStore)
            case _:
                for name, value in {"NAME": ACCOUNT, "KEY": ACCOUNT_KEY}.items():
                    monkeypatch.setenv(f"AZURE_ACCOUNT_{name}", value)
                endpoint = f"{server.endpoint}/{ACCOUNT}"
                return _closing(f"azure://fragments/?endpoint={endpoint}", AzureStore)

    return open_it


async def put(store: Store, path: str, content: bytes = b"content") -> None:
    await store.put(path, lambda: io.BytesIO(content), len(content))


async def read(stream: ObjectStream) -> bytes:
    async with aclosing(stream.chunks) as chunks:
        return b"".join([chunk async for chunk in chunks])


async def read_list(store: Store) -> list[str]:
    return [info.name async for info in store.list("journal/")]


async def read_list_quietly(store: Store) -> None:
    with contextlib.suppress(StoreError):
        await read_list(store)


def open_sockets() -> int:
    count = 0
    for fd in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            count += os.readlink(fd).startswith("socket:")
    return count


OPERATIONS: dict[str, Callable[[Store], Awaitable[object]]] = {
    "exists": lambda store: store.exists("journal/object"),
    "get": lambda store: store.get("journal/object"),
    "put": lambda store: put(store, "journal/object"),
    "list": read_list,
    "remove": lambda store: store.remove("journal/object"),
}
every_operation = pytest.mark.parametrize("operation", OPERATIONS)


async def fail(store: Store, operation: str, within_s: float = 10) -> StoreError:
    """Return the error of the operation."""
    began = time.monotonic()
    with pytest.raises(StoreError) as caught:
        await OPERATIONS[operation](store)
    assert time.monotonic() - began < within_s
    assert caught.value.operation == operation
    return caught.value


@every_operation
async def test_wrong_credentials_are_denied(
    real_s3: S3Server, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    async with opened(real_s3.url()) as store:
        assert type(await fail(store, operation)) is StoreDeniedError


@every_operation
async def test_no_credentials_are_denied(
    real_s3: S3Server, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    async with opened(real_s3.url()) as store:
        assert type(await fail(store, operation)) is StoreDeniedError


@pytest.mark.parametrize("operation", ["get", "put", "list", "remove"])
async def test_a_missing_bucket_is_denied(real_s3: S3Server, operation: str) -> None:
    """Except for `exists`: the answer to a HEAD has no body to tell bucket from key."""
    async with opened(real_s3.url(bucket="missing-bucket")) as store:
        error = await fail(store, operation)

    assert type(error) is StoreDeniedError
    assert "NoSuchBucket" in str(error)


async def test_a_forged_or_expired_url_is_denied(real_s3: S3Server) -> None:
    fetcher = UrlFetcher()
    async with opened(real_s3.url()) as store:
        await put(store, "journal/object")
        signed = await store.sign_get("journal/object", 60)
        assert await read(await fetcher.open(signed)) == b"content"
        for forged in (signed.replace("journal/object", "journal/other"), signed[:-1] + "!"):
            with pytest.raises(StoreDeniedError) as caught:
                await fetcher.open(forged)
            assert "Signature" not in str(caught.value)
    await fetcher.close()


@every_operation
async def test_a_server_which_is_down_is_unavailable(failing: Failing, operation: str) -> None:
    with failing_server(lambda _: b"") as gone:
        pass
    async with failing(gone) as store:
        assert type(await fail(store, operation)) is StoreUnavailableError


@every_operation
async def test_a_server_which_never_answers_is_unavailable(
    failing: Failing, operation: str
) -> None:
    with failing_server(lambda _: None) as server:
        async with failing(server) as store:
            assert type(await fail(store, operation)) is StoreUnavailableError
        assert len(server.requests) == 3


@every_operation
async def test_a_server_which_hangs_up_is_unavailable(failing: Failing, operation: str) -> None:
    with failing_server(lambda _: b"") as server:
        async with failing(server) as store:
            assert type(await fail(store, operation)) is StoreUnavailableError
        assert len(server.requests) == 3


@every_operation
async def test_an_overloaded_server_is_tried_three_times(failing: Failing, operation: str) -> None:
    with failing_server(lambda _: http_answer("503 Slow Down")) as server:
        async with failing(server) as store:
            assert type(await fail(store, operation)) is StoreUnavailableError
        assert len(server.requests) == 3


async def test_one_failed_try_is_no_failure() -> None:
    answers = [http_answer("503 Slow Down"), http_answer("200 OK", LIST_PAGE)]
    with failing_server(answers.__getitem__) as server:
        async with opened(server.url()) as store:
            assert await read_list(store) == ["object"]


async def test_another_region_is_denied_rather_than_tried_again() -> None:
    """The redirect stays until an operator names the bucket's region."""
    body = b"<Error><Code>PermanentRedirect</Code></Error>"
    with failing_server(lambda _: http_answer("301 Moved", body)) as server:
        async with opened(server.url()) as store:
            assert type(await fail(store, "list")) is StoreDeniedError
        assert len(server.requests) == 1


async def test_a_body_which_is_cut_is_unavailable_and_never_short(failing: Failing) -> None:
    with failing_server(lambda _: http_answer("200 OK", b"cont", length=7)) as server:
        async with failing(server) as store:
            stream = await store.get("journal/object")
            with pytest.raises(StoreUnavailableError):
                await read(stream)
        fetcher = UrlFetcher()
        stream = await fetcher.open(f"{server.endpoint}/fragments/journal/object?secret=1")
        with pytest.raises(StoreUnavailableError) as caught:
            await read(stream)
        assert "secret" not in str(caught.value)
        await fetcher.close()


@pytest.mark.parametrize("page", [LIST_PAGE, GCS_PAGE, AZURE_PAGE], ids=["s3", "gcs", "azure"])
async def test_a_listing_which_is_cut_is_unavailable_and_never_short(
    failing: Failing, page: bytes
) -> None:
    """Also where a page of another service, cut, might be taken for an empty one."""
    for end in (len(page) // 2, len(page) - 1):
        with failing_server(
            lambda _, end=end: http_answer("200 OK", page[:end], length=len(page))
        ) as server:
            async with failing(server) as store:
                assert type(await fail(store, "list")) is StoreUnavailableError


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
@every_operation
async def test_a_refusal_is_denied_at_once_and_leaves_no_connection(
    failing: Failing, operation: str, status: str
) -> None:
    def answer(_: int) -> bytes:
        return http_answer(status, b"{}").replace(b"Connection: close\r\n", b"")

    with failing_server(answer) as server:
        async with failing(server) as store:
            await read_list_quietly(store)  # What is open once anyway.
            gc.disable()
            try:
                before = open_sockets()
                for _ in range(5):
                    assert type(await fail(store, operation)) is StoreDeniedError

                async def are_closed() -> bool:
                    return open_sockets() <= before + 1  # The server's own need a moment.

                await eventually(are_closed, "closed", 10)
            finally:
                gc.enable()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (http_answer("404 Not Found"), StoreMissingError),
        (http_answer("403 Forbidden"), StoreDeniedError),
        (http_answer("503 Slow Down"), StoreUnavailableError),
        (b"", StoreUnavailableError),
        (None, StoreUnavailableError),
    ],
)
async def test_a_fetch_fails_as_a_store_does(answer: bytes | None, kind: type[StoreError]) -> None:
    with failing_server(lambda _: answer) as server:
        fetcher = UrlFetcher(connect_timeout_s=0.5, read_timeout_s=0.5)
        with pytest.raises(kind) as caught:
            await fetcher.open(f"{server.endpoint}/bucket/object?secret=1")
        assert "secret" not in str(caught.value)
        await fetcher.close()


async def test_arguments_reach_the_object() -> None:
    with moto() as server:
        url = server.url() + "&STORAGECLASS=STANDARD_IA&Sse=AES256&acl=bucket-owner-full-control"
        async with opened(url) as store:
            await put(store, "journal/object")
            head = await store._threads.run(
                lambda: store._client().head_object(Bucket="fragments", Key="journal/object")
            )

    assert head["StorageClass"] == "STANDARD_IA"
    assert head["ServerSideEncryption"] == "AES256"


@pytest.mark.parametrize(
    ("args", "sent"),
    [
        ("", {}),
        ("&acl=private", {"x-amz-acl": "private"}),
        ("&storageClass=GLACIER_IR", {"x-amz-storage-class": "GLACIER_IR"}),
        (
            "&sse=aws:kms&sseKmsKeyId=some-key",
            {
                "x-amz-server-side-encryption": "aws:kms",
                "x-amz-server-side-encryption-aws-kms-key-id": "some-key",
            },
        ),
    ],
)
async def test_a_put_says_what_is_asked_for_and_no_more(args: str, sent: dict[str, str]) -> None:
    """Neither an ACL, which many buckets refuse, nor a checksum, which not all servers know."""
    with failing_server(lambda _: http_answer("200 OK")) as server:
        async with opened(server.url() + args) as store:
            await put(store, "journal/object")
        [headers] = server.headers

    own = {name: value for name, value in headers.items() if name.startswith("x-amz-")}
    del own["x-amz-date"], own["x-amz-content-sha256"]
    assert own == sent
    assert "content-encoding" not in headers
    assert headers["authorization"].startswith("AWS4-HMAC-SHA256 ")


@pytest.mark.parametrize(
    ("url", "begin"),
    [
        ("s3://bucket/p/?region=eu-west-1", "https://bucket.s3.eu-west-1.amazonaws.com/p/"),
        ("s3://bucket/p/?region=me-central-1", "https://bucket.s3.me-central-1.amazonaws.com/p/"),
        ("s3://bu.cket/p/?region=eu-west-1", "https://s3.eu-west-1.amazonaws.com/bu.cket/p/"),
        (
            "s3://bucket/p/?region=eu-west-1&endpoint=http://store:9000",
            "http://store:9000/bucket/p/",
        ),
    ],
)
async def test_a_signed_url_is_of_the_region_and_the_endpoint(url: str, begin: str) -> None:
    """The global endpoint redirects new buckets, and refuses regions which are opted into."""
    async with opened(url) as store:
        signed = await store.sign_get("journal/object", 60)
        assert signed.startswith(begin + "journal/object?X-Amz-")


async def test_a_profile_has_credentials_and_a_region(
    real_s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    profiles = tmp_path / "profiles"
    profiles.write_text(
        f"[profile mine]\nregion = {real_s3.region}\naws_access_key_id = {real_s3.access_key}\n"
        f"aws_secret_access_key = {real_s3.secret_key}\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(profiles))
    async with opened(f"s3://fragments/?profile=mine&endpoint={real_s3.endpoint}") as store:
        await put(store, "journal/object")
        assert await read(await store.get("journal/object")) == b"content"


async def test_a_large_object_is_never_in_memory() -> None:
    length = 256 << 20
    with failing_server(lambda _: http_answer("200 OK")) as server:
        async with opened(server.url()) as store:
            await put(store, "journal/small")  # Loads what boto3 loads once.
            tracemalloc.start()
            try:
                await store.put("journal/large", lambda: io.BufferedReader(Zeros(length)), length)
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
        assert server.body_bytes == len(b"content") + length
    assert peak < 16 << 20


async def test_an_object_above_the_bound_of_one_request_goes_in_parts(real_s3: S3Server) -> None:
    content = os.urandom(1 << 20) * 6
    url = StoreURL.parse(real_s3.url())
    store = S3Store(url, SYSTEM, single_put_bytes_max=len(content) - 1, part_bytes=5 << 20)
    await store.put("journal/large", lambda: io.BytesIO(content), len(content), "gzip")
    head = await store._threads.run(
        lambda: store._client().head_object(Bucket="fragments", Key="journal/large")
    )
    stream = await store.get("journal/large")

    assert stream.content_encoding == "gzip"
    assert await read(stream) == content
    assert head["ETag"].strip('"').endswith("-2")
    await store.close()


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        ("?region=us-east-1&colour=red", "unknown argument colour"),
        ("", "no region is configured"),
        ("?region=us-east-1&profile=nobody", "nobody"),
    ],
)
def test_what_cannot_be_constructed_says_why(
    args: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    with pytest.raises(StoreDeniedError, match=reason):
        S3Store(StoreURL.parse(f"s3://bucket/{args}"), SYSTEM)


async def test_the_region_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")

    url = await S3Store(StoreURL.parse("s3://bucket/"), SYSTEM).sign_get("journal/object", 60)

    assert "eu-west-1" in url
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in url
