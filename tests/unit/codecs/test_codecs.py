"""Literal facts of each codec's files, which other programs rely on."""

import gzip

import pytest
import zstandard

from gazette_py.codecs import CodecError, compressor, decompressor
from gazette_py.protocol.enums import CompressionCodec as Codec

STREAM_IDENTIFIER = bytes.fromhex("ff060000734e61507059")


def test_gzip_reads_many_members() -> None:
    stored = gzip.compress(b"one") + gzip.compress(b"") + gzip.compress(b"two")
    coder = decompressor(Codec.GZIP)

    assert coder.decompress(stored) == b"onetwo"
    coder.finish()


def test_gzip_offload_is_a_single_member() -> None:
    coder = compressor(Codec.GZIP_OFFLOAD_DECOMPRESSION)
    coder.flush()

    with pytest.raises(AssertionError, match="single gzip member"):
        coder.compress(b"more")


def test_gzip_offload_which_the_store_decoded_is_content() -> None:
    coder = decompressor(Codec.GZIP_OFFLOAD_DECOMPRESSION)

    assert coder.decompress(b"content") == b"content"
    coder.finish()


def test_gzip_refuses_garbage_after_a_member() -> None:
    coder = decompressor(Codec.GZIP)

    with pytest.raises(CodecError, match="GZIP: corrupt member 2"):
        coder.decompress(gzip.compress(b"one") + b"garbage which is no gzip header")


def test_gzip_names_the_truncated_member() -> None:
    coder = decompressor(Codec.GZIP)
    coder.decompress(gzip.compress(b"one") + gzip.compress(b"two")[:-1])

    with pytest.raises(CodecError, match="GZIP: truncated within member 2"):
        coder.finish()


@pytest.mark.parametrize("codec", [Codec.GZIP, Codec.ZSTANDARD, Codec.SNAPPY])
def test_no_bytes_are_no_file(codec: Codec) -> None:
    with pytest.raises(CodecError, match="truncated: there is no"):
        decompressor(codec).finish()


def test_zstandard_frames_do_not_name_their_length() -> None:
    """A length in the header would belong to the first frame only, and mislead one-shot readers."""
    coder = compressor(Codec.ZSTANDARD)
    stored = coder.compress(b"content") + coder.flush()

    assert zstandard.frame_content_size(stored) == -1


def test_snappy_begins_with_the_identifier_once() -> None:
    coder = compressor(Codec.SNAPPY)
    stored = coder.compress(b"x" * 100_000) + coder.compress(b"y" * 100_000) + coder.flush()

    assert stored.startswith(STREAM_IDENTIFIER)
    assert stored.count(STREAM_IDENTIFIER) == 1


def test_snappy_reads_what_the_reference_writes() -> None:
    """From its framed writer: a compressed chunk, and after a flush a raw one."""
    stored = bytes.fromhex(
        "ff060000734e61507059"
        "001d0000f83409f935446f6e65206c696e65206f6620746578742c20861200000a"
        "0108000015b98f16000102ff"
    )
    coder = decompressor(Codec.SNAPPY)
    content = coder.decompress(stored)
    coder.finish()

    assert content == b"one line of text, one line of text, one line of text\n\x00\x01\x02\xff"


def test_snappy_skips_padding_and_skippable_chunks() -> None:
    coder = compressor(Codec.SNAPPY)
    stored = coder.compress(b"content") + coder.flush()
    padding = b"\xfe\x03\x00\x00\x00\x00\x00"
    skippable = b"\x80\x02\x00\x00hi"
    reader = decompressor(Codec.SNAPPY)

    assert reader.decompress(stored + padding + skippable + stored) == b"contentcontent"
    reader.finish()


@pytest.mark.parametrize(
    ("stored", "reason"),
    [
        (b"\x00\x05\x00\x00", "identifier is missing"),
        (STREAM_IDENTIFIER + b"\x00\xff\xff\xff", "claims 16777215 bytes"),
        (STREAM_IDENTIFIER + b"\x02\x01\x00\x00x", "corrupt chunk"),
        (STREAM_IDENTIFIER + b"\x01\x05\x00\x00\x00\x00\x00\x00x", "corrupt chunk"),
        (b"\xff\x06\x00\x00sNaPpX", "corrupt chunk"),
    ],
)
def test_snappy_refuses(stored: bytes, reason: str) -> None:
    with pytest.raises(CodecError, match=reason):
        decompressor(Codec.SNAPPY).decompress(stored)


def test_invalid_is_no_codec() -> None:
    with pytest.raises(CodecError):
        compressor(Codec.INVALID)
    with pytest.raises(CodecError):
        decompressor(Codec.INVALID)
