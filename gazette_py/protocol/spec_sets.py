"""Set algebra of journal specs: how tools hoist what is common to many, and push it down again.

A field counts as absent while it has its zero value. Names and suspensions are not shared.

Source: gazette/core broker/protocol/journal_spec_extensions.go.
"""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, Final

from gazette_py.protocol import labels
from gazette_py.protocol.journal import FragmentSpec, JournalSpec, Suspend

_PLAIN: Final = ("replication", "flags", "max_append_rate")
_ZERO: Final = JournalSpec()


def union_specs(left: JournalSpec, right: JournalSpec) -> JournalSpec:
    """Return left's fields, and right's where left has none."""
    return _combine(
        left,
        right,
        lambda a, b, zero: b if a == zero else a,
        labels.union(left.labels, right.labels),
    )


def intersect_specs(left: JournalSpec, right: JournalSpec) -> JournalSpec:
    """Return the fields which are equal."""
    combined = _combine(
        left,
        right,
        lambda a, b, zero: a if a == b else zero,
        labels.intersect(left.labels, right.labels),
    )
    return replace(combined, suspend=Suspend())


def subtract_specs(left: JournalSpec, right: JournalSpec) -> JournalSpec:
    """Return left's fields without those which right has equal."""
    return _combine(
        left,
        right,
        lambda a, b, zero: zero if a == b else a,
        labels.subtract(left.labels, right.labels),
    )


_Choose = Callable[[Any, Any, Any], Any]


def _combine(
    left: JournalSpec, right: JournalSpec, choose: _Choose, combined: labels.LabelSet
) -> JournalSpec:
    def chosen(a: Any, b: Any, zero: Any, names: tuple[str, ...]) -> dict[str, Any]:
        return {
            name: choose(getattr(a, name), getattr(b, name), getattr(zero, name)) for name in names
        }

    of_fragment = tuple(field.name for field in fields(FragmentSpec))
    fragment = FragmentSpec(**chosen(left.fragment, right.fragment, _ZERO.fragment, of_fragment))
    return replace(left, labels=combined, fragment=fragment, **chosen(left, right, _ZERO, _PLAIN))
