"""Removes stored fragments which retention lets go, in the stores themselves.

Brokers have no call for it. They learn of it when they next list the stores.

Invariants:
    PR1  Nothing is planned for a journal unless all of its stores were listed: any of them may hold
         its end.
    PR2  Fragments go in the order of their content, some at a time: who is interrupted leaves the
         end of a journal, as who is not.

Source: gazette/core cmd/gazctl/gazctlcmd/journals_prune.go, which also removes in the client.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from gazette_py.core.fragment_index import IndexEntry
from gazette_py.core.retention import Verdict, plan
from gazette_py.errors import StoreError
from gazette_py.protocol.journal import JournalSpec
from gazette_py.stores.fragments import stored_path, walk_fragments
from gazette_py.stores.registry import StoreRegistry


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A fragment's file."""

    entry: IndexEntry
    stored_bytes: int  # After compression.

    @property
    def path(self) -> str:
        """Where it lies in its store."""
        return stored_path(self.entry)


@dataclass(slots=True)
class Tally:
    """How many files, and how much of a store they take."""

    files: int = 0
    stored_bytes: int = 0

    def add(self, file: StoredFile) -> None:
        """Count a file."""
        self.files += 1
        self.stored_bytes += file.stored_bytes


@dataclass(slots=True)
class JournalPlan:
    """What goes, in the order of its content, and what stays of a journal."""

    doomed: list[StoredFile] = field(default_factory=list)
    kept: dict[Verdict, Tally] = field(default_factory=dict)
    skipped: int = 0  # Objects which are no fragments, by their names. They stay.


async def plan_journal(
    registry: StoreRegistry,
    spec: JournalSpec,
    is_journal: Callable[[str], bool],
    *,
    stored_until: int,
    keep_bytes: int = 0,
    include_covered: bool = False,
) -> JournalPlan:
    """List a journal's stores, and plan what goes; further arguments are those of `core`'s `plan`.

    Args:
        registry: Of the stores.
        spec: Of the journal.
        is_journal: Tells whether there is a journal of a name. Where one's name continues this
            one's, its files would else count as ours, and go by our retention.
        stored_until: Unix seconds.
        keep_bytes: Of content.
        include_covered: Also what is within others which stay.

    Raises:
        StoreError: A store cannot be listed.
    """
    made = JournalPlan()

    def count_skipped(_journal: str, _url: str, skipped: Sequence[str]) -> None:
        made.skipped += len(skipped)

    stores = [(url, registry.get(url).store) for url in spec.fragment.stores]
    walking = walk_fragments(spec.name, stores, is_journal, on_skipped=count_skipped)
    async with aclosing(walking) as walk:
        files = [StoredFile(entry, stored_bytes) async for entry, stored_bytes in walk]
    verdicts = plan(
        [file.entry.fragment for file in files],
        stored_until=stored_until,
        keep_bytes=keep_bytes,
        include_covered=include_covered,
    )
    for file, verdict in zip(files, verdicts, strict=True):
        if verdict is Verdict.REMOVE:
            made.doomed.append(file)
        else:
            made.kept.setdefault(verdict, Tally()).add(file)
    made.doomed.sort(key=lambda file: (file.entry.begin, file.entry.end))
    return made


async def remove(
    registry: StoreRegistry, files: Iterable[StoredFile], *, calls_max: int
) -> AsyncGenerator[tuple[StoredFile, StoreError | None], None]:
    """Remove files, and yield each in its order, with the error if it is still there.

    A file which somebody else has removed meanwhile is no error.
    """
    running: deque[asyncio.Task[tuple[StoredFile, StoreError | None]]] = deque()
    try:
        for file in files:
            if len(running) == calls_max:
                yield await running.popleft()
            running.append(asyncio.create_task(_remove(registry, file), name="remove a file"))
        while running:
            yield await running.popleft()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _remove(
    registry: StoreRegistry, file: StoredFile
) -> tuple[StoredFile, StoreError | None]:
    try:
        await registry.get(file.entry.fragment.backing_store).store.remove(file.path)
    except StoreError as exc:
        return file, exc
    return file, None
