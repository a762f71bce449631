"""Gzip files (RFC 1952) of one or many members, by ISA-L where it is built, else by zlib.

Source: gazette/core broker/codecs/codecs.go, which writes a member per batch of commits. We write
one member per file, because a member costs a header and a fresh dictionary.
"""

import zlib
from typing import Any, Final, cast

from gazette_py.codecs.base import Bytes, CodecError, Compressor, Decompressor
from gazette_py.protocol.enums import CompressionCodec

_engine: Any = zlib
_engine_errors: tuple[type[Exception], ...] = (zlib.error,)
_LEVEL_DEFAULT = zlib.Z_DEFAULT_COMPRESSION
try:  # Several times as fast as zlib, with its interface; not built for every platform.
    from isal import isal_zlib

    _engine = isal_zlib
    _engine_errors = (zlib.error, cast("type[Exception]", isal_zlib.error))
    _LEVEL_DEFAULT = isal_zlib.ISAL_DEFAULT_COMPRESSION
except ImportError:  # pragma: no cover (where isal is not built)
    pass

_WINDOW_BITS: Final = 15 + 16  # The largest window, in a gzip (not zlib) container.


class GzipCompressor(Compressor):
    """Writes a member per flush, or a single one."""

    def __init__(self, codec: CompressionCodec) -> None:
        # Stores which decode for the reader are known to stop after the first member.
        self._is_single = codec is CompressionCodec.GZIP_OFFLOAD_DECOMPRESSION
        self._member: Any = _new_member()

    def compress(self, data: Bytes) -> bytes:
        """Take content into the open member, or into a new one."""
        if self._member is None:
            assert not self._is_single, "content after the end of a single gzip member"
            self._member = _new_member()
        return bytes(self._member.compress(data))

    def flush(self) -> bytes:
        """End the open member, if there is one."""
        if self._member is None:
            return b""
        tail = bytes(self._member.flush())
        self._member = None
        return tail


class GzipDecompressor(Decompressor):
    """Reads members until the input ends, and verifies the sum and length of each."""

    piece_bytes_max = 16 << 10  # Deflate expands by up to 1032.

    def __init__(self, codec: CompressionCodec) -> None:
        self._codec = codec
        self._member: Any = None  # Open member.
        self._members = 0  # Begun so far.

    def decompress(self, data: Bytes) -> bytes:
        """Take the next bytes, of one or more members."""
        parts = []
        while data:
            if self._member is None:
                self._member = _engine.decompressobj(wbits=_WINDOW_BITS)
                self._members += 1
            try:
                parts.append(self._member.decompress(data))
            except _engine_errors as exc:
                raise CodecError(self._codec, f"corrupt member {self._members}: {exc}") from exc
            if not self._member.eof:
                break
            data = self._member.unused_data
            self._member = None
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def finish(self) -> None:
        """Require that at least one member was read, and the last one to its end."""
        if self._member is not None:
            raise CodecError(self._codec, f"truncated within member {self._members}")
        if self._members == 0:
            raise CodecError(self._codec, "truncated: there is no member")


def _new_member() -> Any:
    return _engine.compressobj(level=_LEVEL_DEFAULT, wbits=_WINDOW_BITS)
