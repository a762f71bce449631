"""Read plan: where the next bytes of a journal come from, and what is fetched ahead of them.

Pure. History lies in fragment files, which are fetched several at a time; the tail is at a broker.
The broker is the authority: a listing of files only says what may be fetched without asking it
again, and whatever the listing does not hold is asked of the broker. So a listing may be old, have
holes, or name files which are gone, and nothing is lost by it.

    BROKER --its answer ends with the place of a file--> LISTING --the files are listed--> STORE
    STORE --no file which we know of holds the offset, or one is corrupt--> BROKER
    STORE --a file cannot be fetched, and all before it was handed out--> PROXY
    PROXY --`until` is reached, or the call has ended--> BROKER

A reader without brokers begins at STORE with files which it has listed itself, and ends where the
plan leaves STORE.

Invariants:
    RP1  `offset` is that of the next byte to hand out: it moves by what is handed out, or as the
         broker says. The latter is a jump, of which the caller is told.
    RP2  Fetches are of neighbouring extents, the first of which holds `offset`.
    RP3  Nothing behind a fetch which failed is fetched or kept, and nothing more of a file which is
         known to be corrupt is handed out.
    RP4  Fetched bytes which wait are at most `budget_bytes`, and a piece for each open fetch: the
         first may use a quarter, and others what is left of three quarters. So the first, for which
         the caller waits, is never held up, neither by those behind it nor by a small budget.
    RP5  At most `fetches_max` fetches are open.

Units: offsets of the journal; bytes before compression.
Source: our own. Gazette's reader fetches a fragment at a time, and asks the broker before each.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import assert_never

from gazette_py.core.cover_set import CoverSet
from gazette_py.errors import ReadError
from gazette_py.protocol.fragment import Fragment


class Source(Enum):
    """Who gives the byte at `offset`."""

    BROKER = auto()  # A broker, or it says which file has it.
    LISTING = auto()  # A file. Which others follow it is to be listed.
    STORE = auto()  # A file, which is being fetched.
    PROXY = auto()  # A file, which a broker is to read for us.


class Failure(Enum):
    """Why a file could not be fetched: what that says about other files."""

    MISSING = auto()  # Nothing.
    UNAVAILABLE = auto()  # Its store may be down, or out of reach, for a while.
    DENIED = auto()  # Its store does not let us in. Brokers may have better credentials.
    CORRUPT = auto()  # Nothing, but nobody else can read this one either.


@dataclass(frozen=True, slots=True)
class StoredFragment:
    """A fragment in a store, and a URL which serves its file for a while."""

    fragment: Fragment
    url: str

    @property
    def begin(self) -> int:
        """First offset."""
        return self.fragment.begin

    @property
    def end(self) -> int:
        """Offset after the last."""
        return self.fragment.end


class Fetch:
    """A file which is being fetched, and of which `[begin, end)` is wanted."""

    __slots__ = ("begin", "end", "failure", "received", "stored")

    def __init__(self, stored: StoredFragment, begin: int, end: int) -> None:
        self.stored = stored
        self.begin = begin
        self.end = end
        self.received = begin  # Offset after what was received.
        self.failure: Failure | None = None

    @property
    def is_open(self) -> bool:
        """Tell whether more is to come."""
        return self.failure is None and self.received < self.end


class ReadPlan:
    """Of one reader.

    Args:
        journal: Its name, for errors.
        offset: Of the first byte.
        end_offset: Where to end; 0: nowhere.
        budget_bytes: See RP4.
        fetches_max: See RP5.
    """

    __slots__ = (
        "_avoided",
        "_budget_bytes",
        "_cover",
        "_end_offset",
        "_fetches",
        "_found",
        "_journal",
        "fetches_max",
        "offset",
        "source",
        "until",
    )

    def __init__(
        self, journal: str, offset: int, end_offset: int, *, budget_bytes: int, fetches_max: int
    ) -> None:
        self.offset = offset
        self.source = Source.BROKER
        self.until = 0  # Of PROXY: offset up to which. 0: to the end of the call.
        self._journal = journal
        self._end_offset = end_offset
        self._budget_bytes = budget_bytes
        self.fetches_max = fetches_max  # May be changed at any time.
        self._found: StoredFragment | None = None
        self._cover: CoverSet[StoredFragment] = CoverSet()
        self._fetches: deque[Fetch] = deque()
        self._avoided: set[str] = set()  # Stores which do not let us in, by their URLs.

    @property
    def is_done(self) -> bool:
        """Tell whether the end offset is reached."""
        return 0 < self._end_offset <= self.offset

    @property
    def head(self) -> Fetch | None:
        """Return the fetch which holds `offset`."""
        return self._fetches[0] if self._fetches else None

    @property
    def buffered_bytes(self) -> int:
        """Return the count of bytes which were fetched and wait."""
        return sum(fetch.received - max(fetch.begin, self.offset) for fetch in self._fetches)

    @property
    def open_fetches(self) -> int:
        """Return the count of files which are being fetched."""
        return sum(fetch.is_open for fetch in self._fetches)

    # What the broker says.

    def broker_moved(self, offset: int) -> bool:
        """Follow the offset of a broker's answer, and tell whether it is a jump.

        From -1, the write head wherever it is, it is none.

        Raises:
            ReadError: The broker answers from before.
        """
        if offset < self.offset:
            raise ReadError(
                self._journal, self.offset, f"the broker answered from before, offset {offset}"
            )
        is_jump = offset > self.offset >= 0
        self.offset = offset
        self._settle()
        return is_jump

    def broker_ended(self) -> None:
        """Note that the call has ended, for whatever reason but `broker_found`."""
        self.source = Source.BROKER
        self.until = 0

    def broker_found(self, stored: StoredFragment) -> None:
        """Take the file which has the next byte, as a broker tells in place of its content.

        Raises:
            ReadError: It does not hold that byte.
        """
        if not stored.begin <= self.offset < stored.end:
            raise ReadError(
                self._journal,
                self.offset,
                f"the broker named a fragment of [{stored.begin}, {stored.end})",
            )
        if stored.fragment.backing_store in self._avoided:
            self._ask_proxy(0)
            return
        self._found = stored
        self.source = Source.LISTING
        if 0 < self._end_offset <= stored.end:
            self.listed([])  # No other is wanted.

    @property
    def listing_begin(self) -> int:
        """Return where to begin a listing: the offset at which the file begins which was found."""
        assert self._found is not None, "a listing follows what a broker found"
        return self._found.begin

    # What the store has.

    def listed(self, stored: Iterable[StoredFragment]) -> None:
        """Take files which may be fetched, beside the one which the broker told of.

        Their order, gaps and overlaps do not matter.
        """
        assert self._found is not None, "a listing follows what a broker found"
        known = [self._found, *stored]
        self._found = None
        self._cover = CoverSet(
            each for each in known if each.fragment.backing_store not in self._avoided
        )
        self.source = Source.STORE

    def begin_at_store(self, stored: Iterable[StoredFragment]) -> None:
        """Take the files of a reader who asks no broker, one of which holds the offset."""
        self._cover = CoverSet(stored)
        self.source = Source.STORE
        self._settle()

    def expired(self) -> None:
        """Forget the listing, whose URLs do not work for much longer. Open fetches go on."""
        self._cover = CoverSet()
        self._settle()

    def next_fetch(self) -> Fetch | None:
        """Return a fetch to begin now, or None while there is none."""
        last = self._fetches[-1] if self._fetches else None
        if self.source is not Source.STORE or (last is not None and last.failure is not None):
            return None
        if last is not None and not self._may_fetch_ahead():
            return None
        begin = self.offset if last is None else last.end
        index, is_found = self._cover.longest_overlap(begin)
        if not is_found or 0 < self._end_offset <= begin:
            return None
        stored = self._cover[index]
        end = min(stored.end, self._end_offset) if self._end_offset else stored.end
        self._fetches.append(Fetch(stored, begin, end))
        return self._fetches[-1]

    def may_receive(self, fetch: Fetch) -> bool:
        """Tell whether the fetch may add a piece to those which wait (RP4)."""
        if fetch is self.head:
            waiting = fetch.received - max(fetch.begin, self.offset)
            return waiting < max(1, self._budget_bytes // 4)
        return self.buffered_bytes < self._budget_bytes * 3 // 4

    def received(self, fetch: Fetch, length: int) -> None:
        """Note a piece. It may be a file's last only once the file was verified."""
        assert fetch in self._fetches, "a fetch which was dropped receives nothing"
        assert 0 < length <= fetch.end - fetch.received, "a piece is part of what is wanted"
        fetch.received += length

    def failed(self, fetch: Fetch, failure: Failure) -> list[Fetch]:
        """Note that no more comes of a fetch. Return those which are not wanted any more (RP3)."""
        assert fetch.is_open, "a fetch fails once, before its end"
        fetch.failure = failure
        if failure is Failure.CORRUPT:
            fetch.received = max(fetch.begin, self.offset)
        dropped = []
        while self._fetches[-1] is not fetch:
            dropped.append(self._fetches.pop())
        self._settle()
        return dropped

    def handed_out(self, length: int) -> None:
        """Move on by what was handed out, from whichever source."""
        head = self.head
        assert head is None or length <= head.received - self.offset, "only what was received"
        self.offset += length
        self._settle()

    def _may_fetch_ahead(self) -> bool:
        is_within = self.buffered_bytes < self._budget_bytes * 3 // 4
        return is_within and self.open_fetches < self.fetches_max

    def _settle(self) -> None:
        """Go to the source of `offset`, once another one is done."""
        if self.source is Source.PROXY and 0 < self.until <= self.offset:
            self.broker_ended()
        while self._fetches and self._fetches[0].end <= self.offset:
            self._fetches.popleft()
        if self.source is not Source.STORE:
            return
        head = self.head
        if head is None:
            if not self._cover.longest_overlap(self.offset)[1]:
                self.source = Source.BROKER
        elif head.failure is not None and head.received <= self.offset:
            self._fetches.clear()
            self._on_failure(head.stored, head.failure)

    def _on_failure(self, stored: StoredFragment, failure: Failure) -> None:
        match failure:
            case Failure.CORRUPT:
                self._cover = CoverSet()
                self.source = Source.BROKER
            case Failure.MISSING:
                self._ask_proxy(stored.end)
            case Failure.UNAVAILABLE:
                # All that we know of: each of its files would have us wait as long.
                self._ask_proxy(max(stored.end, self._cover.end))
            case Failure.DENIED:
                self._avoided.add(stored.fragment.backing_store)
                self._ask_proxy(0)
            case _:
                assert_never(failure)

    def _ask_proxy(self, until: int) -> None:
        self.source = Source.PROXY
        self.until = until
        self._cover = CoverSet()
