"""What is particular to the stores of Google Cloud Storage and of Azure: who may, and how it fails.

Azurite checks keys and signatures. What fake-gcs-server does not check is checked here.
"""

import gzip
import hashlib
import io
import json
import os
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import google.auth
import google.auth.credentials
import pytest
from cloud_servers import (
    ACCOUNT,
    AzureServer,
    Directory,
    GCSServer,
    azurite,
    directory_azurite,
    fake_gcs,
    write_key_file,
)
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from google.oauth2 import service_account
from store_servers import Zeros, failing_server, http_answer

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

_Server = TypeVar("_Server", GCSServer, AzureServer, Directory)

OPERATIONS = ["exists", "get", "put", "list", "remove"]
every_operation = pytest.mark.parametrize("operation", OPERATIONS)


@pytest.fixture(scope="module")
def gcs_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GCSServer]:
    with fake_gcs(tmp_path_factory.mktemp("gcs")) as server:
        yield server


@pytest.fixture(scope="module")
def azure_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureServer]:
    with azurite(tmp_path_factory.mktemp("azure")) as server:
        yield server


@pytest.fixture(scope="module")
def directory_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Directory]:
    with directory_azurite(tmp_path_factory.mktemp("directory")) as server:
        yield server


@pytest.fixture
def gcs(gcs_server: GCSServer, monkeypatch: pytest.MonkeyPatch) -> GCSServer:
    return with_environment(gcs_server, monkeypatch)


@pytest.fixture
def azure(azure_server: AzureServer, monkeypatch: pytest.MonkeyPatch) -> AzureServer:
    return with_environment(azure_server, monkeypatch)


@pytest.fixture
def directory(directory_server: Directory, monkeypatch: pytest.MonkeyPatch) -> Directory:
    return with_environment(directory_server, monkeypatch)


def with_environment(server: _Server, patch: pytest.MonkeyPatch) -> _Server:
    for name, value in server.environment().items():
        patch.setenv(name, value)
    return server


@pytest.fixture
def no_emulator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Google itself, for which this machine has no credentials."""
    for name in ("STORAGE_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Any]:
    kind: Callable[..., Store] = GCSStore if url.startswith("gs:") else AzureStore
    store = kind(StoreURL.parse(url), SYSTEM, connect_timeout_s=0.5, read_timeout_s=2)
    try:
        yield store
    finally:
        await store.close()


async def put(
    store: Store, path: str, content: bytes = b"content", content_encoding: str = ""
) -> None:
    await store.put(path, lambda: io.BytesIO(content), len(content), content_encoding)


async def read(stream: ObjectStream) -> bytes:
    async with aclosing(stream.chunks) as chunks:
        return b"".join([chunk async for chunk in chunks])


async def read_list(store: Store) -> list[str]:
    return [info.name async for info in store.list("journal/")]


DEEDS: dict[str, Callable[[Store], Awaitable[object]]] = {
    "exists": lambda store: store.exists("journal/object"),
    "get": lambda store: store.get("journal/object"),
    "put": lambda store: put(store, "journal/object"),
    "list": read_list,
    "remove": lambda store: store.remove("journal/object"),
    "sign": lambda store: store.sign_get("journal/object", 60),
}


async def fail(store: Store, operation: str) -> StoreError:
    """Return the error of an operation."""
    with pytest.raises(StoreError) as caught:
        await DEEDS[operation](store)
    assert caught.value.operation == operation
    return caught.value


@every_operation
async def test_a_missing_container_is_denied_and_named(azure: AzureServer, operation: str) -> None:
    async with opened(azure.url(container="elsewhere")) as store:
        error = await fail(store, operation)

    assert type(error) is StoreDeniedError
    assert "container elsewhere: HTTP 404 ContainerNotFound" in str(error)


@pytest.mark.parametrize("operation", ["put", "list"])
async def test_a_missing_bucket_is_denied_and_named(gcs: GCSServer, operation: str) -> None:
    """Of other operations the emulator does not tell; see the next test."""
    async with opened(gcs.url(bucket="elsewhere")) as store:
        error = await fail(store, operation)

    assert type(error) is StoreDeniedError
    assert "bucket elsewhere: HTTP 404" in str(error)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("The specified bucket does not exist.", StoreDeniedError),
        ("No such object: bucket/journal/object", StoreMissingError),
    ],
)
@pytest.mark.parametrize("is_json", [True, False])
async def test_a_missing_bucket_is_told_from_a_missing_object(
    message: str, kind: type[StoreError], is_json: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Google answers: in JSON, and in plain text where content was asked for."""
    body = f'{{"error": {{"code": 404, "message": "{message}"}}}}' if is_json else message
    with failing_server(lambda _: http_answer("404 Not Found", body.encode())) as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.endpoint)
        async with opened("gs://bucket/") as store:
            error = await fail(store, "get")

    assert type(error) is kind
    assert f"bucket bucket: HTTP 404 {message}" in str(error)


