"""Label selectors as text: `name = a/journal, app.gazette.dev/tag in (x, y), !retired`.

    NAME = VALUE   NAME == VALUE   NAME != VALUE
    NAME in (VALUE, ...)   NAME notin (VALUE, ...)   NAME not in (VALUE, ...)
    NAME   !NAME                          has, or does not have, the label
    NAME:prefix ...                       values match by prefix

Source: gazette/core broker/protocol/label_extensions.go, ParseLabelSelector.
"""

import re
from collections.abc import Iterable
from typing import Final

from gazette_py.errors import ValidationError
from gazette_py.protocol.labels import Label, LabelSelector, LabelSet, validate_selector

# `\w` is letters, numbers and the underscore of all scripts; validation is exact.
_NAME: Final = r" ?(?P<name>[\w\-+/.]{2,})(?P<prefix>:prefix)?"
_VALUE: Final = r"[\w\-+/.=%]*"
_END: Final = r" ?(?:,|\Z)"

_EQUAL: Final = re.compile(rf"{_NAME} ?==? ?(?P<value>{_VALUE}){_END}")
_NOT_EQUAL: Final = re.compile(rf"{_NAME} ?!= ?(?P<value>{_VALUE}){_END}")
_IN: Final = re.compile(rf"{_NAME} in ?\((?P<values>[^)]+)\){_END}")
_NOT_IN: Final = re.compile(rf"{_NAME} not ?in ?\((?P<values>[^)]+)\){_END}")
_HAS: Final = re.compile(rf"{_NAME}{_END}")
_HAS_NOT: Final = re.compile(rf" ?!{_NAME}{_END}")
_SET: Final = re.compile(rf" ?(?:{_VALUE} ?, ?)*{_VALUE} ?")


def parse_selector(text: str) -> LabelSelector:
    """Return the selector which a text means.

    Raises:
        ValidationError: It means none. The reason quotes what could not be read.
    """
    include: list[Label] = []
    exclude: list[Label] = []
    rest = text
    while rest:
        rest = _parse_one(rest, include, exclude)
    selector = LabelSelector(_sorted(include), _sorted(exclude))
    validate_selector(selector)
    return selector


def _parse_one(text: str, include: list[Label], exclude: list[Label]) -> str:
    """Take one expression, and return what follows it."""
    for pattern, side in (
        (_EQUAL, include),
        (_NOT_EQUAL, exclude),
        (_IN, include),
        (_NOT_IN, exclude),
        (_HAS, include),
        (_HAS_NOT, exclude),
    ):
        match = pattern.match(text)
        if match is None:
            continue
        found = match.groupdict()
        is_prefix = found["prefix"] is not None
        for value in _values(found.get("value", ""), found.get("values"), text):
            side.append(Label(found["name"], value, is_prefix))
        return text[match.end() :]
    raise ValidationError("", f"could not match {text!r} to a label selector expression")


def _values(value: str, values: str | None, text: str) -> Iterable[str]:
    if values is None:
        return (value,)
    if _SET.fullmatch(values) is None:
        raise ValidationError("", f"could not match {values!r} to a set of values, in {text!r}")
    return (part.strip() for part in values.removesuffix(",").split(","))


def _sorted(labels: Iterable[Label]) -> LabelSet:
    return LabelSet(tuple(sorted(set(labels))))


def format_selector(selector: LabelSelector) -> str:
    """Return the text which `parse_selector` takes for an equal selector.

    Unlike the reference's it has spaces about `=`: a value may begin with another one.
    """
    included = _format_side(selector.include, "", "=", "in")
    excluded = _format_side(selector.exclude, "!", "!=", "notin")
    return ", ".join([*included, *excluded])


def _format_side(labels: LabelSet, mark: str, equal: str, within: str) -> Iterable[str]:
    groups: dict[tuple[str, bool], list[str]] = {}
    for label in labels:
        groups.setdefault((label.name, label.prefix), []).append(label.value)
    for (name, is_prefix), values in groups.items():
        shown = f"{name}:prefix" if is_prefix else name
        if len(values) > 1:
            yield f"{shown} {within} ({', '.join(values)})"
        elif values[0]:
            yield f"{shown} {equal} {values[0]}"
        else:
            yield f"{mark}{shown}"
