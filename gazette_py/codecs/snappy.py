"""Snappy files in the framing format: a stream identifier, then chunks with sums.

The library decodes whole streams only, so we cut the input between chunks and have it decode each
run of whole chunks as a stream of its own. It also verifies the sums.

Source: the framing format of google/snappy (framing_format.txt).
"""

from typing import Final

import cramjam

from gazette_py.codecs.base import Bytes, CodecError, Compressor, Decompressor
from gazette_py.protocol.enums import CompressionCodec

_STREAM_IDENTIFIER: Final = b"\xff\x06\x00\x00sNaPpY"
_BLOCK_BYTES: Final = 64 << 10  # The most content that one chunk may hold.
_CHUNK_HEADER_BYTES: Final = 4  # Type, then the length of what follows, little endian.
_CHUNK_DATA_TYPES: Final = (0x00, 0x01)
# A chunk of data has a sum of 4 bytes and at most the worst case of a block: 32 + n + n / 6.
_CHUNK_DATA_BYTES_MAX: Final = 4 + 32 + _BLOCK_BYTES + _BLOCK_BYTES // 6


class SnappyCompressor(Compressor):
    """Writes one stream. Content waits until it fills a chunk, or for a flush."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._has_begun = False

    def compress(self, data: Bytes) -> bytes:
        """Take content, and return the chunks which it fills."""
        self._pending += data
        ready = len(self._pending) - len(self._pending) % _BLOCK_BYTES
        if ready == 0:
            return b""
        chunks = self._encode(self._pending[:ready])
        del self._pending[:ready]
        return chunks

    def flush(self) -> bytes:
        """Return a last, shorter chunk, and at least the identifier of the stream."""
        if not self._pending and self._has_begun:
            return b""
        chunks = self._encode(self._pending)
        self._pending = bytearray()
        return chunks

    def _encode(self, content: bytearray) -> bytes:
        encoded = bytes(cramjam.snappy.compress(content)) if content else _STREAM_IDENTIFIER
        if self._has_begun:
            return encoded[len(_STREAM_IDENTIFIER) :]
        self._has_begun = True
        return encoded


class SnappyDecompressor(Decompressor):
    """Reads chunks until the input ends. The identifier may come again: streams may be joined."""

    def __init__(self) -> None:
        self._pending = bytearray()  # Less than one chunk, between calls.
        self._has_begun = False

    def decompress(self, data: Bytes) -> bytes:
        """Take the next bytes, and return the content of the chunks which they complete."""
        self._pending += data
        end = self._whole_chunks_end()
        if end == 0:
            return b""
        run = _STREAM_IDENTIFIER + self._pending[:end]
        del self._pending[:end]
        try:
            return bytes(cramjam.snappy.decompress(run))
        except cramjam.DecompressionError as exc:
            raise _error(f"corrupt chunk: {exc}") from exc

    def finish(self) -> None:
        """Require that a stream began, and that its last chunk is whole."""
        if self._pending:
            raise _error("truncated within a chunk")
        if not self._has_begun:
            raise _error("truncated: there is no stream")

    def _whole_chunks_end(self) -> int:
        """Return the end of the last whole chunk of `_pending`, having checked every header."""
        end = 0
        while len(self._pending) >= end + _CHUNK_HEADER_BYTES:
            kind = self._pending[end]
            length = int.from_bytes(self._pending[end + 1 : end + _CHUNK_HEADER_BYTES], "little")
            if not self._has_begun and kind != _STREAM_IDENTIFIER[0]:
                raise _error("the stream identifier is missing")
            if kind in _CHUNK_DATA_TYPES and length > _CHUNK_DATA_BYTES_MAX:
                raise _error(f"a chunk claims {length} bytes")
            if len(self._pending) < end + _CHUNK_HEADER_BYTES + length:
                break
            end += _CHUNK_HEADER_BYTES + length
            self._has_begun = True
        return end


def _error(reason: str) -> CodecError:
    return CodecError(CompressionCodec.SNAPPY, reason)
