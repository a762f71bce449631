"""Changes of labels, as people write them: `env=prod`, `tag+=big`, `owner-`. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from gazette_py.errors import ValidationError
from gazette_py.protocol.labels import Label, LabelSet


class Op(Enum):
    """What is done to the values of a label."""

    SET = "="  # It has this one and no other.
    ADD = "+="  # It has this one, too.
    DROP = "-"  # It has none.


@dataclass(frozen=True, slots=True)
class LabelChange:
    """One change."""

    op: Op
    name: str
    value: str = ""

    @classmethod
    def parse(cls, text: str) -> "LabelChange":
        """Return a change by its text.

        Raises:
            ValidationError: It is none.
        """
        name, equals, value = text.partition("=")
        if not equals and text.endswith("-"):
            change = cls(Op.DROP, text.removesuffix("-"))
        elif equals and name.endswith("+"):
            change = cls(Op.ADD, name.removesuffix("+"), value)
        elif equals:
            change = cls(Op.SET, name, value)
        else:
            raise ValidationError(
                f"label {text!r}", "a change is NAME=VALUE, NAME+=VALUE or NAME-, to drop it"
            )
        if not change.name:
            raise ValidationError(f"label {text!r}", "it has no name")
        return change


def changed_labels(labels: LabelSet, changes: Iterable[LabelChange]) -> LabelSet:
    """Return the labels after some changes, one after another."""
    kept = set(labels)
    for change in changes:
        if change.op is not Op.ADD:
            kept = {label for label in kept if label.name != change.name}
        if change.op is not Op.DROP:
            kept.add(Label(change.name, change.value))
    return LabelSet(tuple(sorted(kept)))
