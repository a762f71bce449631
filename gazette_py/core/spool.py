"""The spool: the open fragment of a journal on one broker, and the rules by which it changes.

Pure but for the file, which the caller opens and this module writes.

Invariants:
    SP1  `fragment` is what was committed; content beyond it (`delta` bytes) is visible to nobody.
    SP2  A proposal is accepted only if the fragment which it leads to is the same in every field,
         the SHA-1 of all content included. Replicas therefore agree byte for byte.
    SP3  Written bytes below the committed end never change, so readers share the file.

Source: gazette/core broker/fragment/spool.go and maybeRollFragment of broker/replica.go.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from gazette_py.errors import ValidationError
from gazette_py.protocol.fragment import ZERO_SUM, Fragment
from gazette_py.protocol.journal import JournalSpec
from gazette_py.protocol.labels import LabelSet

_NS = 1_000_000_000


class SpoolBytes(Protocol):
    """A file of a fragment's content."""

    def write(self, position: int, content: bytes | memoryview) -> None:
        """Write all of `content` at a position. OSError: some of it may be written."""

    def read(self, position: int, length: int) -> bytes:
        """Return up to `length` bytes; fewer only at the end."""


OpenFile = Callable[[str, int], SpoolBytes]
"""Makes the file of a fragment, given its journal and begin."""


class SpoolContentError(ValidationError):
    """Content does not follow on what the spool holds."""


@dataclass(frozen=True, slots=True)
class CompletedSpool:
    """A closed fragment, and the file which holds its content."""

    fragment: Fragment
    registers: LabelSet
    first_append_time: float  # Unix seconds of the first commit.
    file: SpoolBytes


@dataclass(frozen=True, slots=True)
class ProposalResult:
    """What a proposal did."""

    is_ok: bool  # False: it does not apply to `Spool.fragment` and `Spool.registers`.
    completed: CompletedSpool | None = None  # Closed by it, whether or not it applies.
    committed: Fragment | None = None  # Extended by it.


_NO_SUM = hashlib.sha1(usedforsecurity=False)
"""The sum of no content, shared by all spools without any."""


class Spool:
    """Begins empty: at offset 0 without registers, or where an earlier spool has ended."""

    __slots__ = (
        "_committed_sum",
        "_open_file",
        "_sum",
        "delta",
        "file",
        "first_append_time",
        "fragment",
        "registers",
    )

    def __init__(
        self,
        journal: str,
        open_file: OpenFile,
        *,
        begin: int = 0,
        registers: LabelSet = LabelSet(),
    ) -> None:
        self.fragment = Fragment(journal=journal, begin=begin, end=begin)
        self.registers = registers
        self.delta = 0  # Uncommitted bytes.
        self.file: SpoolBytes | None = None  # Made with the first content.
        self.first_append_time = 0.0  # Unix seconds; 0: nothing is committed yet.
        self._open_file = open_file
        self._sum = _NO_SUM  # Of all content. Idle journals keep none: it takes 0.5 KB.
        self._committed_sum = _NO_SUM

    def next(self) -> Fragment:
        """Return the fragment as it would be with the uncommitted content."""
        end = self.fragment.end + self.delta
        digest = ZERO_SUM if end == self.fragment.begin else self._sum.digest()
        return replace(self.fragment, end=end, sum=digest)

    def apply_content(self, content: bytes | memoryview, delta: int) -> None:
        """Add content.

        Args:
            content: Not empty.
            delta: Uncommitted bytes which the sender believes to be here.

        Raises:
            SpoolContentError: They are not. Nothing has changed.
            OSError: The file cannot take it. Nothing has changed that anyone sees.
        """
        if delta != self.delta:
            raise SpoolContentError(
                "ContentDelta", f"invalid ContentDelta ({delta}; expected {self.delta})"
            )
        if self.file is None:
            self.file = self._open_file(self.fragment.journal, self.fragment.begin)
        self.file.write(self.fragment.length + delta, content)
        if self._sum is _NO_SUM:
            self._sum = _NO_SUM.copy()
        self._sum.update(content)
        self.delta += len(content)

    def apply_proposal(self, proposal: Fragment, registers: LabelSet, now: float) -> ProposalResult:
        """Roll, roll back or commit, as the proposal says.

        Args:
            proposal: The fragment to arrive at.
            registers: The registers to arrive at.
            now: Unix seconds.

        Returns:
            Whether we arrived there. A roll is made even if we did not.
        """
        completed = None
        is_beyond = proposal.end > self.fragment.end + self.delta
        is_empty = proposal.begin == proposal.end
        if is_beyond or (is_empty and proposal.end == self.fragment.end):
            completed = self._roll(proposal, registers)
        if proposal == self.fragment and registers == self.registers:
            self.rollback()
            return ProposalResult(True, completed)
        if self.delta and proposal == self.next():
            self._commit(proposal, registers, now)
            return ProposalResult(True, completed, proposal)
        return ProposalResult(False, completed)

    def rollback(self) -> None:
        """Forget uncommitted content."""
        if self.delta:
            self.delta = 0
            self._sum = _NO_SUM
            if self._committed_sum is not _NO_SUM:
                self._sum = self._committed_sum.copy()

    def _roll(self, proposal: Fragment, registers: LabelSet) -> CompletedSpool | None:
        completed = None
        if self.fragment.length:
            assert self.file is not None
            completed = CompletedSpool(
                self.fragment, self.registers, self.first_append_time, self.file
            )
        if proposal.end > self.fragment.end:
            self.registers = registers
        self.fragment = Fragment(
            journal=self.fragment.journal,
            begin=proposal.end,
            end=proposal.end,
            compression_codec=proposal.compression_codec,
        )
        self.delta, self.file, self.first_append_time = 0, None, 0.0
        self._sum = self._committed_sum = _NO_SUM
        return completed

    def _commit(self, proposal: Fragment, registers: LabelSet, now: float) -> None:
        self.fragment, self.registers, self.delta = proposal, registers, 0
        self.first_append_time = self.first_append_time or now
        self._committed_sum = self._sum.copy()


def maybe_roll(
    fragment: Fragment, first_append_time: float, roll_to: int, spec: JournalSpec, now: float
) -> Fragment:
    """Return the fragment to propose: the open one, or an empty one in its place.

    Args:
        fragment: The open fragment.
        first_append_time: Unix seconds of its first commit.
        roll_to: Offset at which the next fragment shall begin, at or after the end; 0: none.
        spec: Of the journal.
        now: Unix seconds.
    """
    assert roll_to == 0 or roll_to >= fragment.end, "offsets are never used twice"
    flush_s = spec.fragment.flush_interval_ns // _NS
    if not (
        fragment.length == 0
        or fragment.length > spec.fragment.length
        or roll_to not in (0, fragment.begin)
        or (flush_s > 0 and int(first_append_time) // flush_s != int(now) // flush_s)
    ):
        return fragment
    begin = roll_to or fragment.end
    return Fragment(
        journal=fragment.journal,
        begin=begin,
        end=begin,
        compression_codec=spec.fragment.compression_codec,
    )
