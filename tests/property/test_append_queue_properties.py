"""Whatever is submitted, sent, refused, late or taken back: in order, nothing lost or twice."""

from math import inf

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gazette_py.core.append_queue import (
    APPEND_BYTES,
    Abandoned,
    Append,
    AppendQueue,
    Batch,
    Committed,
    Late,
    Limits,
    State,
)

BYTES_MAX = 4 * APPEND_BYTES
LIMITS = Limits(bytes_max=BYTES_MAX, batch_bytes_max=40, linger_s=2.0, sends_max=2)


class Shell(RuleBasedStateMachine):
    """A shell, and the journals as brokers have them."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = AppendQueue(LIMITS)
        self.now = 0.0
        self.submitted: list[Append] = []
        self.accepted: list[Append] = []
        self.settled: list[Append] = []
        self.after: dict[Append, list[Append]] = {}
        self.contents: dict[Append, bytes] = {}
        self.under_way: list[Batch] = []
        self.journals: dict[str, list[bytes]] = {}
        self.sent_first: dict[str, list[Append]] = {}
        self.serial = 0

    @rule(
        journal=st.sampled_from("abc"),
        length=st.sampled_from([0, 1, 10, 30, 300]),
        deadline=st.sampled_from([None, None, 0, 3, 6]),
        key=st.sampled_from(["x", "x", "x", "x", "y", None]),
        may_wait=st.booleans(),
        data=st.data(),
    )
    def submit(
        self,
        journal: str,
        length: int,
        deadline: int | None,
        key: str | None,
        may_wait: bool,
        data: st.DataObject,
    ) -> None:
        known = [a for a in self.accepted if a.outcome is None][-4:] or self.accepted[-2:]
        after = data.draw(st.lists(st.sampled_from(known), max_size=2)) if known else []
        self.serial += 1
        content = (b"%06d" % self.serial) + b"." * length
        until = inf if deadline is None else self.now + deadline
        append = Append(journal, content, deadline=until, after=after, key=key)
        is_taken = self.queue.submit(append, self.now, may_wait=may_wait)
        assert is_taken or not may_wait
        if is_taken:
            self.after[append], self.contents[append] = after, content
            self.submitted.append(append)
            if append.state is not State.WAITING:
                self.accepted.append(append)

    @rule(seconds=st.integers(0, 3))
    def work(self, seconds: int) -> None:
        self.now += seconds
        work = self.queue.work(self.now)
        self.accepted += work.accepted
        self.settled += work.settled
        for batch in work.batches:
            self._begin(batch)
        assert self.queue.wake_at() > self.now, "What has come was done."

    def _begin(self, batch: Batch) -> None:
        assert batch.journal not in {each.journal for each in self.under_way}, "Q1"
        self.under_way.append(batch)
        first = self.sent_first.setdefault(batch.journal, [])
        for i, append in enumerate(batch.sent):
            for cause in self.after[append]:
                assert isinstance(cause.outcome, Committed) or cause in batch.sent[:i], "Q4"
            if batch.attempts == 1:
                first.append(append)
            else:
                assert append in first, "Q2: nothing joins an attempted batch"

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def commit(self, data: st.DataObject) -> None:
        batch = data.draw(st.sampled_from(self.under_way))
        self.under_way.remove(batch)
        begin = self._land(batch)
        self.queue.committed(batch, begin)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), is_doubtful=st.booleans(), has_landed=st.booleans())
    def refuse(self, data: st.DataObject, is_doubtful: bool, has_landed: bool) -> None:
        batch = data.draw(st.sampled_from(self.under_way))
        self.under_way.remove(batch)
        if is_doubtful and has_landed:
            self._land(batch)
        self.queue.refused(batch, self.now + 1.0, is_doubtful=is_doubtful)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        batch = data.draw(st.sampled_from(self.under_way))
        self.under_way.remove(batch)
        self.queue.failed(batch, "why")

    @precondition(lambda self: self.submitted)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        append = data.draw(st.sampled_from(self.submitted[-8:]))
        was_there = self.contents[append] in self.journals.get(append.journal, [])
        if self.queue.withdraw(append):
            assert not was_there, "Q6"

    @rule()
    def flush(self) -> None:
        self.queue.flush()

    def _land(self, batch: Batch) -> int:
        """Append the batch to its journal, as a broker does."""
        journal = self.journals.setdefault(batch.journal, [])
        begin = sum(len(each) for each in journal)
        journal += [self.contents[append] for append in batch.sent]
        return begin

    @invariant()
    def bounds_hold(self) -> None:
        unsettled = [a for a in self.accepted if a.state is not State.SETTLED]
        late = {a for b in self.under_way for a in b.sent if a.state is State.SETTLED}
        waiting = [a for a in self.submitted if a.state is State.WAITING]
        assert self.queue.held_bytes == sum(a.cost for a in (*unsettled, *late))
        assert self.queue.held_bytes <= BYTES_MAX, "Q3"
        assert len(self.queue) == len(unsettled) + len(waiting)
        assert self.queue.under_way == len(self.under_way) <= LIMITS.sends_max, "Q5"

    def teardown(self) -> None:
        """Every broker answers from now on: everything comes to its end."""
        for _ in range(3 * len(self.submitted) + 3):
            self.work(3)
            for batch in list(self.under_way):
                self.under_way.remove(batch)
                self.queue.committed(batch, self._land(batch))
        assert (len(self.queue), self.queue.held_bytes) == (0, 0), "Q7"
        assert sorted(map(id, self.settled)) == sorted(map(id, self.submitted)), "Q2"
        assert self.accepted == [a for a in self.submitted if a in self.accepted], "Q3"
        order = {append: i for i, append in enumerate(self.accepted)}
        for firsts in self.sent_first.values():
            assert [order[a] for a in firsts] == sorted(order[a] for a in firsts), "Q1"
        for append in self.submitted:
            self._check(append)

    def _check(self, append: Append) -> None:
        content = self.contents[append]
        pieces = self.journals.get(append.journal, [])
        times = pieces.count(content)
        match append.outcome:
            case Committed(begin, end):
                whole = b"".join(pieces)
                assert whole[begin:end] == content, "Each learns its own span."
                assert append.batch is not None
                assert times == 1 or append.batch.is_doubtful, "Q2"
            case Late(is_doubtful) | Abandoned(_, is_doubtful):
                assert is_doubtful or times == 0, "Q6"
            case _:
                pass


TestShell = Shell.TestCase
TestShell.settings = settings(max_examples=300, stateful_step_count=50, deadline=None)
