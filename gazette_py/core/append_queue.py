"""Coalesces small appends: which wait, which go into one batch, when it is sent, how each ended.

Pure. The shell submits appends, asks for `work` whenever something happened or `wake_at` has come,
sends the batches it is given, each as one append of the protocol, and reports what became of them.
Appends which come while a batch of their journal is under way make up the next one, so batches grow
with the load even without a linger.

Invariants:
    Q1  Appends of a journal are sent in the order of their acceptance, and no two batches of it are
        under way at once.
    Q2  Every append is settled exactly once. It is in one batch, which is sent again only after it
        was reported as refused.
    Q3  What is held of accepted appends never exceeds `bytes_max`. Who waits for room is accepted
        first come, first served, and nobody overtakes.
    Q4  An append is sent only once all that it comes after is committed, or before it in its batch.
        If that fails, so does the append, unsent.
    Q5  At most `sends_max` batches are under way.
    Q6  An append which is not `is_doubtful` and not committed is not in the journal, and never
        will be.
    Q7  Nothing waits for itself: an append joins a batch only if this gives the batch nothing more
        to wait for. By induction over acceptance, some batch can always be sent.

Units: seconds of a monotonic clock; offsets are journal byte offsets.
Source: gazette/core broker/client/append_service.go, which has no bound, waits for no room, and
fails all later appends of a journal after one which failed.
"""

import heapq
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from enum import Enum, auto
from math import inf
from typing import Final

APPEND_BYTES: Final = 256
"""What an append is charged beside its content: without it, tiny ones would have no bound."""

