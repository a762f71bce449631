"""One suite for every fragment store: what `gazette_py/stores/base.py` promises holds for each."""

import gzip
import io
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from cloud_servers import AzureServer, Directory, GCSServer, azurite, directory_azurite, fake_gcs
from store_servers import moto
from versitygw_server import S3Server, versitygw

from gazette_py.clock import SYSTEM
from gazette_py.errors import StoreMissingError
from gazette_py.protocol.store_url import StoreURL
from gazette_py.stores import health
from gazette_py.stores.azure import AzureStore
from gazette_py.stores.base import ObjectStream, Store
from gazette_py.stores.fetch import UrlFetcher
from gazette_py.stores.file import FileStore
from gazette_py.stores.gcs import GCSStore
from gazette_py.stores.memory import MemoryStore
from gazette_py.stores.s3 import S3Store
from gazette_py.stores.threads import CHUNK_BYTES

BACKENDS = ["memory", "file", "moto", "versitygw", "gcs", "azure", "azure-ad"]


@dataclass
class Backend:
    """Opens stores of one kind, by prefix and further arguments of the URL."""

    kind: str
    open: Callable[[str, str], Store]
    file_root: str = ""


@pytest.fixture(scope="module", params=BACKENDS)
def backend(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Backend]:
    directory = tmp_path_factory.mktemp(request.param)
    match request.param:
        case "memory":
            yield Backend("memory", open_memory)
        case "file":
            yield Backend("file", lambda *args: open_file(directory, *args), str(directory))
        case "moto":
            with moto() as server:
                yield from s3_backend("moto", server)
        case "versitygw":
            with versitygw(directory) as server:
                yield from s3_backend("versitygw", server)
        case "gcs":
            with fake_gcs(directory) as server, environment(server.environment()):
                yield Backend("gcs", lambda *args: open_gcs(server, *args))
        case "azure":
            with azurite(directory) as server, environment(server.environment()):
                yield Backend("azure", lambda *args: open_azure(server, *args))
        case "azure-ad":
            with directory_azurite(directory) as server, environment(server.environment()):
                yield Backend("azure-ad", lambda *args: open_azure(server, *args))


def open_memory(prefix: str, args: str) -> Store:
    return MemoryStore(StoreURL.parse(f"memory://suite/{prefix}?{args}", allow_memory=True), SYSTEM)


def open_file(root: Path, prefix: str, args: str) -> Store:
    (root / prefix).mkdir(exist_ok=True)
    return FileStore(StoreURL.parse(f"file:///{prefix}?{args}"), str(root))


def s3_backend(kind: str, server: S3Server) -> Iterator[Backend]:
    def open_s3(prefix: str, args: str) -> Store:
        url = StoreURL.parse(f"{server.url(prefix)}&{args}")
        return S3Store(url, SYSTEM, page_objects_max=3)

    with environment(server.environment()):
        yield Backend(kind, open_s3)


def open_gcs(server: GCSServer, prefix: str, args: str) -> Store:
    return GCSStore(StoreURL.parse(f"{server.url(prefix)}?{args}"), SYSTEM, page_objects_max=3)


def open_azure(server: AzureServer | Directory, prefix: str, args: str) -> Store:
    return AzureStore(StoreURL.parse(f"{server.url(prefix)}&{args}"), SYSTEM, page_objects_max=3)


@contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


