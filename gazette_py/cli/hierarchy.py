"""Names of journals as a hierarchy of directories, with what is below each. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Place:
    """A directory, or a journal."""

    name: str  # Whole: that of a directory ends in "/", but for the root's.
    depth: int  # Of its line: 0 is below nothing that is shown.
    journals: int = 0  # At it or below.
    size: int | None = 0  # Bytes of content; None if that of one of them is not known.
    places: dict[str, "Place"] = field(default_factory=dict)

    @property
    def is_directory(self) -> bool:
        """Tell whether it holds others."""
        return bool(self.places)

    def add(self, size: int | None) -> None:
        """Count a journal at it or below."""
        self.journals += 1
        self.size = None if self.size is None or size is None else self.size + size


def hierarchy(sizes: Mapping[str, int | None], prefix: str = "") -> Place:
    """Return the places of journals.

    Args:
        sizes: Bytes of each journal's content, by its name; None where they are not known.
        prefix: Name of the directory which is the root; all names begin with it.
    """
    root = Place(prefix, 0)
    for name in sorted(sizes):
        place, size = root, sizes[name]
        place.add(size)
        *directories, last = name[len(prefix) :].split("/")
        for part in directories:
            place = _below(place, f"{part}/")
            place.add(size)
        _below(place, last).add(size)
    return root


def _below(place: Place, part: str) -> Place:
    if part not in place.places:
        depth = place.depth + 1
        place.places[part] = Place(f"{place.name}{part}", depth)
    return place.places[part]


def lines(place: Place, depth_max: int) -> Iterator[Place]:
    """Yield a place and those below it, in the order of names; none deeper than a depth."""
    yield place
    if place.depth < depth_max:
        for name in sorted(place.places):
            yield from lines(place.places[name], depth_max)
