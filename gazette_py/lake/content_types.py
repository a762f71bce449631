"""How journals' records are written, by their label content-type. Pure."""

from collections.abc import Mapping

from gazette_py.errors import ValidationError

CONTENT_TYPES = {
    "": "json",
    "application/json": "json",
    "application/x-ndjson": "json",
    "text/csv": "csv",
    "text/plain": "lines",
}
"""Formats by the label content-type."""


def format_name_of(content_types: Mapping[str, str]) -> str:
    """Return the format of journals.

    Args:
        content_types: By the names of journals.

    Raises:
        ValidationError: We know of none, or journals differ.
    """
    found: dict[str, str] = {}
    for journal, content_type in content_types.items():
        if (name := CONTENT_TYPES.get(content_type.partition(";")[0].strip())) is None:
            raise ValidationError(
                "format",
                f"journal {journal} has content of type {content_type}: say how to read it, such as"
                " as lines",
            )
        found.setdefault(name, journal)
    if len(found) > 1:
        raise ValidationError(
            "format", f"journals {' and '.join(found.values())} have different content types"
        )
    return next(iter(found), "json")
