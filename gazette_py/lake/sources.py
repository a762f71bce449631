"""Where tables take journals from: a store, or brokers, who know what no file holds yet.

Invariants:
    SO1  A snapshot of brokers ends at the write head, which is asked for after fragments are
         listed: content of every append which was acknowledged before the call is in a part.
    SO2  Content comes in order. What is missing is an error, or a jump of the offset if gaps shall
         be skipped. What retention removed at the beginning is not missing.
    SO3  Nothing is taken for missing before it had time to be told of: brokers list stores now and
         then, and a fragment may still be on its way from one which has left.
"""

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import Protocol

from gazette_py.client.client import Client
from gazette_py.clock import SYSTEM
from gazette_py.core.fragment_index import FIRST_JUMP_AGE_S, IndexEntry
from gazette_py.errors import (
    JournalNotFoundError,
    OffsetJumpError,
    StoreMissingError,
    ValidationError,
)
from gazette_py.lake.cover import Gap, beginning, cover
from gazette_py.lake.files import Lake
from gazette_py.lake.snapshot import JournalSnapshot, Part, partitions_of
from gazette_py.protocol.fragment import Fragment
from gazette_py.protocol.journal import JournalSpec
from gazette_py.protocol.labels import Label, LabelSelector, LabelSet
from gazette_py.protocol.path_template import PathTemplate, SpoolView

_LISTING_S = 1.0
"""Between looks whether brokers have heard of more fragments."""

CONTENT_TYPE = "content-type"
"""Label of journals: how their records are written."""


class Source(Protocol):
    """A store or brokers."""

    async def find(self, names: Sequence[str]) -> dict[str, str]:
        """Return the content types of journals, or "", by name.

        Args:
            names: Of journals; or of directories, which end in a slash.

        Raises:
            ValidationError: Directories are not known here.
            JournalNotFoundError: Nothing has the name.
        """

    async def snapshot(self, journal: str, offset: int) -> JournalSnapshot:
        """Return what a journal holds now, from an offset on.

        Raises:
            OffsetJumpError: Content is missing, and gaps shall not be skipped.
        """

    def read(
        self, snapshot: JournalSnapshot, parts: Sequence[Part]
    ) -> AsyncGenerator[tuple[int, bytes], None]:
        """Yield pieces of neighbouring parts, with their offsets. No piece is of two parts."""

    async def close(self) -> None:
        """Release connections and threads."""


class StoreSource:
    """Journals as far as they are stored.

    Args:
        lake: The store; closed with the source.
        skip_gaps: Pass over content which is missing.
        skip_foreign: Pass over objects which are no fragments.
    """

    def __init__(self, lake: Lake, *, skip_gaps: bool, skip_foreign: bool) -> None:
        self._lake = lake
        self._skip_gaps = skip_gaps
        self._skip_foreign = skip_foreign
        self._names: Sequence[str] = ()

    async def find(self, names: Sequence[str]) -> dict[str, str]:
        """Take the names as they are: a store cannot tell journals from path postfixes."""
        for name in names:
            if name.endswith("/") or not name:
                raise ValidationError(
                    "journals", f"name each journal below {name!r}, or give the address of a broker"
                )
        self._names = names
        return dict.fromkeys(names, "")

    async def snapshot(self, journal: str, offset: int) -> JournalSnapshot:
        """Return the cover of the journal's files."""
        files = await self._lake.files(journal, self._names, skip_foreign=self._skip_foreign)
        if not files:
            raise StoreMissingError(
                self._lake.url, "list", f"{journal}/", "there are no fragments of the journal"
            )
        parts = []
        for piece in cover(files, beginning(files, offset, SYSTEM.now())):
            if isinstance(piece, Gap):
                if not self._skip_gaps:
                    raise OffsetJumpError(journal, piece.begin, piece.end)
                continue
            postfix = piece.file.fragment.path_postfix
            parts.append(Part(begin=piece.begin, end=piece.end, postfix=postfix, file=piece))
        return JournalSnapshot(journal, tuple(parts))

    async def read(
        self, snapshot: JournalSnapshot, parts: Sequence[Part]
    ) -> AsyncGenerator[tuple[int, bytes], None]:
        """Yield content of files, each of which is compared with its sum."""
        slices = [part.file for part in parts if part.file is not None]
        offset = parts[0].begin
        pieces = self._lake.read_parts(snapshot.journal, slices)
        async with aclosing(pieces):
            async for piece in pieces:
                yield offset, piece
                offset += len(piece)

    async def close(self) -> None:
        """Close the store."""
        await self._lake.close()


