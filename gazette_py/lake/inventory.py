"""Tells what each object of a store is, and whose.

Objects are taken as the store lists them, one by one: a store may have millions. What is kept is
the names of journals, and for sums a row for each journal and directory.

Journals are told by their directories, as the store's own `find` and `replace` rewrite them. Of two
whose names continue each other, the longer one has the object, as for brokers.
"""

from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from gazette_py.errors import ValidationError
from gazette_py.protocol import watermark
from gazette_py.protocol.fragment import Fragment, parse_content_name
from gazette_py.protocol.store_url import StoreURL
from gazette_py.stores.base import ObjectInfo, Store
from gazette_py.stores.health import is_check


class Kind(StrEnum):
    """What an object is."""

    FRAGMENT = "fragment"
    WATERMARK = "watermark"
    CHECK = "check"  # Of health checks and probes.
    UNFINISHED = "unfinished"  # Of a put which has not ended.
    FOREIGN = "foreign"  # Nothing of ours, by its name.


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """An object, and whose it is."""

    kind: Kind
    path: str  # In the store, after its rewriting.
    journal: str  # "" if no journal has it.
    directory: str  # Where it lies, without partitions such as day=2026-11-26.
    fragment: Fragment | None  # Of fragments.
    stored_bytes: int
    mod_time: int  # Unix seconds.

    @property
    def is_orphan(self) -> bool:
        """Tell whether no journal has a use for it."""
        return self.kind in (Kind.UNFINISHED, Kind.FOREIGN) or (
            not self.journal and self.kind is not Kind.CHECK
        )


class Journals:
    """Names of journals, by the directories which they have in a store.

    Args:
        url: Of the store.
        names: Of all journals; None if they are not known, and each directory counts as one.
    """

    def __init__(self, url: str, names: Iterable[str] | None) -> None:
        rewrite = StoreURL.parse(url, allow_memory=True).rewrite
        self._is_known = names is not None
        self._of_fragments = {rewrite(f"{name}/"): name for name in names or ()}
        self._of_watermarks = {rewrite(watermark.directory_of(name)): name for name in names or ()}

    def classify(self, path: str, info: ObjectInfo, *, is_unfinished: bool = False) -> StoredObject:
        """Tell what an object is, by its path in the store."""
        directory, _, base = path.rpartition("/")
        journal, below = _longest(self._of_fragments, path)
        kind, fragment = Kind.FOREIGN, None
        bare = _without_partitions(directory)
        if is_unfinished:
            kind = Kind.UNFINISHED
        elif is_check(path):
            kind = Kind.CHECK
        elif path.startswith(f"{watermark.DIRECTORY}/") and watermark.time_of(base) is not None:
            kind = Kind.WATERMARK
            journal = self._of_watermarks.get(f"{directory}/", "")
            if not self._is_known:
                journal = directory.removeprefix(f"{watermark.DIRECTORY}/")
        else:
            name, rest = (journal, below) if journal else (bare, path[len(bare) + 1 :])
            try:
                fragment = parse_content_name(name, rest)
            except ValidationError:
                pass
            else:
                kind = Kind.FRAGMENT
                journal = name if journal or not self._is_known else ""
        return StoredObject(
            kind=kind,
            path=path,
            journal=journal,
            directory=bare,
            fragment=fragment,
            stored_bytes=info.size,
            mod_time=info.mod_time,
        )


def _longest(directories: dict[str, str], path: str) -> tuple[str, str]:
    """Return the journal of the longest directory which the path is below, and what follows it."""
    end = path.rfind("/")
    while end >= 0:
        if (journal := directories.get(path[: end + 1])) is not None:
            return journal, path[end + 1 :]
        end = path.rfind("/", 0, end)
    return "", path


def _without_partitions(directory: str) -> str:
    parts = directory.split("/")
    while len(parts) > 1 and "=" in parts[-1]:
        parts.pop()
    return "/".join(parts)


async def objects(
    store: Store, journals: Journals, prefix: str = ""
) -> AsyncGenerator[StoredObject, None]:
    """Yield every object of a store below a prefix, which is empty or ends in a slash.

    Raises:
        StoreError: The store cannot be listed.
    """
    base = StoreURL.parse(store.url, allow_memory=True).rewrite(prefix)
    async for info in store.list(prefix):
        yield journals.classify(base + info.name, info)
    async for info in store.list_unfinished(prefix):
        yield journals.classify(base + info.name, info, is_unfinished=True)


class Status(StrEnum):
    """What a row of sums is about."""

    JOURNAL = "journal"
    ORPHAN = "orphan"  # A directory of fragments, or of watermarks, which no journal has.
    OTHER = "other"  # Whatever is of no journal, and no fragment.


@dataclass(slots=True, kw_only=True)
class Usage:
    """Sums over the objects of a journal, or of a directory."""

    name: str
    status: Status
    fragments: int = 0
    stored_bytes: int = 0  # Of fragments.
    content_bytes: int = 0  # Before compression. Where fragments overlap, each counts.
    begin: int = 0  # Extent of the fragments; 0 and 0 if there are none.
    end: int = 0
    oldest: int = 0  # Unix seconds, of fragments; 0 if there are none.
    newest: int = 0
    others: int = 0  # Watermarks, and what has no place here.
    other_bytes: int = 0

    def add(self, found: StoredObject) -> None:
        """Count an object."""
        fragment = found.fragment
        if fragment is None:
            self.others += 1
            self.other_bytes += found.stored_bytes
            return
        is_first = not self.fragments
        self.begin = fragment.begin if is_first else min(self.begin, fragment.begin)
        self.oldest = found.mod_time if is_first else min(self.oldest, found.mod_time)
        self.end = max(self.end, fragment.end)
        self.newest = max(self.newest, found.mod_time)
        self.fragments += 1
        self.stored_bytes += found.stored_bytes
        self.content_bytes += fragment.length


@dataclass(slots=True)
class Usages:
    """Rows of a store."""

    _rows: dict[tuple[Status, str], Usage] = field(default_factory=dict)

    def add(self, found: StoredObject) -> None:
        """Count an object in its row."""
        if found.journal:
            status, name = Status.JOURNAL, found.journal
        elif found.kind in (Kind.FRAGMENT, Kind.WATERMARK):
            status, name = Status.ORPHAN, found.directory
        else:
            status, name = Status.OTHER, ""
        row = self._rows.get((status, name))
        if row is None:
            row = self._rows[status, name] = Usage(name=name, status=status)
        row.add(found)

    def rows(self) -> list[Usage]:
        """Return all rows: journals by name, then orphans, then the rest."""
        return [self._rows[key] for key in sorted(self._rows)]