_LAPSED_MAX: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of a queue."""

    bytes_max: int  # Charged for all accepted appends.
    batch_bytes_max: int  # Of content. An append beyond it is a batch of its own.
    linger_s: float  # How long a batch is kept open for more, if nothing else holds it.
    sends_max: int  # Batches under way, each of another journal.


@dataclass(frozen=True, slots=True)
class Committed:
    """It is in the journal, at `[begin, end)`; `answer` is what the shell reported of its batch."""

    begin: int
    end: int
    answer: object


@dataclass(frozen=True, slots=True)
class Failed:
    """Its batch failed, for the cause which the shell reported."""

    cause: object


@dataclass(frozen=True, slots=True)
class Late:
    """Its deadline passed."""

    is_doubtful: bool  # It was sent, and may be in the journal.


@dataclass(frozen=True, slots=True)
class Abandoned:
    """An append before it, on which it depends, did not come to be."""

    on: "Append"
    is_doubtful: bool


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """Its caller took it back, in time."""


Outcome = Committed | Failed | Late | Abandoned | Withdrawn


class State(Enum):
    """Where an append is."""

    NEW = auto()
    WAITING = auto()  # For room.
    QUEUED = auto()
    SENT = auto()
    SETTLED = auto()


class Append:
    """One append. After `submit` its fields are the queue's to change, and anyone's to read.

    Args:
        journal: Its name.
        content: What to append; may be empty.
        deadline: When its caller loses interest.
        after: Accepted appends, of any journals, which must be committed first.
        key: Appends with equal keys may share a batch; None: with no other.
    """

    __slots__ = (
        "after",
        "batch",
        "content",
        "deadline",
        "dependents",
        "is_charged",
        "journal",
        "key",
        "length",
        "outcome",
        "state",
    )

    def __init__(
        self,
        journal: str,
        content: bytes,
        *,
        deadline: float = inf,
        after: Iterable["Append"] = (),
        key: Hashable | None = (),
    ) -> None:
        self.journal = journal
        self.content = content
        self.length = len(content)
        self.deadline = deadline
        self.after = tuple(after)
        self.key = key
        self.state = State.NEW
        self.outcome: Outcome | None = None
        self.batch: Batch | None = None
        self.dependents: list[Append] = []
        self.is_charged = False

    @property
    def cost(self) -> int:
        """What it is charged while it is held."""
        return self.length + APPEND_BYTES


@dataclass(slots=True, eq=False)
class Batch:
    """Appends of one journal which are sent, and committed, as one."""

    journal: str
    key: Hashable | None
    due: float  # When the linger is over.
    appends: dict[Append, None] = field(default_factory=dict)  # In order, and not settled.
    length: int = 0
    needs: set[Append] = field(default_factory=set)  # Not committed yet, and not in the batch (Q4).
    sent: tuple[Append, ...] = ()  # What is under way.
    attempts: int = 0
    is_doubtful: bool = False  # An earlier attempt may have been committed.

    @property
    def deadline(self) -> float:
        """When nobody is interested any more."""
        return max(append.deadline for append in self.sent)

    def content(self) -> list[bytes]:
        """Return what to send, in pieces."""
        return [append.content for append in self.sent if append.content]


@dataclass(frozen=True, slots=True)
class Work:
    """What the shell has to do now."""

    accepted: list[Append]  # They waited for room.
    settled: list[Append]
    batches: list[Batch]  # To be sent.


class AppendQueue:
    """The appends of a client which are not settled yet."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.held_bytes = 0
        self.under_way = 0  # Batches.
        self._waiting: dict[Append, None] = {}
        self._journals: dict[str, list[Batch]] = {}  # Each with a batch at least. Few are long.
        self._touched: dict[str, None] = {}  # Journals whose first batch may have become ready.
        self._settled: list[Append] = []
        self._live = 0  # Submitted and not settled.
        self._deadlines: list[tuple[float, int, Append]] = []
        self._timers: list[tuple[float, int, str]] = []
        self._serial = 0  # Tells entries of equal time apart.

    def __len__(self) -> int:
        return self._live

    def fits_ever(self, length: int) -> bool:
        """Tell whether an append of this length is accepted once nothing else is held."""
        return length + APPEND_BYTES <= self.limits.bytes_max

    def submit(self, append: Append, now: float, *, may_wait: bool = True) -> bool:
        """Accept an append, or let it wait for room; False: there is none, and it may not wait."""
        assert append.state is State.NEW
        assert self.fits_ever(append.length)
        has_room = not self._waiting and self._has_room(append)
        if not (has_room or may_wait):
            return False
        self._live += 1
        if append.deadline < inf:
            self._serial += 1
            heapq.heappush(self._deadlines, (append.deadline, self._serial, append))
        if has_room:
            self._accept(append, now)
            return True
        append.state = State.WAITING
        if not self._waiting:
            self._touched.update(dict.fromkeys(self._journals))  # Nothing lingers now.
        self._waiting[append] = None
        return True

    def withdraw(self, append: Append) -> bool:
        """Take an append back; False: it was sent already."""
        if append.state not in (State.WAITING, State.QUEUED) or self._may_be_there(append):
            return False
        self._settle(append, Withdrawn())
        return True

    def flush(self) -> None:
        """Let nothing of what is held linger."""
        for journal, batches in self._journals.items():
            for batch in batches:
                batch.due = -inf
            self._touched[journal] = None

    def committed(self, batch: Batch, begin: int, answer: object = None) -> None:
        """Take it that a batch is in its journal, from `begin` on."""
        sent = self._take_back(batch)
        self._remove(batch)
        for append in sent:
            end = begin + append.length
            if append.outcome is None:
                self._settle(append, Committed(begin, end, answer))
            begin = end

    def refused(self, batch: Batch, not_before: float, *, is_doubtful: bool = False) -> None:
        """Take it that a batch has to be sent again; doubtful: it may be in its journal."""
        self._take_back(batch)
        batch.is_doubtful |= is_doubtful
        batch.due = not_before
        for append in list(batch.appends):
            append.state = State.QUEUED
        for append in list(batch.appends):
            # What came before it in the batch may have become late meanwhile (Q4).
            if append.outcome is None and (failed := _failed(append)) is not None:
                self._settle(append, Abandoned(failed, self._may_be_there(append)))
        if batch.appends:
            self._set_timer(not_before, batch.journal)
        elif batch in self._journals.get(batch.journal, ()):
            self._remove(batch)

    def failed(self, batch: Batch, cause: object) -> None:
        """Take it that a batch is not to be sent again."""
        self._take_back(batch)
        self._remove(batch)
        for append in list(batch.appends):
            self._settle(append, Failed(cause))

    def work(self, now: float) -> Work:
        """Return what there is to do by now."""
        self._lapse(now)
        accepted = []
        while self._waiting and self._has_room(append := next(iter(self._waiting))):
            del self._waiting[append]
            accepted.append(append)
            self._accept(append, now)
        batches = self._ready(now)
        settled, self._settled = self._settled, []
        return Work(accepted, settled, batches)

    def wake_at(self) -> float:
        """Return when there will be work, if nothing happens before."""
        while self._deadlines and self._deadlines[0][2].state is State.SETTLED:
            heapq.heappop(self._deadlines)
        return min(
            self._deadlines[0][0] if self._deadlines else inf,
            self._timers[0][0] if self._timers else inf,
        )

    def _has_room(self, append: Append) -> bool:
        return self.held_bytes + append.cost <= self.limits.bytes_max

    def _accept(self, append: Append, now: float) -> None:
        self.held_bytes += append.cost
        append.is_charged = True
        append.state = State.QUEUED
        if (failed := _failed(append)) is not None:
            self._settle(append, Abandoned(failed, is_doubtful=False))
            return
        needs = {each for each in append.after if not isinstance(each.outcome, Committed)}
        for each in needs:
            assert each.state in (State.QUEUED, State.SENT), "it comes after accepted ones only"
            each.dependents.append(append)
        batch = self._batch_for(append, needs, now)
        batch.appends[append] = None
        batch.length += append.length
        append.batch = batch
        self._touched[append.journal] = None

    def _batch_for(self, append: Append, needs: set[Append], now: float) -> Batch:
        batches = self._journals.setdefault(append.journal, [])
        if batches and self._may_join(append, needs, batches[-1]):
            return batches[-1]
        batch = Batch(append.journal, append.key, now + self.limits.linger_s, needs=needs)
        batches.append(batch)
        if self.limits.linger_s > 0:
            self._set_timer(batch.due, append.journal)
        return batch

    def _may_join(self, append: Append, needs: set[Append], batch: Batch) -> bool:
        return (
            batch.attempts == 0
            and append.key is not None
            and append.key == batch.key
            and batch.length + append.length <= self.limits.batch_bytes_max
            and all(each.batch is batch or each in batch.needs for each in needs)  # Q7
        )

    def _ready(self, now: float) -> list[Batch]:
        """Send what can be sent, journals in the order in which they were touched."""
        batches: list[Batch] = []
        for journal in list(self._touched):
            if self.under_way == self.limits.sends_max:
                break  # Q5: they stay touched.
            del self._touched[journal]
            queued = self._journals.get(journal)
            if queued and self._is_ready(queued, now):
                batches.append(self._send(queued[0]))
        return batches

    def _is_ready(self, queued: list[Batch], now: float) -> bool:
        batch = queued[0]
        if batch.sent or batch.needs:
            return False  # Q1, Q4
        if batch.attempts:
            return now >= batch.due
        is_full = len(queued) > 1 or batch.length >= self.limits.batch_bytes_max
        return is_full or bool(self._waiting) or now >= batch.due

    def _send(self, batch: Batch) -> Batch:
        batch.sent = tuple(batch.appends)
        batch.attempts += 1
        for append in batch.sent:
            append.state = State.SENT
        self.under_way += 1
        return batch

    def _take_back(self, batch: Batch) -> tuple[Append, ...]:
        """End the attempt of a batch, and release what was settled meanwhile."""
        sent, batch.sent = batch.sent, ()
        assert sent, "it is under way"
        self.under_way -= 1
        for append in sent:
            if append.state is State.SETTLED:
                self._release(append)
        self._touched[batch.journal] = None
        return sent

    def _remove(self, batch: Batch) -> None:
        batches = self._journals[batch.journal]
        batches.remove(batch)
        if not batches:
            del self._journals[batch.journal]
            self._touched.pop(batch.journal, None)

    def _settle(self, append: Append, outcome: Outcome) -> None:
        """Settle an append and, if it failed, all which depend on it."""
        todo: list[tuple[Append, Outcome]] = [(append, outcome)]
        for each, its_outcome in todo:
            if each.state is State.SETTLED:
                continue  # It depended on several which failed.
            self._settle_one(each, its_outcome)
            for dependent in each.dependents:
                is_abandoned = not isinstance(its_outcome, Committed)
                if is_abandoned and dependent.state is State.QUEUED:  # Of others, see `refused`.
                    todo.append((dependent, Abandoned(each, self._may_be_there(dependent))))
                # Whatever became of it, others of the dependent's batch need not wait for it.
                self._met(dependent, each)
            each.dependents.clear()

    def _settle_one(self, append: Append, outcome: Outcome) -> None:
        batch = append.batch
        append.state, append.outcome = State.SETTLED, outcome
        self._settled.append(append)
        self._live -= 1
        self._waiting.pop(append, None)
        if batch is not None:
            del batch.appends[append]
            if batch.sent:
                return  # Its content is held until the batch is back.
            batch.length -= append.length
            if not batch.appends and batch in self._journals.get(batch.journal, ()):
                self._remove(batch)
            self._touched[batch.journal] = None
        self._release(append)

    def _release(self, append: Append) -> None:
        append.content, append.after = b"", ()
        if append.is_charged:
            append.is_charged = False
            self.held_bytes -= append.cost

    def _met(self, dependent: Append, settled: Append) -> None:
        if dependent.batch is not None and settled in dependent.batch.needs:
            dependent.batch.needs.remove(settled)
            self._touched[dependent.journal] = None

    def _may_be_there(self, append: Append) -> bool:
        return append.batch is not None and (append.batch.is_doubtful or bool(append.batch.sent))

    def _lapse(self, now: float) -> None:
        """Take all times into account which have come."""
        while self._timers and self._timers[0][0] <= now:
            _, _, journal = heapq.heappop(self._timers)
            self._touched[journal] = None
        while self._deadlines and self._deadlines[0][0] <= now:
            _, _, append = heapq.heappop(self._deadlines)
            if append.state is not State.SETTLED:
                self._settle(append, Late(self._may_be_there(append)))
        if len(self._deadlines) > _LAPSED_MAX + 2 * self._live:
            # Deadlines are far, and most appends are settled long before.
            kept = [each for each in self._deadlines if each[2].state is not State.SETTLED]
            heapq.heapify(kept)
            self._deadlines = kept

    def _set_timer(self, at: float, journal: str) -> None:
        self._serial += 1
        heapq.heappush(self._timers, (at, self._serial, journal))


def _failed(append: Append) -> Append | None:
    """Return an append which this one comes after, and which did not come to be."""
    for each in append.after:
        if each.outcome is not None and not isinstance(each.outcome, Committed):
            return each
    return None
