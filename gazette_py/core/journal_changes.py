"""What became of journals between two snapshots of them.

Pure. A snapshot holds all of the journals which a selector selects, so who compares two of them
misses no deletion, however many snapshots lie between: what came and went meanwhile is not told.

Invariants:
    JC1  Changes which are applied in order to the names before make up the names after.
    JC2  A journal which was deleted and made anew is removed, and then added: its content, and
         offsets, are those of another.
    JC3  A journal of which only the route differs has not changed.

Units: revisions are etcd revisions, which only grow.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class Revised(Protocol):
    """What has revisions, such as a listed journal."""

    @property
    def create_revision(self) -> int:
        """When it was made."""

    @property
    def mod_revision(self) -> int:
        """When it was last changed."""


_R = TypeVar("_R", bound=Revised)


@dataclass(frozen=True, slots=True)
class Added(Generic[_R]):
    """It was made, or is selected now."""

    journal: _R


@dataclass(frozen=True, slots=True)
class Changed(Generic[_R]):
    """Its spec was changed."""

    journal: _R
    before: _R


@dataclass(frozen=True, slots=True)
class Removed(Generic[_R]):
    """It was deleted, or is no longer selected."""

    journal: _R  # As it was known last.


def changes(
    before: Mapping[str, _R], after: Mapping[str, _R]
) -> Iterator[Added[_R] | Changed[_R] | Removed[_R]]:
    """Yield what happened, ascending by name."""
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old is not None and new is not None and old.create_revision == new.create_revision:
            if old.mod_revision != new.mod_revision:
                yield Changed(new, old)
            continue
        if old is not None:
            yield Removed(old)
        if new is not None:
            yield Added(new)
