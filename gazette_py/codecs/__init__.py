"""Codecs of fragment files: none, gzip, zstandard and snappy, as streaming coders.

Compressed bytes are no part of a fragment's identity, so levels and block sizes are ours to choose.

Source: gazette/core broker/codecs/codecs.go.
"""

from typing import assert_never

from gazette_py.codecs.base import Bytes, CodecError, Compressor, Decompressor
from gazette_py.codecs.gzip import GzipCompressor, GzipDecompressor
from gazette_py.codecs.none import NoneCompressor, NoneDecompressor
from gazette_py.codecs.snappy import SnappyCompressor, SnappyDecompressor
from gazette_py.codecs.zstd import ZstdCompressor, ZstdDecompressor
from gazette_py.protocol.enums import CompressionCodec

__all__ = ["Bytes", "CodecError", "Compressor", "Decompressor", "compressor", "decompressor"]


def compressor(codec: CompressionCodec) -> Compressor:
    """Return a compressor of one file.

    Raises:
        CodecError: The codec is INVALID.
    """
    match codec:
        case CompressionCodec.NONE:
            return NoneCompressor()
        case CompressionCodec.GZIP | CompressionCodec.GZIP_OFFLOAD_DECOMPRESSION:
            return GzipCompressor(codec)
        case CompressionCodec.ZSTANDARD:
            return ZstdCompressor()
        case CompressionCodec.SNAPPY:
            return SnappyCompressor()
        case CompressionCodec.INVALID:
            raise CodecError(codec, "not a codec")
        case _:
            assert_never(codec)


def decompressor(codec: CompressionCodec, *, is_still_gzip: bool = False) -> Decompressor:
    """Return a decompressor of one file.

    Args:
        codec: How the file was written.
        is_still_gzip: Of GZIP_OFFLOAD_DECOMPRESSION only: the store did not decode the file, and
            answered with `Content-Encoding: gzip`.

    Raises:
        CodecError: The codec is INVALID.
    """
    match codec:
        case CompressionCodec.NONE:
            return NoneDecompressor()
        case CompressionCodec.GZIP:
            return GzipDecompressor(codec)
        case CompressionCodec.GZIP_OFFLOAD_DECOMPRESSION:
            return GzipDecompressor(codec) if is_still_gzip else NoneDecompressor()
        case CompressionCodec.ZSTANDARD:
            return ZstdDecompressor()
        case CompressionCodec.SNAPPY:
            return SnappyDecompressor()
        case CompressionCodec.INVALID:
            raise CodecError(codec, "not a codec")
        case _:
            assert_never(codec)
