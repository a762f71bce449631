"""Fragment files of a store: read whole and once, and whatever is wrong with them is said."""

from contextlib import aclosing
from pathlib import Path

import pytest
from broker_harness import until
from fragment_files import write_fragment

from gazette_py.errors import (
    ConflictingFragmentsError,
    CorruptFragmentError,
    ForeignObjectError,
    OffsetJumpError,
    StoreDeniedError,
    StoreMissingError,
)
from gazette_py.lake import Gap, Lake, Slice, cover, cover_with_whole_files
from gazette_py.protocol.enums import CompressionCodec
from gazette_py.stores.base import ObjectStream
from gazette_py.stores.file import FileStore

JOURNAL = "acme/orders"
CONTENT = b"".join(b"line %d\n" % number for number in range(100))
HALF = len(CONTENT) // 2

CODECS = [
    CompressionCodec.NONE,
    CompressionCodec.GZIP,
    CompressionCodec.ZSTANDARD,
    CompressionCodec.SNAPPY,
]


async def read(root: Path, *, offset: int = 0, skip_gaps: bool = False) -> bytes:
    async with Lake("file:///", file_root=str(root)) as lake:
        pieces = lake.read(JOURNAL, offset=offset, skip_gaps=skip_gaps)
        return b"".join([piece async for piece in pieces])


@pytest.mark.parametrize("codec", CODECS)
async def test_overlapping_files_are_read_once(tmp_path: Path, codec: CompressionCodec) -> None:
    """As three replicas leave them which came to the journal one after the other."""
    write_fragment(tmp_path, JOURNAL, 0, CONTENT[:300], codec=codec, postfix="day=1")
    write_fragment(tmp_path, JOURNAL, 200, CONTENT[200:500], codec=codec, postfix="day=1")
    write_fragment(tmp_path, JOURNAL, 250, CONTENT[250:], codec=codec, postfix="day=2")
    write_fragment(tmp_path, JOURNAL, 250, CONTENT[250:], codec=codec, postfix="day=3")
    assert await read(tmp_path) == CONTENT
    assert await read(tmp_path, offset=400) == CONTENT[400:]


async def test_files_are_fetched_ahead_of_who_wants_more_than_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    get = FileStore.get

    async def watched(store: FileStore, path: str) -> ObjectStream:
        opened.append(path)
        return await get(store, path)

    monkeypatch.setattr(FileStore, "get", watched)
    for begin in range(0, 800, 100):
        write_fragment(tmp_path, JOURNAL, begin, CONTENT[begin : begin + 100])
    async with (
        Lake("file:///", file_root=str(tmp_path)) as lake,
        aclosing(lake.read(JOURNAL)) as pieces,
    ):
        content = await anext(pieces)
        assert len(opened) == 1
        for _ in range(4):
            content += await anext(pieces)
        assert content == CONTENT[:500]  # In order.
        await until(lambda: len(opened) == 8, "all opened")  # Whoever reads rests.


@pytest.mark.parametrize("codec", CODECS)
async def test_a_truncated_file_is_corrupt(tmp_path: Path, codec: CompressionCodec) -> None:
    path = write_fragment(tmp_path, JOURNAL, 0, CONTENT, codec=codec)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(CorruptFragmentError) as caught:
        await read(tmp_path)
    assert path.name[34:74] in str(caught.value)


async def test_a_file_of_other_content_is_corrupt(tmp_path: Path) -> None:
    write_fragment(tmp_path, JOURNAL, 0, CONTENT.upper(), named_after=CONTENT)
    with pytest.raises(CorruptFragmentError):
        await read(tmp_path)


async def test_a_file_which_goes_on_is_corrupt(tmp_path: Path) -> None:
    write_fragment(tmp_path, JOURNAL, 0, CONTENT + b"more", named_after=CONTENT)
    with pytest.raises(CorruptFragmentError, match="goes on"):
        await read(tmp_path)


@pytest.mark.parametrize("extension", [".raw", ".zst", ".sz"])
async def test_the_extension_of_another_codec_is_corrupt(tmp_path: Path, extension: str) -> None:
    path = write_fragment(tmp_path, JOURNAL, 0, CONTENT, codec=CompressionCodec.GZIP)
    path.rename(path.with_suffix(extension))
    with pytest.raises(CorruptFragmentError):
        await read(tmp_path)


