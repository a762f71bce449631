"""Fragments: spans of a journal's bytes, and the names of the files which hold them.

    content name = begin - end - sum extension     (16, 16 and 40 hexadecimal digits)
    content path = journal / path postfix / content name

Source: gazette/core broker/protocol/fragment_extensions.go.
"""

import posixpath
import re
from dataclasses import dataclass
from typing import Final

from gazette_py.errors import ValidationError
from gazette_py.protocol.enums import CompressionCodec
from gazette_py.protocol.journal import validate_journal
from gazette_py.protocol.text import field_path, validate_path_component

_EXTENSIONS: Final = {
    CompressionCodec.NONE: ".raw",
    CompressionCodec.GZIP: ".gz",
    CompressionCodec.ZSTANDARD: ".zst",
    CompressionCodec.SNAPPY: ".sz",
    # Documented as .gzod, but written without any: stores decode such objects on their way.
    CompressionCodec.GZIP_OFFLOAD_DECOMPRESSION: "",
}
_CODECS: Final = {
    **{extension: codec for codec, extension in _EXTENSIONS.items()},
    ".gzip": CompressionCodec.GZIP,
    ".zstandard": CompressionCodec.ZSTANDARD,
    ".snappy": CompressionCodec.SNAPPY,
    ".gzod": CompressionCodec.GZIP_OFFLOAD_DECOMPRESSION,
}
_OFFSET: Final = re.compile(r"[+-]?[0-9a-fA-F]+")
_SUM: Final = re.compile(r"[0-9a-fA-F]*")

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


def extension_of(codec: CompressionCodec) -> str:
    """Return the extension of names of fragments of a valid codec; it begins with its dot."""
    return _EXTENSIONS[codec]


def content_name(fragment: Fragment) -> str:
    """Return the name of the fragment's file. The codec must be valid."""
    extension = _EXTENSIONS[fragment.compression_codec]
    return f"{fragment.begin:016x}-{fragment.end:016x}-{fragment.sum.hex()}{extension}"


def content_path(fragment: Fragment) -> str:
    """Return the path of the fragment's file in its store, before the store's rewriting."""
    parts = (fragment.journal, fragment.path_postfix, content_name(fragment))
    return posixpath.normpath("/".join(part for part in parts if part))


def parse_content_name(journal: str, name: str) -> Fragment:
    """Return the fragment which a file is, by its path below the journal's directory.

    Args:
        journal: Its name.
        name: `[path postfix/]content name`. Digits need not be padded, nor lower-case.

    Raises:
        ValidationError: The file is no fragment of this journal.
    """
    postfix, _, base = name.rpartition("/")
    dot = base.rfind(".")
    stem, extension = (base, "") if dot < 0 else (base[:dot], base[dot:])
    codec = _CODECS.get(extension.lower())
    if codec is None:
        raise ValidationError("", f"unrecognized compression extension: {extension}")
    parts = stem.split("-")
    if len(parts) != 3:
        raise ValidationError("", f"wrong Fragment format: {base}")
    fragment = Fragment(
        journal=journal,
        begin=_parse_offset(parts[0], "Begin"),
        end=_parse_offset(parts[1], "End"),
        sum=_parse_sum(parts[2]),
        compression_codec=codec,
        path_postfix=postfix,
    )
    validate_fragment(fragment)
    return fragment


def validate_fragment(fragment: Fragment, path: str = "") -> None:
    """Refuse a fragment with a bad journal, span, codec or postfix.

    Raises:
        ValidationError: The path leads to the faulty field.
    """
    validate_journal(fragment.journal, field_path(path, "Journal"))
    if not fragment.begin <= fragment.end:
        raise ValidationError(
            path, f"expected Begin <= End (have {fragment.begin}, {fragment.end})"
        )
    if fragment.compression_codec is CompressionCodec.INVALID:
        raise ValidationError(field_path(path, "CompressionCodec"), "invalid value (INVALID)")
    validate_path_component(fragment.path_postfix, field_path(path, "PathPostfix"), 0, 512)


def _parse_offset(digits: str, path: str) -> int:
    if _OFFSET.fullmatch(digits) is None or not -(1 << 63) <= int(digits, 16) < 1 << 63:
        raise ValidationError(path, f"not a 64-bit hexadecimal number ({digits})")
    return int(digits, 16)


def _parse_sum(digits: str) -> bytes:
    if _SUM.fullmatch(digits) is None or len(digits) % 2:
        raise ValidationError("Sum", f"not hexadecimal ({digits})")
    if len(digits) != 40:
        raise ValidationError("", f"invalid SHA1Sum length: {digits}")
    return bytes.fromhex(digits)