@every_operation
async def test_a_wrong_key_of_an_account_is_denied(
    azure: AzureServer, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_ACCOUNT_KEY", "d3Jvbmc=")
    async with opened(azure.url()) as store:
        assert type(await fail(store, operation)) is StoreDeniedError


@every_operation
async def test_what_is_no_key_is_denied(
    azure: AzureServer, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_ACCOUNT_KEY", "no base64")
    async with opened(azure.url()) as store:
        assert type(await fail(store, operation)) is StoreDeniedError


@pytest.mark.parametrize("server", ["azure", "directory"])
async def test_a_forged_or_expired_signature_is_denied(
    server: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue(server).url("forged/")
    fetcher = UrlFetcher()
    async with opened(url) as store:
        await put(store, "journal/object")
        await put(store, "journal/other")
        signed = await store.sign_get("journal/object", 60)
        assert await read(await fetcher.open(signed)) == b"content"
        forged = signed.replace("journal/object", "journal/other")
        for bad in (forged, await store.sign_get("journal/object", -60)):
            with pytest.raises(StoreDeniedError) as caught:
                await fetcher.open(bad)
            assert "sig=" not in str(caught.value)
    await fetcher.close()


@pytest.mark.parametrize("operation", [*OPERATIONS, "sign"])
async def test_a_wrong_secret_of_an_application_is_denied(
    directory: Directory, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "wrong")
    async with opened(directory.url()) as store:
        error = await fail(store, operation)

    assert type(error) is StoreDeniedError
    assert "wrong secret" in str(error)


@pytest.mark.parametrize("operation", [*OPERATIONS, "sign"])
async def test_no_token_to_be_had_is_unavailable(
    directory: Directory, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", "https://127.0.0.1:9")
    began = time.monotonic()
    async with opened(directory.url()) as store:
        assert type(await fail(store, operation)) is StoreUnavailableError
    assert time.monotonic() - began < 5


async def test_many_signatures_need_one_token_and_one_key(directory: Directory) -> None:
    asked_before = len(directory.token_requests)
    async with opened(directory.url("many/")) as store:
        first = await store.sign_get("journal/object", 60)
        key = store._access._delegated
        others = [await store.sign_get(f"journal/{n}", 3600 - n) for n in range(1, 10)]
        assert store._access._delegated is key
        lasting = await store.sign_get("journal/object", 30 * 24 * 3600)

    def key_expiry(url: str) -> str:
        return parse_qs(urlsplit(url).query)["ske"][0]

    assert len(directory.token_requests) == asked_before + 1
    assert {key_expiry(url) for url in others} == {key_expiry(first)}
    assert key_expiry(lasting) > key_expiry(first)
    assert parse_qs(urlsplit(lasting).query)["se"][0] < key_expiry(lasting)


async def test_tokens_are_sent_over_tls_only(directory: Directory) -> None:
    url = directory.url().replace("endpoint=https:", "endpoint=http:")
    with pytest.raises(StoreDeniedError, match="https only"):
        async with opened(url):
            pass


def test_a_signature_of_azure_itself_holds_over_tls_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("AZURE_ACCOUNT_KEY", "a2V5")
    store = AzureStore(StoreURL.parse("azure://container/p/"), SYSTEM)

    signed = urlsplit(f"https://x?{store._access.sign(store._service, 'container', 'key', 60)}")

    assert store._blob("a b").url == "https://account.blob.core.windows.net/container/p/a%20b"
    assert parse_qs(signed.query)["spr"] == ["https"]
    assert parse_qs(signed.query)["sp"] == ["r"]


async def test_a_key_signs_what_google_will_check(gcs: GCSServer) -> None:
    """Its documentation of the V4 process tells how."""
    async with opened(gcs.url("p/")) as store:
        signed = urlsplit(await store.sign_get("journal/a b", 90))
    account = service_account.Credentials.from_service_account_file(str(gcs.key_file))
    query = {name: values[0] for name, values in parse_qs(signed.query).items()}
    unsigned = signed.query.partition("&X-Goog-Signature=")[0]

    canonical = ["GET", "/fragments/p/journal/a%20b", unsigned, f"host:{signed.netloc}", "", "host"]
    digest = hashlib.sha256("\n".join([*canonical, "UNSIGNED-PAYLOAD"]).encode()).hexdigest()
    scope = query["X-Goog-Credential"].removeprefix(f"{account.signer_email}/")
    text = "\n".join(["GOOG4-RSA-SHA256", query["X-Goog-Date"], scope, digest])
    key: Any = serialization.load_pem_private_key(private_key_of(gcs.key_file), None)
    key.public_key().verify(
        bytes.fromhex(query["X-Goog-Signature"]),
        text.encode(),
        padding.PKCS1v15(),
        hashes.SHA256(),
    )
    assert query["X-Goog-Expires"] == "90"


def private_key_of(path: Path) -> bytes:
    key: str = json.loads(path.read_text())["private_key"]
    return key.encode()


async def test_a_signature_for_longer_than_google_allows_is_denied(gcs: GCSServer) -> None:
    async with opened(gcs.url()) as store:
        with pytest.raises(StoreDeniedError, match="604800"):
            await store.sign_get("journal/object", 8 * 24 * 3600)


async def test_an_emulator_needs_no_credentials(
    gcs: GCSServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
    fetcher = UrlFetcher()
    async with opened(gcs.url("open/")) as store:
        await put(store, "journal/a b")
        url = await store.sign_get("journal/a b", 60)
        assert url == f"{gcs.endpoint}/fragments/open/journal/a%20b"
        assert await read(await fetcher.open(url)) == b"content"
    await fetcher.close()


@pytest.mark.usefixtures("no_emulator")
@pytest.mark.parametrize("operation", [*OPERATIONS, "sign"])
async def test_no_credentials_of_google_are_denied(operation: str) -> None:
    async with opened("gs://bucket/") as store:
        error = await fail(store, operation)

    assert type(error) is StoreDeniedError
    assert "default credentials" in str(error)


@pytest.mark.usefixtures("no_emulator")
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (http_answer("400 Bad Request", b'{"error": "invalid_grant"}'), StoreDeniedError),
        (http_answer("503 Unavailable"), StoreUnavailableError),
        (b"", StoreUnavailableError),
    ],
)
async def test_a_token_endpoint_fails_as_a_store_does(
    answer: bytes, kind: type[StoreError], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with failing_server(lambda _: answer) as server:
        write_key_file(tmp_path / "key.json", f"{server.endpoint}/token")
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
        async with opened("gs://bucket/") as store:
            assert type(await fail(store, "get")) is kind


class MachineCredentials(google.auth.credentials.Credentials):
    """Of a machine whose account's name is known after a refresh, as the metadata service's."""

    service_account_email = "default"

    def refresh(self, request: Any) -> None:
        self.token = "token"
        self.service_account_email = "machine@test.iam.gserviceaccount.com"


@pytest.mark.usefixtures("no_emulator")
async def test_an_account_without_a_key_signs_by_iam(monkeypatch: pytest.MonkeyPatch) -> None:
    body = b'{"keyId": "1", "signedBlob": "c2lnbmVk"}'
    with failing_server(lambda _: http_answer("200 OK", body)) as server:
        iam = f"{server.endpoint}/{{}}:signBlob"
        monkeypatch.setattr("google.auth.iam._IAM_SIGN_ENDPOINT", iam)
        monkeypatch.setattr(google.auth, "default", lambda **_: (MachineCredentials(), None))
        async with opened("gs://bucket/") as store:
            signed = await store.sign_get("journal/object", 60)

    assert server.requests == ["POST /machine@test.iam.gserviceaccount.com:signBlob HTTP/1.1"]
    assert server.headers[0]["authorization"] == "Bearer token"
    assert signed.startswith("https://storage.googleapis.com/bucket/journal/object?X-Goog-Alg")
    assert signed.endswith(f"&X-Goog-Signature={b'signed'.hex()}")


@pytest.mark.parametrize("server", ["gcs", "azure", "directory"])
async def test_gzip_comes_as_it_is_stored(server: str, request: pytest.FixtureRequest) -> None:
    """A service which decodes on the way would leave the length of the answer unknown."""
    packed = gzip.compress(os.urandom(5000))
    async with opened(request.getfixturevalue(server).url("packed/")) as store:
        await put(store, "journal/object", packed, "gzip")
        stream = await store.get("journal/object")
        assert stream.content_encoding == "gzip"
        assert await read(stream) == packed


@pytest.mark.parametrize("server", ["gcs", "azure", "directory"])
async def test_a_large_object_goes_in_parts_and_is_never_in_memory(
    server: str, request: pytest.FixtureRequest
) -> None:
    length = 40 << 20
    async with opened(request.getfixturevalue(server).url("large/")) as store:
        await put(store, "journal/small")  # Loads what is loaded once.
        tracemalloc.start()
        try:
            await store.put("journal/large", lambda: io.BufferedReader(Zeros(length)), length)
            _, put_peak = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            stream, digest, got = await store.get("journal/large"), hashlib.sha1(), 0
            async for chunk in stream.chunks:
                digest.update(chunk)
                got += len(chunk)
            _, get_peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert got == length
    assert digest.digest() == hashlib.sha1(bytes(length)).digest()
    assert put_peak < 28 << 20  # A block, and a copy of it on its way.
    assert get_peak < 8 << 20


async def test_a_put_which_ends_within_its_parts_leaves_nothing(azure: AzureServer) -> None:
    """ST1."""

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 20 << 20:
                raise OSError("the disk is gone")
            return super().read(size)

    length = 30 << 20
    async with opened(azure.url("broken/")) as store:
        with pytest.raises(StoreError, match="the disk is gone"):
            await store.put("journal/object", lambda: Broken(bytes(length)), length)
        assert not await store.exists("journal/object")


async def test_what_is_refused_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with failing_server(lambda _: http_answer("403 Forbidden", b"{}")) as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.endpoint)
        monkeypatch.setenv("AZURE_ACCOUNT_NAME", ACCOUNT)
        monkeypatch.setenv("AZURE_ACCOUNT_KEY", "a2V5")
        for url in ("gs://bucket/", f"azure://container/?endpoint={server.endpoint}/{ACCOUNT}"):
            server.requests.clear()
            async with opened(url) as store:
                began = time.monotonic()
                for operation in OPERATIONS:
                    assert type(await fail(store, operation)) is StoreDeniedError
                assert time.monotonic() - began < 5
            assert len(server.requests) == len(OPERATIONS)
