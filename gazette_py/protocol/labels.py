"""Labels, label sets and selectors."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


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
        if any(_is_matched(name, wanted, by_name) for name, wanted in _by_name(self.exclude).items()):
            return False
        return all(
            _is_matched(name, wanted, by_name) for name, wanted in _by_name(self.include).items()
        )


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