@pytest.mark.parametrize("name", ["notes.txt", "day=1/0-10.raw", "0-a-00.lz4"])
async def test_what_is_no_fragment_is_refused_or_skipped(tmp_path: Path, name: str) -> None:
    """It may be the journal's last fragment, whose name somebody damaged."""
    write_fragment(tmp_path, JOURNAL, 0, CONTENT)
    foreign = tmp_path / JOURNAL / name
    foreign.parent.mkdir(exist_ok=True)
    foreign.write_bytes(b"?")
    with pytest.raises(ForeignObjectError, match=name):
        await read(tmp_path)
    async with Lake("file:///", file_root=str(tmp_path)) as lake:
        assert len(await lake.files(JOURNAL, skip_foreign=True)) == 1


async def test_hidden_files_are_nobody_s_fragments(tmp_path: Path) -> None:
    """Probes of whether a broker may write, or delete, in the journal's directory."""
    write_fragment(tmp_path, JOURNAL, 0, CONTENT)
    (tmp_path / JOURNAL / ".gazette-delete-probe").touch()
    assert await read(tmp_path) == CONTENT


async def test_a_missing_file_is_a_gap(tmp_path: Path) -> None:
    write_fragment(tmp_path, JOURNAL, 0, CONTENT[:HALF])
    write_fragment(tmp_path, JOURNAL, HALF + 10, CONTENT[HALF + 10 :])
    with pytest.raises(OffsetJumpError) as caught:
        await read(tmp_path)
    assert (caught.value.offset, caught.value.to) == (HALF, HALF + 10)
    assert await read(tmp_path, skip_gaps=True) == CONTENT[:HALF] + CONTENT[HALF + 10 :]


async def test_a_missing_beginning_is_a_gap(tmp_path: Path) -> None:
    write_fragment(tmp_path, JOURNAL, HALF, CONTENT[HALF:])
    with pytest.raises(OffsetJumpError):
        await read(tmp_path)
    assert await read(tmp_path, offset=HALF) == CONTENT[HALF:]


async def test_a_file_which_was_deleted_meanwhile_is_missing(tmp_path: Path) -> None:
    path = write_fragment(tmp_path, JOURNAL, 0, CONTENT)
    async with Lake("file:///", file_root=str(tmp_path)) as lake:
        parts = cover(await lake.files(JOURNAL))
        path.unlink()
        with pytest.raises(StoreMissingError):
            _ = [piece async for piece in lake.read_parts(JOURNAL, parts)]


async def test_files_of_the_same_offsets_and_other_sums_conflict(tmp_path: Path) -> None:
    write_fragment(tmp_path, JOURNAL, 0, CONTENT)
    write_fragment(tmp_path, JOURNAL, 0, CONTENT.upper())
    with pytest.raises(ConflictingFragmentsError):
        await read(tmp_path)


@pytest.mark.parametrize("codec", CODECS)
async def test_files_which_overlap_with_other_content_conflict(
    tmp_path: Path, codec: CompressionCodec
) -> None:
    """Their names cannot tell: two primaries wrote, each from another offset on."""
    write_fragment(tmp_path, JOURNAL, 0, CONTENT[:HALF], codec=codec)
    other = CONTENT[HALF - 40 : HALF].upper() + CONTENT[HALF:]
    write_fragment(tmp_path, JOURNAL, HALF - 40, other, codec=codec)
    received = bytearray()

    async def receive() -> None:
        async with Lake("file:///", file_root=str(tmp_path)) as lake:
            async for piece in lake.read(JOURNAL):
                received.extend(piece)

    with pytest.raises(ConflictingFragmentsError) as caught:
        await receive()
    assert (caught.value.offset, caught.value.end) == (HALF - 40, HALF)
    assert received == CONTENT[:HALF]


async def test_a_directory_which_is_none_of_the_store_is_denied(tmp_path: Path) -> None:
    async with Lake("file:///", file_root="") as lake:
        with pytest.raises(StoreDeniedError):
            await lake.files(JOURNAL)


async def test_whole_files_are_found_where_they_tile_the_journal(tmp_path: Path) -> None:
    spans = [(0, 100), (50, 350), (100, 150), (150, 300), (100, 300), (300, 400)]
    for begin, end in spans:
        write_fragment(tmp_path, JOURNAL, begin, CONTENT[begin:end])
    async with Lake("file:///", file_root=str(tmp_path)) as lake:
        files = await lake.files(JOURNAL)
    whole = cover_with_whole_files(files)
    assert whole is not None
    assert [(file.begin, file.end) for file in whole] == [(0, 100), (100, 300), (300, 400)]
    assert any(isinstance(part, Slice) and part.skip for part in cover(files))
    assert cover_with_whole_files(files, 1) is None
    assert cover_with_whole_files([f for f in files if f.end != 100]) is None
    assert [part for part in cover(files, 350) if isinstance(part, Gap)] == []
