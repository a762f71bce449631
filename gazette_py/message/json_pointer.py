"""JSON pointers (RFC 6901): where something is within a document. Pure."""

from collections.abc import Sequence
from typing import Final

MISSING: Final = object()
"""Nothing is there. Unlike null, which is something."""


def parse_pointer(text: str) -> tuple[str, ...]:
    """Return the names on the way from the whole document.

    Raises:
        ValueError: It is no pointer.
    """
    if text and not text.startswith("/"):
        raise ValueError("a JSON pointer begins with '/'")
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:])


def resolve(document: object, names: Sequence[str]) -> object:
    """Return what the names lead to.

    Raises:
        LookupError: Nothing is there.
    """
    value = document
    for name in names:
        value = _within(value, name)
        if value is MISSING:
            raise LookupError(f"nothing is at {name!r}")
    return value


def find(document: object, names: Sequence[str]) -> object:
    """Return what the names lead to, or `MISSING`."""
    value = document
    for name in names:
        value = _within(value, name)
    return value


def _within(value: object, name: str) -> object:
    if isinstance(value, dict):
        return value.get(name, MISSING)
    if isinstance(value, list) and _is_index(name) and int(name) < len(value):
        return value[int(name)]
    return MISSING


def _is_index(name: str) -> bool:
    return name.isascii() and name.isdigit()
