"""What only a directory has: modes, partial files, missing disks, and a root to stay in."""

import gzip
import io
import os
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Self

import pytest

from gazette_py.errors import StoreDeniedError, StoreMissingError, StoreUnavailableError
from gazette_py.protocol.store_url import StoreURL
from gazette_py.stores.base import Store
from gazette_py.stores.fetch import UrlFetcher
from gazette_py.stores.file import FileStore


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[FileStore]:
    (tmp_path / "dir").mkdir()
    opened = FileStore(StoreURL.parse("file:///dir/"), str(tmp_path))
    yield opened
    await opened.close()


async def put(store: Store, path: str, content: bytes = b"content", encoding: str = "") -> None:
    await store.put(path, lambda: io.BytesIO(content), len(content), encoding)


async def test_files_lie_below_root_and_prefix(store: FileStore, tmp_path: Path) -> None:
    old_umask = os.umask(0)
    try:
        await put(store, "a/journal/object")
    finally:
        os.umask(old_umask)

    written = tmp_path / "dir/a/journal/object"
    assert written.read_bytes() == b"content"
    assert stat.S_IMODE(written.stat().st_mode) == 0o640
    assert stat.S_IMODE(written.parent.stat().st_mode) == 0o750
    assert os.listdir(written.parent) == ["object"]


async def test_the_mode_of_files_may_be_chosen(tmp_path: Path) -> None:
    store = FileStore(StoreURL.parse("file:///"), str(tmp_path), 0o600)
    await put(store, "object")
    await store.close()

    assert stat.S_IMODE((tmp_path / "object").stat().st_mode) == 0o600


async def test_a_missing_directory_is_not_made_up(tmp_path: Path) -> None:
    """F2."""
    store = FileStore(StoreURL.parse("file:///unmounted/disk/"), str(tmp_path))
    with pytest.raises(StoreDeniedError) as caught:
        await put(store, "journal/object")

    assert f"{tmp_path}/unmounted/disk does not exist: create it" in str(caught.value)
    assert os.listdir(tmp_path) == []
    assert [info async for info in store.list("journal/")] == []
    assert not await store.exists("journal/object")
    await store.close()


async def test_a_put_which_fails_leaves_nothing(store: FileStore, tmp_path: Path) -> None:
    """ST1, F1."""

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell():
                raise OSError("disk is gone")
            return super().read(3)

    with pytest.raises(StoreUnavailableError, match="disk is gone"):
        await store.put("journal/object", lambda: Broken(b"content"), 7)

    assert os.listdir(tmp_path / "dir/journal") == []


async def test_partial_files_of_others_are_not_listed(store: FileStore, tmp_path: Path) -> None:
    await put(store, "journal/object")
    (tmp_path / "dir/journal/.partial-object-1234").write_bytes(b"con")

    assert [info.name async for info in store.list("journal/")] == ["object"]


async def test_content_is_stored_decoded_where_nothing_could_tell_of_its_encoding(
    store: FileStore, tmp_path: Path
) -> None:
    await put(store, "journal/object", gzip.compress(b"content"), "gzip")

    assert (tmp_path / "dir/journal/object").read_bytes() == b"content"


@pytest.mark.parametrize("path", ["../../outside", "a/../../../outside", "../../../etc/passwd"])
async def test_no_path_leaves_the_root(store: FileStore, tmp_path: Path, path: str) -> None:
    """F3."""
    for attempt in (store.exists(path), store.get(path), put(store, path), store.remove(path)):
        with pytest.raises(StoreDeniedError, match="leaves the file root"):
            await attempt
    fetcher = UrlFetcher(file_root=str(tmp_path / "dir"))
    with pytest.raises(StoreDeniedError, match="leaves the file root"):
        await fetcher.open(f"file:///{path}")
    await fetcher.close()


async def test_a_signed_url_has_no_file_root(store: FileStore, tmp_path: Path) -> None:
    await put(store, "journal/object")
    url = await store.sign_get("journal/object", 60)
    fetcher = UrlFetcher(file_root=str(tmp_path))

    assert url == "file:///dir/journal/object"
    stream = await fetcher.open(url)
    async with aclosing(stream.chunks) as chunks:
        assert [chunk async for chunk in chunks] == [b"content"]
    await fetcher.close()


async def test_files_are_fetched_only_below_a_root() -> None:
    fetcher = UrlFetcher()
    with pytest.raises(StoreDeniedError, match="no file root"):
        await fetcher.open("file:///etc/passwd")
    with pytest.raises(StoreDeniedError, match="not an http"):
        await fetcher.open("ftp://host/object")
    await fetcher.close()


async def test_what_may_not_be_read_is_denied(store: FileStore, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read anything")
    await put(store, "journal/object")
    (tmp_path / "dir/journal/object").chmod(0)

    with pytest.raises(StoreDeniedError):
        await store.get("journal/object")


async def test_a_directory_is_no_object(store: FileStore) -> None:
    await put(store, "journal/object")

    assert not await store.exists("journal")
    with pytest.raises(StoreMissingError):
        await store.get("journal")


def test_an_argument_which_a_directory_has_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreDeniedError, match="unknown argument acl, zone"):
        FileStore(StoreURL.parse("file:///?zone=a&acl=b&find=x"), str(tmp_path))


async def test_a_listing_goes_through_a_directory_as_it_is_asked_for(
    store: FileStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which may have more files than memory holds."""
    directory = tmp_path / "dir" / "journal"
    directory.mkdir()
    for number in range(2500):
        (directory / f"{number}").touch()
    looked_at: list[str] = []
    scandir = os.scandir

    class Counted:
        def __init__(self, path: str) -> None:
            self._entries = scandir(path)

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            self._entries.close()

        def __iter__(self) -> Iterator[os.DirEntry[str]]:
            for entry in self._entries:
                looked_at.append(entry.name)
                yield entry

    monkeypatch.setattr(os, "scandir", Counted)
    async with aclosing(store.list("journal/")) as listing:  # type: ignore[type-var]
        await anext(listing)
        assert len(looked_at) == 1000
    assert len([info async for info in store.list("journal/")]) == 2500
