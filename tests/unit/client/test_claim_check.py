"""Payloads which are checked into a store, and out of it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gazette_py.client import ClaimCheck
from gazette_py.errors import ClaimError, StoreError

LARGE = b"payload " * 100


@pytest.fixture
async def claims(tmp_path: Path) -> AsyncIterator[ClaimCheck]:
    async with ClaimCheck("file:///", file_root=str(tmp_path), threshold_bytes=100) as made:
        yield made


def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


async def test_a_small_payload_is_its_own_record(claims: ClaimCheck, tmp_path: Path) -> None:
    assert await claims.check_in(b"small") == b"small"
    assert await claims.check_out(b"small") == b"small"
    assert files(tmp_path) == []


async def test_a_large_one_is_stored_once_under_its_hash(
    claims: ClaimCheck, tmp_path: Path
) -> None:
    record = await claims.check_in(LARGE)
    assert len(record) < 120
    assert record.endswith(b"\n")
    (file,) = files(tmp_path)
    assert file.name.encode() in record
    before = file.stat().st_mtime_ns
    assert await claims.check_in(LARGE) == record
    assert file.stat().st_mtime_ns == before
    assert await claims.check_out(record) == LARGE


async def test_a_payload_which_looks_like_a_reference_comes_back(claims: ClaimCheck) -> None:
    lookalike = await claims.check_in(LARGE)
    record = await claims.check_in(lookalike)
    assert record != lookalike
    assert await claims.check_out(record) == lookalike


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "is not in the store"),
        (LARGE[:-1], "has not the 800 bytes which were checked in"),
        (LARGE + b"more", "has not the 800 bytes which were checked in"),
        (LARGE[:-1] + b"X", "has the hash"),
    ],
)
async def test_what_is_not_as_it_was_is_an_error(
    claims: ClaimCheck, tmp_path: Path, content: bytes | None, reason: str
) -> None:
    record = await claims.check_in(LARGE)
    (file,) = files(tmp_path)
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ClaimError, match=reason):
        await claims.check_out(record)


async def test_a_store_which_does_not_take_it(tmp_path: Path) -> None:
    missing = tmp_path / "file"
    missing.write_bytes(b"")
    async with ClaimCheck("file:///", file_root=str(missing), threshold_bytes=1) as claims:
        with pytest.raises(StoreError):
            await claims.check_in(LARGE)
