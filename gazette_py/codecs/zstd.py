"""Zstandard files of one or many frames."""

from typing import Final

import zstandard

from gazette_py.codecs.base import Bytes, CodecError, Compressor, Decompressor
from gazette_py.protocol.enums import CompressionCodec

# The reference's level is 5. Level 3 is the library's own default, and writes twice as fast for a
# few per cent more bytes; compression runs inline with commits.
_LEVEL: Final = 3


class ZstdCompressor(Compressor):
    """Writes a frame per flush, with its sum but, as a stream, without its length."""

    def __init__(self) -> None:
        self._frame: zstandard.ZstdCompressionObj | None = _new_frame()

    def compress(self, data: Bytes) -> bytes:
        """Take content into the open frame, or into a new one."""
        if self._frame is None:
            self._frame = _new_frame()
        return self._frame.compress(data)

    def flush(self) -> bytes:
        """End the open frame, if there is one."""
        if self._frame is None:
            return b""
        tail = self._frame.flush()
        self._frame = None
        return tail


class ZstdDecompressor(Decompressor):
    """Reads frames until the input ends."""

    piece_bytes_max = 1 << 10  # A block of four bytes may stand for 128 KiB.

    def __init__(self) -> None:
        self._frame: zstandard.ZstdDecompressionObj | None = None  # Open frame.
        self._frames = 0  # Begun so far.

    def decompress(self, data: Bytes) -> bytes:
        """Take the next bytes, of one or more frames."""
        parts = []
        while data:
            if self._frame is None:
                self._frame = zstandard.ZstdDecompressor().decompressobj()
                self._frames += 1
            try:
                parts.append(self._frame.decompress(data))
            except zstandard.ZstdError as exc:
                reason = f"corrupt frame {self._frames}: {exc}"
                raise CodecError(CompressionCodec.ZSTANDARD, reason) from exc
            if not self._frame.eof:
                break
            data = self._frame.unused_data
            self._frame = None
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def finish(self) -> None:
        """Require that at least one frame was read, and the last one to its end."""
        if self._frame is not None:
            raise CodecError(CompressionCodec.ZSTANDARD, f"truncated within frame {self._frames}")
        if self._frames == 0:
            raise CodecError(CompressionCodec.ZSTANDARD, "truncated: there is no frame")


def _new_frame() -> "zstandard.ZstdCompressionObj":  # Named by the library's stubs only.
    compressor = zstandard.ZstdCompressor(
        level=_LEVEL, write_checksum=True, write_content_size=False
    )
    return compressor.compressobj()