@pytest.fixture
async def store(backend: Backend, request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """A store whose prefix no other test uses."""
    opened = backend.open(f"{request.node.originalname}/", "")
    yield opened
    await opened.close()


async def put(store: Store, path: str, content: bytes, content_encoding: str = "") -> None:
    await store.put(path, lambda: io.BytesIO(content), len(content), content_encoding)


async def read(stream: ObjectStream) -> bytes:
    async with aclosing(stream.chunks) as chunks:
        return b"".join([chunk async for chunk in chunks])


async def names(store: Store, prefix: str) -> list[str]:
    return sorted([info.name async for info in store.list(prefix)])


async def test_an_object_which_was_put_is_found_every_way(store: Store) -> None:
    """ST3."""
    await put(store, "a/journal/object.raw", b"content")

    assert await store.exists("a/journal/object.raw")
    assert await read(await store.get("a/journal/object.raw")) == b"content"
    assert await names(store, "a/journal/") == ["object.raw"]


async def test_a_put_of_the_same_path_replaces(store: Store) -> None:
    """ST2."""
    await put(store, "journal/object", b"a first content")
    await put(store, "journal/object", b"second")

    assert await read(await store.get("journal/object")) == b"second"
    assert await names(store, "journal/") == ["object"]


async def test_a_missing_object_is_missing(store: Store) -> None:
    """ST4."""
    await put(store, "journal/object", b"content")

    for path in ("journal/other", "journal/object/below", "nothing/at/all"):
        assert not await store.exists(path)
        with pytest.raises(StoreMissingError):
            await store.get(path)
        await store.remove(path)
    assert await store.exists("journal/object")


async def test_a_removed_object_is_gone(store: Store) -> None:
    await put(store, "journal/object", b"content")
    await store.remove("journal/object")

    assert not await store.exists("journal/object")
    assert await names(store, "journal/") == []


async def test_large_objects_arrive_in_bounded_chunks(store: Store) -> None:
    content = os.urandom(1 << 16) * 50  # Over three chunks.
    await put(store, "journal/large", content)

    stream = await store.get("journal/large")
    async with aclosing(stream.chunks) as chunks:
        got = [chunk async for chunk in chunks]

    assert b"".join(got) == content
    assert max(map(len, got)) <= CHUNK_BYTES


async def test_an_empty_object_is_an_object(store: Store) -> None:
    await put(store, "journal/empty", b"")

    assert await read(await store.get("journal/empty")) == b""
    assert await names(store, "journal/") == ["empty"]


async def test_a_reader_may_leave_at_any_time(store: Store) -> None:
    await put(store, "journal/large", b"x" * (3 << 20))

    unread = await store.get("journal/large")
    await unread.chunks.aclose()
    begun = await store.get("journal/large")
    await anext(begun.chunks)
    await begun.chunks.aclose()

    with pytest.raises(StopAsyncIteration):
        await anext(begun.chunks)


async def test_a_list_has_what_is_below_its_prefix_and_no_more(store: Store) -> None:
    for path in ("a/one", "a/date=2020/two", "a/date=2020/hour=01/three", "ab/four", "b/a/five"):
        await put(store, path, b"12345")

    assert await names(store, "a/") == ["date=2020/hour=01/three", "date=2020/two", "one"]
    assert await names(store, "") == sorted(
        ["a/one", "a/date=2020/two", "a/date=2020/hour=01/three", "ab/four", "b/a/five"]
    )
    assert await names(store, "c/") == []


async def test_a_list_tells_size_and_time(store: Store) -> None:
    before = int(time.time())
    await put(store, "journal/object", b"12345")
    after = int(time.time())

    [info] = [info async for info in store.list("journal/")]

    assert (info.name, info.size) == ("object", 5)
    assert before <= info.mod_time <= after + 1


async def test_a_list_goes_on_over_pages(store: Store) -> None:
    """The stores of this suite which have pages have three objects to a page."""
    for number in range(10):
        await put(store, f"journal/{number}", b"")

    assert await names(store, "journal/") == [str(number) for number in range(10)]


@pytest.mark.parametrize("name", ["a b", "a+b", "a%20b", "a&b<c>", "d=1;e", "\u00fc\u4e2d", "q?#"])
async def test_names_are_kept_as_they_are(store: Store, name: str) -> None:
    await put(store, f"journal/{name}/x", name.encode())

    assert f"{name}/x" in await names(store, "journal/")
    assert await names(store, f"journal/{name}/") == ["x"]
    assert await read(await store.get(f"journal/{name}/x")) == name.encode()


async def test_encoded_content_is_told_or_decoded(store: Store) -> None:
    """Either way, who decodes what is still encoded gets the content."""
    await put(store, "journal/object", gzip.compress(b"content"), "gzip")

    stream = await store.get("journal/object")
    stored = await read(stream)

    assert stream.content_encoding in ("gzip", "")
    assert (gzip.decompress(stored) if stream.content_encoding else stored) == b"content"


async def test_gzip_without_a_content_encoding_is_left_alone(store: Store) -> None:
    stored = gzip.compress(b"content")
    await put(store, "journal/object.gz", stored)

    stream = await store.get("journal/object.gz")

    assert stream.content_encoding == ""
    assert await read(stream) == stored


async def test_stores_of_one_place_share_objects_below_their_prefixes(backend: Backend) -> None:
    outer = backend.open("shared/", "")
    await put(outer, "inner/journal/object", b"content")
    inner = backend.open("shared/inner/", "")

    assert await read(await inner.get("journal/object")) == b"content"
    await outer.close()
    await inner.close()


async def test_paths_are_rewritten_in_every_operation(backend: Backend) -> None:
    """Only the first occurrence, and only within the content path."""
    plain = backend.open("rewritten/", "")
    store = backend.open("rewritten/", "find=new/name/&replace=old/")
    await put(store, "new/name/new/name/object", b"content")

    assert await names(plain, "") == ["old/new/name/object"]
    assert await store.exists("new/name/new/name/object")
    assert await read(await store.get("new/name/new/name/object")) == b"content"
    assert await names(store, "new/name/new/") == ["name/object"]
    assert "/old/new/name/object" in await store.sign_get("new/name/new/name/object", 60)
    await store.remove("new/name/new/name/object")
    assert await names(plain, "") == []
    await plain.close()
    await store.close()


async def test_whoever_has_a_signed_url_may_read(backend: Backend, store: Store) -> None:
    if backend.kind == "memory":
        pytest.skip("objects in memory have no URL that another process could use")
    await put(store, "journal/a b+c%20d", b"content")
    fetcher = UrlFetcher(file_root=backend.file_root)

    stream = await fetcher.open(await store.sign_get("journal/a b+c%20d", 60))

    assert await read(stream) == b"content"
    with pytest.raises(StoreMissingError):
        await fetcher.open(await store.sign_get("journal/missing", 60))
    await fetcher.close()


async def test_the_health_check_passes_again_and_again(store: Store) -> None:
    fetcher = UrlFetcher()
    await health.check(store, fetcher)
    await health.check(store, fetcher)
    await health.check_delete(store, "some/prefix/")

    assert await names(store, "") == [".test/health-check"]
    await fetcher.close()
