"""What a codec is: a streaming compressor and decompressor of one fragment file.

Coders hold state of one file and are used by one thread at a time. They release the GIL while they
work, so large pieces (256 KiB to 4 MiB) are best given to them in a thread.

Invariants:
    C1  The joined outputs of `compress` and `flush` are a whole file, whatever the pieces were.
    C2  `decompress` yields the content of a file in any pieces, and of files which are joined.
    C3  Damage is a `CodecError`, at the latest from `finish`. A file which ends between members,
        frames or chunks is whole to a codec: who knows the fragment's length compares it too.
"""

from abc import ABC, abstractmethod

from gazette_py.errors import GazetteError
from gazette_py.protocol.enums import CompressionCodec

Bytes = bytes | bytearray | memoryview


class CodecError(GazetteError):
    """Compressed bytes are truncated or corrupt."""

    def __init__(self, codec: CompressionCodec, reason: str) -> None:
        super().__init__(f"{codec.name}: {reason}")
        self.codec = codec
        self.reason = reason


class Compressor(ABC):
    """Compresses the content of one file, piece by piece."""

    @abstractmethod
    def compress(self, data: Bytes) -> bytes:
        """Take the next content, and return what is now ready of the file. It may be nothing."""

    @abstractmethod
    def flush(self) -> bytes:
        """End the file, and return the rest of it.

        Content may still follow, except for GZIP_OFFLOAD_DECOMPRESSION: it begins another member,
        frame or run of chunks, and wants another flush.
        """


class Decompressor(ABC):
    """Decompresses one file, piece by piece.

    Attributes:
        piece_bytes_max: Larger input is best given in slices of this size: the output of a slice
            of the most compressible content then stays within 32 MiB.
    """

    piece_bytes_max: int = 1 << 20

    @abstractmethod
    def decompress(self, data: Bytes) -> bytes:
        """Take the next bytes of the file, and return the content which they complete.

        Raises:
            CodecError: The bytes are corrupt.
        """

    @abstractmethod
    def finish(self) -> None:
        """Check that the file may end here.

        Raises:
            CodecError: The file is truncated.
        """
