"""Text classes of validation: tokens, path tokens and path components.

A letter or number is any character whose Unicode category begins with L or N. Lengths are UTF-8
bytes. Every permitted character sorts above `#`, which etcd keys rely on.

Source: gazette/core broker/protocol/validator.go.
"""

import posixpath
import re
import unicodedata
from typing import Final

from gazette_py.errors import ValidationError

_ASCII_TOKEN: Final = re.compile(r"[A-Za-z0-9\-_+/.]*")
_ASCII_PATH_TOKEN: Final = re.compile(r"[A-Za-z0-9\-_+/.=%]*")
_TOKEN_SYMBOLS: Final = frozenset("-_+/.")
_PATH_TOKEN_SYMBOLS: Final = _TOKEN_SYMBOLS | frozenset("=%")


def validate_token(text: str, path: str, bytes_min: int, bytes_max: int) -> None:
    """Refuse text with other than letters, numbers and `-_+/.`, or of another length.

    Raises:
        ValidationError: With `path`.
    """
    _validate_length(text, path, bytes_min, bytes_max)
    if _ASCII_TOKEN.fullmatch(text) is None and not _is_made_of(text, _TOKEN_SYMBOLS):
        raise ValidationError(path, f"not a valid token ({text})")


def validate_path_token(text: str, path: str, bytes_min: int, bytes_max: int) -> None:
    """Refuse what is no token, where `=` and `%` are allowed too.

    Raises:
        ValidationError: With `path`.
    """
    _validate_length(text, path, bytes_min, bytes_max)
    if _ASCII_PATH_TOKEN.fullmatch(text) is None and not _is_made_of(text, _PATH_TOKEN_SYMBOLS):
        raise ValidationError(path, f"not a valid token ({text})")


def validate_path_component(text: str, path: str, bytes_min: int, bytes_max: int) -> None:
    """Refuse a path token which is absolute, or which lexical cleaning would change.

    Leading `..` elements survive cleaning, and pass: see `escapes_root`.

    Raises:
        ValidationError: With `path`.
    """
    validate_path_token(text, path, bytes_min, bytes_max)
    if text.startswith("/"):
        raise ValidationError(path, f"cannot begin with '/' ({text})")
    if text and posixpath.normpath(text) != text:
        raise ValidationError(path, f"must be a clean path ({text})")


def escapes_root(text: str) -> bool:
    """Tell whether a clean path leads out of the directory which it is relative to."""
    return text == ".." or text.startswith("../")


def field_path(path: str, field: str) -> str:
    """Return the path of a field of the message at `path`, which may be the outermost."""
    return f"{path}.{field}" if path else field


def _validate_length(text: str, path: str, bytes_min: int, bytes_max: int) -> None:
    length = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    if not bytes_min <= length <= bytes_max:
        raise ValidationError(
            path, f"invalid length ({length}; expected {bytes_min} <= length <= {bytes_max})"
        )


def _is_made_of(text: str, symbols: frozenset[str]) -> bool:
    return all(char in symbols or unicodedata.category(char)[0] in "LN" for char in text)
