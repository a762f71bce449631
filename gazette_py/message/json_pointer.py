"""JSON pointers (RFC 6901): where something is within a document. Pure."""

from collections.abc import Sequence


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
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and _is_index(name) and int(name) < len(value):
            value = value[int(name)]
        else:
            raise LookupError(f"nothing is at {name!r}")
    return value


def _is_index(name: str) -> bool:
    return name.isascii() and name.isdigit()
