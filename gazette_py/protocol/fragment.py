"""Fragments: spans of a journal's bytes, and the names of the files which hold them."""

from dataclasses import dataclass

from gazette_py.protocol.enums import CompressionCodec

ZERO_SUM = bytes(20)
"""Sum of an empty fragment. Not the SHA-1 of no bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """Bytes `[begin, end)` of a journal, with the SHA-1 of their uncompressed content."""

    journal: str = ""
    begin: int = 0
    end: int = 0
    sum: bytes = ZERO_SUM  # 20 bytes.
    compression_codec: CompressionCodec = CompressionCodec.NONE
    backing_store: str = ""  # Store URL as the spec spells it; empty while local.
    mod_time: int = 0  # Unix seconds of the stored object; 0 while local.
    path_postfix: str = ""

    @property
    def length(self) -> int:
        """Bytes before compression."""
        return self.end - self.begin
