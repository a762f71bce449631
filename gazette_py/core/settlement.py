"""What the primary's spool did, held back until every peer has acknowledged it.

Pure. A primary applies a commit to its own spool before its peers have answered. Were the commit
shown to readers or uploaded at once, a primary that is cut off could keep, and later persist, bytes
which the others never had, while they go on and commit different bytes at the same offsets. So
commits and completed fragments wait here.

Invariants:
    S1  A commit is published, and a fragment handed over for upload, only once every peer has
        acknowledged the commits up to its end, or has since agreed with our spool.
    S2  What is published comes out in the order in which the spool did it.
    S3  If the replica ends first, fragments are closed at the last acknowledged commit: bytes
        beyond it belong to appends which were never acknowledged.

Source: ours. The reference publishes at once (see docs/adr/0003-defer-visibility.md).
"""

from dataclasses import dataclass, replace

from gazette_py.core.spool import CompletedSpool, SpoolBytes
from gazette_py.protocol.fragment import Fragment


@dataclass(frozen=True, slots=True)
class Committed:
    """The open fragment was extended to `fragment`."""

    fragment: Fragment
    file: SpoolBytes


@dataclass(frozen=True, slots=True)
class Completed:
    """A fragment was closed."""

    spool: CompletedSpool


Deed = Committed | Completed


class Settlement:
    """Deeds of the primary's spool which wait for acknowledgements."""

    __slots__ = ("_acknowledged", "_sent", "_settled", "_waiting")

    def __init__(self) -> None:
        self._sent = 0  # Commits which were sent.
        self._settled = 0  # Commits which every peer has acknowledged.
        # A few: no deque, which takes 600 bytes while it is empty.
        self._waiting: list[tuple[int, Deed]] = []
        self._acknowledged: Fragment | None = None  # Of the last commit settled.

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def ticket(self) -> int:
        """The ticket of the last commit sent."""
        return self._sent

    def record(self, deed: Deed) -> None:
        """Hold back a deed until the commits sent so far are acknowledged."""
        if isinstance(deed, Committed):
            self._sent += 1
        self._waiting.append((self._sent, deed))

    def settle(self, ticket: int) -> list[Deed]:
        """Return what every peer has acknowledged, given that it did all up to `ticket`."""
        self._settled = max(self._settled, ticket)
        settled: list[Deed] = []
        while self._waiting and self._waiting[0][0] <= self._settled:
            deed = self._waiting.pop(0)[1]
            if isinstance(deed, Committed):
                self._acknowledged = deed.fragment
            settled.append(deed)
        return settled

    def settle_all(self, agreed: Fragment) -> list[Deed]:
        """Return everything: the peers have agreed with our spool as it is, at `agreed`."""
        settled = self.settle(self._sent)
        self._acknowledged = agreed
        return settled

    def abandon(self) -> list[Completed]:
        """Return fragments to upload, cut at the last end which was acknowledged."""
        kept: list[Completed] = []
        for _, deed in self._waiting:
            if isinstance(deed, Completed) and (cut := self._cut(deed.spool)) is not None:
                kept.append(Completed(cut))
        self._waiting.clear()
        self._settled = self._sent
        return kept

    def _cut(self, spool: CompletedSpool) -> CompletedSpool | None:
        acknowledged = self._acknowledged
        if acknowledged is None or acknowledged.begin != spool.fragment.begin:
            return None
        if not acknowledged.length:
            return None  # The peers have agreed on where it begins, and on nothing more.
        return replace(spool, fragment=acknowledged)
