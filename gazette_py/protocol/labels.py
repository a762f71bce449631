"""Labels, label sets and selectors.

A *valid* set is strictly ascending by (name, value), and has no empty value of a name beside
others. Nothing here sorts what others sent: an unsorted set is refused.

Source: gazette/core broker/protocol/label_extensions.go and labels/labels.go.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from gazette_py.errors import ValidationError
from gazette_py.protocol.text import field_path, validate_path_token, validate_token

_SINGLE_VALUED: Final = frozenset(
    {
        "content-type",
        "app.gazette.dev/message-type",
        "app.gazette.dev/message-subtype",
        "app.gazette.dev/managed-by",
        "app.gazette.dev/instance",
        "app.gazette.dev/region",
    }
)
_REQUIRES: Final = {
    "app.gazette.dev/message-type": "content-type",
    "app.gazette.dev/message-subtype": "app.gazette.dev/message-type",
}
_MEDIA_TYPE: Final = re.compile(r"[A-Za-z0-9\-_+.%]+(/[A-Za-z0-9\-_+.%]+)?")


@dataclass(frozen=True, slots=True, order=True)
class Label:
    """A name with a value; `prefix` asks a selector to match values by prefix."""

    name: str
    value: str = ""
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class LabelSet:
    """Labels in the order given. A *valid* set is strictly ascending by (name, value)."""

    labels: tuple[Label, ...] = ()

    @classmethod
    def of(cls, *pairs: tuple[str, str]) -> "LabelSet":
        """Return the sorted set of (name, value) pairs."""
        return cls(tuple(sorted(Label(name, value) for name, value in pairs)))

    def __iter__(self) -> Iterator[Label]:
        return iter(self.labels)

    def __len__(self) -> int:
        return len(self.labels)

    def values_of(self, name: str) -> tuple[str, ...]:
        """Return all values of `name`, in order; empty if the set does not have it."""
        return tuple(label.value for label in self.labels if label.name == name)

    def value_of(self, name: str) -> str:
        """Return the first value of `name`, or the empty string."""
        return next((label.value for label in self.labels if label.name == name), "")

    def with_value(self, name: str, value: str) -> "LabelSet":
        """Return the set in which `value` is the one value of `name`."""
        kept = [label for label in self.labels if label.name != name]
        return LabelSet(tuple(sorted([*kept, Label(name, value)])))


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """Selects label sets: every included name must match, and no excluded one."""

    include: LabelSet = LabelSet()
    exclude: LabelSet = LabelSet()

    def matches(self, labels: LabelSet) -> bool:
        """Tell whether `labels` are selected."""
        by_name = _by_name(labels)
        if any(
            _is_matched(name, wanted, by_name) for name, wanted in _by_name(self.exclude).items()
        ):
            return False
        return all(
            _is_matched(name, wanted, by_name) for name, wanted in _by_name(self.include).items()
        )


def with_prefix_of_name(selector: LabelSelector) -> LabelSelector:
    """Replace the pseudo-label `prefix` by a match of `name` by prefix."""

    def rewrite(labels: LabelSet) -> LabelSet:
        rewritten = [
            replace(label, name="name", prefix=True) if label.name == "prefix" else label
            for label in labels
        ]
        return LabelSet(tuple(sorted(rewritten, key=_by_name_and_value)))

    return LabelSelector(rewrite(selector.include), rewrite(selector.exclude))


def _by_name_and_value(label: Label) -> tuple[str, str]:
    return label.name, label.value


def union(left: LabelSet, right: LabelSet) -> LabelSet:
    """Return left's values of each name it has, else right's."""
    return _merge(_by_name(right) | _by_name(left))


def intersect(left: LabelSet, right: LabelSet) -> LabelSet:
    """Return the names which both sides have with identical values."""
    others = _by_name(right)
    return _merge(
        {
            name: have
            for name, have in _by_name(left).items()
            if _values(others.get(name, [])) == _values(have)
        }
    )


def subtract(left: LabelSet, right: LabelSet) -> LabelSet:
    """Return left without the names which right has with identical values."""
    others = _by_name(right)
    return _merge(
        {
            name: have
            for name, have in _by_name(left).items()
            if name not in others or _values(others[name]) != _values(have)
        }
    )


def validate_label_set(labels: LabelSet, path: str, *, is_prefix_allowed: bool = False) -> None:
    """Refuse labels with bad names or values, or out of order.

    Raises:
        ValidationError: The path leads to the faulty label.
    """
    previous: Label | None = None
    for i, label in enumerate(labels):
        at = field_path(path, f"Labels[{i}]")
        validate_token(label.name, f"{at}.Name", 2, 64)
        validate_path_token(label.value, f"{at}.Value", 0, 1024)
        if label.prefix and not is_prefix_allowed:
            raise ValidationError(at, "Prefix may not be set outside of a LabelSelector")
        if previous is not None:
            _validate_order(previous, label, i, path)
        previous = label


def _validate_order(previous: Label, label: Label, index: int, path: str) -> None:
    if label.name < previous.name or (
        label.name == previous.name and label.value <= previous.value
    ):
        raise ValidationError(
            path,
            f"Labels not in unique, sorted order (index {index}; label {label.name} value"
            f" {label.value!r} after {previous.name} value {previous.value!r})",
        )
    if label.name == previous.name and previous.value == "":
        raise ValidationError(
            path,
            f"Label has empty & non-empty values (index {index}; label {label.name} value"
            f" {label.value!r})",
        )


def validate_selector(selector: LabelSelector, path: str = "") -> None:
    """Refuse a selector of which a side is no valid set.

    Raises:
        ValidationError: The path leads to the faulty label.
    """
    for field, labels in (("Include", selector.include), ("Exclude", selector.exclude)):
        validate_label_set(labels, field_path(path, field), is_prefix_allowed=True)


def validate_constraints(labels: LabelSet, path: str) -> None:
    """Refuse well-known labels which are repeated, malformed, or lack the one they qualify.

    Raises:
        ValidationError: With `path`.
    """
    names = [label.name for label in labels]
    for i, name in enumerate(names):
        if name in _SINGLE_VALUED and name in names[:i]:
            raise ValidationError(
                path, f"expected single-value Label has multiple values (index {i}; label {name})"
            )
    for name, required in _REQUIRES.items():
        if name in names and required not in names:
            raise ValidationError(path, f"expected label {required} alongside {name}")
    if "content-type" in names:
        content_type = labels.value_of("content-type")
        if _MEDIA_TYPE.fullmatch(content_type) is None:
            raise ValidationError(
                path, f"label content-type is not a media type ({content_type!r})"
            )


def _by_name(labels: Iterable[Label]) -> dict[str, list[Label]]:
    grouped: dict[str, list[Label]] = {}
    for label in labels:
        grouped.setdefault(label.name, []).append(label)
    return grouped


def _values(labels: list[Label]) -> list[str]:
    return [label.value for label in labels]


def _merge(grouped: dict[str, list[Label]]) -> LabelSet:
    return LabelSet(tuple(label for name in sorted(grouped) for label in grouped[name]))


def _is_matched(name: str, wanted: list[Label], have: dict[str, list[Label]]) -> bool:
    values = [label.value for label in have.get(name, ())]
    return any(
        want.value in ("", value) or (want.prefix and value.startswith(want.value))
        for want in wanted
        for value in values
    )