class BrokerSource:
    """Journals up to their write heads.

    Args:
        client: Of the brokers; closed with the source. What is stored it fetches from the store.
        skip_gaps: Pass over content which is missing.
        timeout_s: How long to go without content.
    """

    def __init__(self, client: Client, *, skip_gaps: bool, timeout_s: float) -> None:
        self._client = client
        self._specs: dict[str, JournalSpec] = {}
        self._timeout_s = timeout_s
        self._skip_gaps = skip_gaps

    async def find(self, names: Sequence[str]) -> dict[str, str]:
        """List the journals."""
        wanted = tuple(sorted({Label("name", name, name.endswith("/")) for name in names if name}))
        listed = await self._client.list(LabelSelector(LabelSet(wanted)))
        self._specs = {entry.spec.name: entry.spec for entry in listed.journals}
        for name in names:
            if not any(
                known.startswith(name) if name.endswith("/") or not name else known == name
                for known in self._specs
            ):
                raise JournalNotFoundError(name, "JOURNAL_NOT_FOUND", "no journal has this name")
        return {name: spec.labels.value_of(CONTENT_TYPE) for name, spec in self._specs.items()}

    async def snapshot(self, journal: str, offset: int) -> JournalSnapshot:
        """Return the cover of stored fragments, and a part for whatever else there is."""
        offset, known, holes = await self._fragments(journal, offset)
        head = await self._client.write_head(journal)  # Later than the list (SO1).
        parts: list[Part] = []
        tail = offset
        for piece in cover([entry for entry in known if entry.fragment.backing_store], offset):
            if isinstance(piece, Gap):
                parts += _without(holes, piece)
            else:
                postfix = piece.file.fragment.path_postfix
                parts.append(Part(begin=piece.begin, end=piece.end, postfix=postfix))
            tail = piece.end
        if tail < head:
            parts += _without(holes, Gap(tail, head))
        return JournalSnapshot(journal, tuple(parts), _expected_partitions(self._specs[journal]))

    async def _fragments(
        self, journal: str, offset: int
    ) -> tuple[int, list[IndexEntry], list[Gap]]:
        """Return where content begins, fragments, stored or not, and what is missing (SO3).

        Raises:
            OffsetJumpError: Content is missing, and gaps shall not be skipped.
        """
        deadline = SYSTEM.monotonic() + self._timeout_s
        while True:
            head = await self._client.write_head(journal)
            known = [
                IndexEntry(listed.fragment) async for listed in self._client.fragments(journal)
            ]
            begin = beginning(known, offset, SYSTEM.now())
            holes, may_fill = _holes(known, begin, head, SYSTEM.now())
            if not may_fill or SYSTEM.monotonic() >= deadline:
                break
            await SYSTEM.sleep(_LISTING_S)
        if holes and not self._skip_gaps:
            raise OffsetJumpError(journal, holes[0].begin, holes[0].end)
        return begin, known, holes

    async def read(
        self, snapshot: JournalSnapshot, parts: Sequence[Part]
    ) -> AsyncGenerator[tuple[int, bytes], None]:
        """Read all parts at once. A broker which has just joined is given time to know them."""
        ends = iter([part.end for part in parts])
        end = next(ends)
        async with self._client.reader(
            snapshot.journal,
            offset=parts[0].begin,
            end_offset=parts[-1].end,
            block=True,
            timeout_s=self._timeout_s,
        ) as reader:
            while True:
                try:
                    batch = await reader.next_batch()
                except OffsetJumpError:
                    if not self._skip_gaps:
                        raise
                    continue
                if batch is None:
                    return
                offset, content = batch.begin, bytes(batch)
                while content:
                    while offset >= end:
                        end = next(ends)
                    piece, content = content[: end - offset], content[end - offset :]
                    yield offset, piece
                    offset += len(piece)

    async def close(self) -> None:
        """Close the client."""
        await self._client.close()


def _holes(
    known: Sequence[IndexEntry], offset: int, head: int, now: float
) -> tuple[list[Gap], bool]:
    """Return what is in no fragment, from an offset to a write head; and whether it may come yet.

    It may if what follows came lately, or if nothing follows.
    """
    holes: list[Gap] = []
    may_fill = False
    for piece in cover(known, offset):
        if isinstance(piece, Gap):
            holes.append(piece)
        elif holes and holes[-1].end == piece.begin:
            may_fill |= not 0 < piece.file.fragment.mod_time < now - FIRST_JUMP_AGE_S
    end = max((entry.end for entry in known), default=offset)
    if end < head:
        holes.append(Gap(end, head))
        may_fill = True
    return holes, may_fill


def _without(holes: Sequence[Gap], span: Gap) -> Iterator[Part]:
    """Yield the parts of a span which are not missing."""
    begin = span.begin
    for hole in holes:
        if hole.end <= begin or hole.begin >= span.end:
            continue
        if begin < hole.begin:
            yield Part(begin=begin, end=hole.begin)
        begin = hole.end
    if begin < span.end:
        yield Part(begin=begin, end=span.end)


def _expected_partitions(spec: JournalSpec) -> tuple[str, ...]:
    """Return names of partitions of the fragment which a journal would store next."""
    view = SpoolView(Fragment(journal=spec.name), LabelSet(), 0)
    try:
        postfix = PathTemplate.parse(spec.fragment.path_postfix_template).evaluate(view, spec)
    except ValidationError:
        return ()  # Of a broker of the reference, which takes what it cannot store.
    return tuple(partitions_of(postfix))
