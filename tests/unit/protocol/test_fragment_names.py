"""Names of fragment files."""

import hashlib

import pytest

from gazette_py.errors import ValidationError
from gazette_py.protocol.enums import CompressionCodec
from gazette_py.protocol.fragment import (
    Fragment,
    content_name,
    content_path,
    extension_of,
    parse_content_name,
    validate_fragment,
)

FOOBAR = hashlib.sha1(b"foobar").digest()
LONG = bytes(range(1, 21))


@pytest.mark.parametrize(
    ("fragment", "name"),
    [
        (
            Fragment(begin=0, end=6, sum=FOOBAR, compression_codec=CompressionCodec.SNAPPY),
            "0000000000000000-0000000000000006-8843d7f92416211de9ebb963ff4ce28125932878.sz",
        ),
        (
            Fragment(begin=1234567890, end=1234567890),
            "00000000499602d2-00000000499602d2-0000000000000000000000000000000000000000.raw",
        ),
        (
            Fragment(
                begin=1234567890,
                end=(1 << 63) - 1,
                sum=LONG,
                compression_codec=CompressionCodec.GZIP,
            ),
            "00000000499602d2-7fffffffffffffff-0102030405060708090a0b0c0d0e0f1011121314.gz",
        ),
        (
            Fragment(begin=0, end=1, sum=LONG, compression_codec=CompressionCodec.ZSTANDARD),
            "0000000000000000-0000000000000001-0102030405060708090a0b0c0d0e0f1011121314.zst",
        ),
        (
            Fragment(
                begin=0,
                end=1,
                sum=LONG,
                compression_codec=CompressionCodec.GZIP_OFFLOAD_DECOMPRESSION,
            ),
            "0000000000000000-0000000000000001-0102030405060708090a0b0c0d0e0f1011121314",
        ),
    ],
)
def test_names(fragment: Fragment, name: str) -> None:
    assert content_name(fragment) == name
    parsed = parse_content_name("a/journal", f"x=1/y/{name}")
    assert (parsed.begin, parsed.end, parsed.sum) == (fragment.begin, fragment.end, fragment.sum)
    assert parsed.compression_codec is fragment.compression_codec
    assert parsed.path_postfix == "x=1/y"
    assert parsed.length == fragment.length
    assert content_path(parsed) == f"a/journal/x=1/y/{name}"


def test_a_path_without_postfix() -> None:
    fragment = Fragment(journal="a/journal", begin=0, end=0)
    assert content_path(fragment) == f"a/journal/{content_name(fragment)}"
    assert extension_of(CompressionCodec.NONE) == ".raw"


@pytest.mark.parametrize(
    ("extension", "codec"),
    [
        (".raw", CompressionCodec.NONE),
        (".RAW", CompressionCodec.NONE),
        (".gzip", CompressionCodec.GZIP),
        (".zstandard", CompressionCodec.ZSTANDARD),
        (".snappy", CompressionCodec.SNAPPY),
        (".gzod", CompressionCodec.GZIP_OFFLOAD_DECOMPRESSION),
    ],
)
def test_other_extensions_which_are_read(extension: str, codec: CompressionCodec) -> None:
    name = f"0-6-{FOOBAR.hex().upper()}{extension}"
    parsed = parse_content_name("a/journal", name)
    assert (parsed.begin, parsed.end, parsed.sum) == (0, 6, FOOBAR)
    assert parsed.compression_codec is codec


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("health-check", "wrong Fragment format"),
        ("readme.md", "unrecognized compression extension: .md"),
        (f"0-1-2-{FOOBAR.hex()}.gz", "wrong Fragment format"),
        (f"x-1-{FOOBAR.hex()}.gz", "Begin: not a 64-bit hexadecimal number (x)"),
        (f"0-8000000000000000-{FOOBAR.hex()}.gz", "End: not a 64-bit"),
        ("0-1-zz.gz", "Sum: not hexadecimal"),
        ("0-1-abc.gz", "Sum: not hexadecimal"),
        ("0-1-abcd.gz", "invalid SHA1Sum length"),
        (f"2-1-{FOOBAR.hex()}.gz", "expected Begin <= End (have 2, 1)"),
        (f"a b/0-1-{FOOBAR.hex()}.gz", "PathPostfix: not a valid token"),
        (f"{'p' * 513}/0-1-{FOOBAR.hex()}.gz", "PathPostfix: invalid length"),
    ],
)
def test_what_is_no_fragment(name: str, expected: str) -> None:
    with pytest.raises(ValidationError) as caught:
        parse_content_name("a/journal", name)
    assert str(caught.value).startswith(expected)


def test_fragments() -> None:
    validate_fragment(Fragment(journal="a/journal;meta"))
    for fragment, path in (
        (Fragment(journal="abc"), "Proposal.Journal"),
        (Fragment(journal="abcd", begin=2, end=1), "Proposal"),
        (
            Fragment(journal="abcd", compression_codec=CompressionCodec.INVALID),
            "Proposal.CompressionCodec",
        ),
        (Fragment(journal="abcd", path_postfix="/x"), "Proposal.PathPostfix"),
    ):
        with pytest.raises(ValidationError) as caught:
            validate_fragment(fragment, "Proposal")
        assert caught.value.path == path
