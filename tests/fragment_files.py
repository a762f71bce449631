"""Writes fragment files as brokers do, so that a test can have any of them."""

import gzip
import hashlib
from pathlib import Path

import cramjam
import zstandard

from gazette_py.protocol.enums import CompressionCodec
from gazette_py.protocol.fragment import Fragment, content_path

_ENCODE = {
    CompressionCodec.NONE: bytes,
    CompressionCodec.GZIP: gzip.compress,
    CompressionCodec.ZSTANDARD: zstandard.compress,
    CompressionCodec.SNAPPY: lambda content: bytes(cramjam.snappy.compress(content)),
}


def write_fragment(
    root: Path,
    journal: str,
    begin: int,
    content: bytes,
    *,
    codec: CompressionCodec = CompressionCodec.NONE,
    postfix: str = "",
    named_after: bytes | None = None,
) -> Path:
    """Write a file of a journal, and return its path.

    Args:
        root: Directory of the store.
        journal: Its name.
        begin: Offset of the first byte.
        content: Bytes before compression.
        codec: How they are compressed.
        postfix: Path postfix.
        named_after: Content of which the name tells the length and sum, if it is not `content`.
    """
    promised = content if named_after is None else named_after
    fragment = Fragment(
        journal=journal,
        begin=begin,
        end=begin + len(promised),
        sum=hashlib.sha1(promised, usedforsecurity=False).digest(),
        compression_codec=codec,
        path_postfix=postfix,
    )
    path = root / content_path(fragment)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_ENCODE[codec](content))
    return path
