"""Content which is stored as it is."""

from gazette_py.codecs.base import Bytes, Compressor, Decompressor


class NoneCompressor(Compressor):
    """Hands content through."""

    def compress(self, data: Bytes) -> bytes:
        """Return the content itself."""
        return bytes(data)

    def flush(self) -> bytes:
        """Return nothing: the file has no end mark."""
        return b""


class NoneDecompressor(Decompressor):
    """Hands bytes through, of which any number is a whole file."""

    def decompress(self, data: Bytes) -> bytes:
        """Return the bytes themselves."""
        return bytes(data)

    def finish(self) -> None:
        """Accept any end."""
