"""Codecs return the content they were given, in any pieces (C1, C2), or say why not (C3)."""

import gzip
import io
from itertools import pairwise

import cramjam
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from gazette_py.codecs import CodecError, compressor, decompressor
from gazette_py.protocol.enums import CompressionCodec as Codec

COMPRESSING = [Codec.GZIP, Codec.ZSTANDARD, Codec.SNAPPY, Codec.GZIP_OFFLOAD_DECOMPRESSION]
ALL = [Codec.NONE, *COMPRESSING]

# Both what does not compress and what does, and now and then more than a snappy block.
contents = st.one_of(
    st.binary(max_size=300),
    st.builds(lambda unit, n: unit * n, st.binary(min_size=1, max_size=40), st.integers(0, 5000)),
)
cuts = st.lists(st.integers(0, 1 << 16), max_size=12)


def split(data: bytes, at: list[int]) -> list[bytes]:
    """Cut data at the offsets, taken modulo its length."""
    offsets = sorted({0, len(data), *(cut % (len(data) + 1) for cut in at)})
    return [data[begin:end] for begin, end in pairwise(offsets)]


def encode(codec: Codec, pieces: list[bytes]) -> bytes:
    coder = compressor(codec)
    return b"".join([*map(coder.compress, pieces), coder.flush()])


def decode(codec: Codec, pieces: list[bytes]) -> bytes:
    coder = decompressor(codec, is_still_gzip=True)
    content = b"".join(map(coder.decompress, pieces))
    coder.finish()
    return content


@pytest.mark.parametrize("codec", ALL)
@given(content=contents, at=cuts, back_at=cuts)
def test_content_survives_any_pieces(
    codec: Codec, content: bytes, at: list[int], back_at: list[int]
) -> None:
    stored = encode(codec, split(content, at))

    assert decode(codec, split(stored, back_at)) == content


@pytest.mark.parametrize("codec", COMPRESSING)
def test_content_survives_single_bytes(codec: Codec) -> None:
    """The smallest pieces end within every header, sum and trailer."""
    content = b"a journal is a byte stream " * 50
    stored = encode(codec, [bytes([byte]) for byte in content])

    assert decode(codec, [bytes([byte]) for byte in stored]) == content


@pytest.mark.parametrize("codec", [Codec.GZIP, Codec.ZSTANDARD, Codec.SNAPPY])
@given(first=contents, second=contents, back_at=cuts)
def test_concatenated_files_read_as_one(
    codec: Codec, first: bytes, second: bytes, back_at: list[int]
) -> None:
    stored = encode(codec, [first]) + encode(codec, [second])

    assert decode(codec, split(stored, back_at)) == first + second


@pytest.mark.parametrize("codec", [Codec.GZIP, Codec.ZSTANDARD, Codec.SNAPPY])
@given(first=contents, second=contents)
def test_content_may_follow_a_flush(codec: Codec, first: bytes, second: bytes) -> None:
    coder = compressor(codec)
    stored = coder.compress(first) + coder.flush() + coder.compress(second) + coder.flush()

    assert decode(codec, [stored]) == first + second


@pytest.mark.parametrize("codec", COMPRESSING)
@given(content=contents.filter(len), cut=st.integers(0, 1 << 20))
def test_truncation_is_refused_or_shows_in_the_length(
    codec: Codec, content: bytes, cut: int
) -> None:
    """Only snappy, which has no end mark, may end early without saying so: C3."""
    stored = encode(codec, [content])
    truncated = stored[: cut % len(stored)]
    try:
        got = decode(codec, [truncated])
    except CodecError:
        return
    assert codec is Codec.SNAPPY
    assert len(got) < len(content)


@pytest.mark.parametrize("codec", COMPRESSING)
@given(
    content=st.binary(min_size=200, max_size=400), at=st.integers(0, 1 << 20), bit=st.integers(0, 7)
)
def test_a_flipped_bit_never_yields_other_content(
    codec: Codec, content: bytes, at: int, bit: int
) -> None:
    stored = bytearray(encode(codec, [content]))
    stored[at % len(stored)] ^= 1 << bit
    try:
        got = decode(codec, [bytes(stored)])
    except CodecError:
        return
    # Bits of a header, as gzip's time and name flags, may flip without harm. What is skipped, as
    # a snappy chunk turned into padding, shows in the length.
    assert got == content or len(got) < len(content)


@given(content=contents)
def test_other_programs_read_what_we_write(content: bytes) -> None:
    assert gzip.decompress(encode(Codec.GZIP, [content])) == content
    assert gzip.decompress(encode(Codec.GZIP_OFFLOAD_DECOMPRESSION, [content])) == content
    zstd = zstandard.ZstdDecompressor().stream_reader(
        io.BytesIO(encode(Codec.ZSTANDARD, [content])), read_across_frames=True
    )
    assert zstd.read() == content
    assert bytes(cramjam.snappy.decompress(encode(Codec.SNAPPY, [content]))) == content


@given(content=contents)
def test_we_read_what_other_programs_write(content: bytes) -> None:
    assert decode(Codec.GZIP, [gzip.compress(content)]) == content
    assert decode(Codec.ZSTANDARD, [zstandard.ZstdCompressor().compress(content)]) == content
    if content:  # Of no content the library writes no stream at all, not even an identifier.
        assert decode(Codec.SNAPPY, [bytes(cramjam.snappy.compress(content))]) == content
