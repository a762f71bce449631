"""The switch from history to tail: every byte once and in order, whatever happens meanwhile.

A journal grows, is persisted and loses its beginning while it is read; listings are old and have
holes; fetches come in pieces of any order, fail, and find files gone or corrupt. The model has the
bytes, and a shell as simple as can be does what the plan says.
"""

from hypothesis import event, given, settings
from hypothesis import strategies as st

from gazette_py.core.read_plan import Failure, Fetch, ReadPlan, Source, StoredFragment
from gazette_py.protocol.fragment import Fragment

STORES = ("s3://one/", "s3://two/")
BUDGET = 40
FETCHES = 3
STEPS_MAX = 400

Draw = st.DataObject


class Journal:
    """What there is: `content` in all, files in stores, and the rest in a broker's spool."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.begin = 0  # Offsets before were pruned.
        self.stored_end = 0  # From here on there is only a spool.
        self.head = 0
        self.files: list[StoredFragment] = []
        self.corrupt: set[str] = set()
        self.left = draw.draw(st.integers(1, 120), "length")  # To be appended yet.
        self.append()
        for _ in range(draw.draw(st.integers(2, 12), "age")):
            self.live()

    def live(self) -> None:
        """Append, persist or prune."""
        steps = ("persist", "persist", "append", "overlap", "prune")
        step = self.draw.draw(st.sampled_from(steps), "lives")
        if step == "append" and self.left:
            self.append()
        elif step == "persist" and self.stored_end < self.head:
            end = self.draw.draw(st.integers(self.stored_end + 1, self.head))
            self.store(self.stored_end, end)
            self.stored_end = end
        elif step == "overlap" and self.begin < self.stored_end:
            begin = self.draw.draw(st.integers(self.begin, self.stored_end - 1))
            self.store(begin, self.draw.draw(st.integers(begin + 1, self.stored_end)))
        elif step == "prune" and len(self.files) > 1:
            gone = min(self.files, key=lambda file: file.end)
            self.files.remove(gone)
            self.begin = min(file.begin for file in self.files)

    def append(self) -> None:
        length = self.draw.draw(st.integers(1, self.left), "appended")
        self.left -= length
        self.head += length

    def store(self, begin: int, end: int) -> None:
        store = self.draw.draw(st.sampled_from(STORES))
        url = f"{store}{begin}-{end}-{len(self.files)}"
        fragment = Fragment(journal="a/journal", begin=begin, end=end, backing_store=store)
        self.files.append(StoredFragment(fragment, url))

    def file_of(self, offset: int) -> StoredFragment | None:
        holding = [file for file in self.files if file.begin <= offset < file.end]
        return max(holding, key=lambda file: file.end, default=None)

    def next_of(self, offset: int) -> int | None:
        """Return the next offset which has content."""
        if self.file_of(offset) is not None or self.stored_end <= offset < self.head:
            return offset
        begins = [file.begin for file in self.files if file.begin > offset]
        if offset < self.stored_end < self.head:
            begins.append(self.stored_end)
        return min(begins, default=None)


class Reader:
    """A shell: it performs what the plan says, and notes what was handed out."""

    def __init__(self, draw: Draw, journal: Journal, offset: int, end_offset: int = 0) -> None:
        self.draw, self.journal, self.end_offset = draw, journal, end_offset
        self.plan = ReadPlan(
            "a/journal", offset, end_offset, budget_bytes=BUDGET, fetches_max=FETCHES
        )
        self.spans: list[tuple[int, int, str]] = []  # Handed out, by whom.
        self.jumps: list[tuple[int, int]] = []
        self.fetches: list[Fetch] = []
        self.pieces: dict[Fetch, list[int]] = {}  # Offsets of the bytes which wait.
        self.denied = draw.draw(st.sampled_from([(), STORES[:1], STORES]), "denied")
        self.is_calm = False  # Nothing fails any more.

    def step(self) -> bool:
        """Do one thing. Return False if there is nothing to do: the end is reached."""
        if self.plan.is_done:
            return False
        match self.plan.source:
            case Source.BROKER | Source.PROXY:
                return self.ask()
            case Source.LISTING:
                files = self.journal.files
                if not self.is_calm:
                    some = st.lists(st.sampled_from(files), unique=True) if files else st.just([])
                    files = self.draw.draw(some, "listed")
                self.plan.listed(files)
            case Source.STORE:
                self.fetch()
        return True

    def ask(self) -> bool:
        plan, journal = self.plan, self.journal
        offset = journal.next_of(plan.offset)
        if offset is None:
            plan.broker_ended()
            return False
        before = plan.offset
        if plan.broker_moved(offset):
            self.jumps.append((before, offset))
        may_proxy = plan.source is Source.PROXY
        stored = journal.file_of(offset)
        if stored is not None and not may_proxy:
            plan.broker_found(stored)
            return True
        end = journal.head if stored is None else stored.end
        end = min(end, plan.until or end, self.end_offset or end)
        if end <= offset:  # It jumped over the end.
            plan.broker_ended()
            return False
        if not self.is_calm and self.draw.draw(st.integers(0, 5), "call") == 0:
            plan.broker_ended()
            return True
        self.hand_out(self.draw.draw(st.integers(1, end - offset), "broker"), "broker")
        if plan.source is Source.PROXY and not self.is_calm and self.draw.draw(st.booleans()):
            plan.broker_ended()
        return True

    def fetch(self) -> None:
        """Begin what may begin; then one fetch gets on, or what is ready is handed out."""
        plan = self.plan
        while (begun := plan.next_fetch()) is not None:
            self.fetches.append(begun)
        assert plan.open_fetches <= FETCHES
        head = plan.head
        assert head is not None, "who is at the store has something to wait for"
        ready = head.received - plan.offset
        able = [fetch for fetch in self.fetches if fetch.is_open and plan.may_receive(fetch)]
        assert ready or head in able, "the first is never held up"
        choice = self.draw.draw(st.integers(-1 if ready else 0, max(len(able) - 1, 0)), "who")
        if choice < 0 or not able:
            self.hand_out(self.draw.draw(st.integers(1, ready), "ready"), "store")
        else:
            self.get_on(able[choice])

    def get_on(self, fetch: Fetch) -> None:
        stored = fetch.stored
        is_there = stored in self.journal.files
        fate = 9 if self.is_calm else self.draw.draw(st.integers(0, 9), "fate")
        failure = None
        if stored.fragment.backing_store in self.denied:
            failure = Failure.DENIED
        elif not is_there:
            failure = Failure.MISSING
        elif fate < 2:
            failure = (Failure.UNAVAILABLE, Failure.CORRUPT)[fate]
        if failure is None:
            length = self.draw.draw(st.integers(1, min(10, fetch.end - fetch.received)), "piece")
            waiting = self.pieces.setdefault(fetch, [])
            waiting += range(fetch.received, fetch.received + length)
            self.plan.received(fetch, length)
            assert self.plan.buffered_bytes <= BUDGET + FETCHES * 10
            return
        event(failure.name)
        dropped = {id(fetch)} | {id(each) for each in self.plan.failed(fetch, failure)}
        self.fetches = [each for each in self.fetches if id(each) not in dropped]

    def hand_out(self, length: int, by: str) -> None:
        begin, end = self.plan.offset, self.plan.offset + length
        if by == "store":
            head = self.plan.head
            assert head is not None
            assert head.failure is not Failure.CORRUPT
            assert self.pieces[head][:length] == list(range(begin, end)), "what comes next"
            del self.pieces[head][:length]
        self.spans.append((begin, end, by))
        self.plan.handed_out(length)
        kept = {id(self.plan.head)} | {id(f) for f in self.fetches if f.end > self.plan.offset}
        self.fetches = [fetch for fetch in self.fetches if id(fetch) in kept]


@given(st.data())
@settings(max_examples=200)
def test_every_byte_is_handed_out_once_and_in_order(draw: Draw) -> None:
    journal = Journal(draw)
    offset = draw.draw(st.integers(0, journal.head), "offset")
    end_offset = draw.draw(st.just(0) | st.integers(offset + 1, 150), "end offset")
    reader = Reader(draw, journal, offset, end_offset)
    plan = reader.plan
    for _ in range(draw.draw(st.integers(0, 60), "steps")):
        if draw.draw(st.integers(0, 3)) == 0:
            journal.live()
        if draw.draw(st.integers(0, 9)) == 0:
            plan.expired()
        reader.step()
    # From here on the journal rests, and all can be had: the read must come to its end.
    reader.is_calm = True
    for _ in range(STEPS_MAX):
        if not reader.step():
            break
    else:
        raise AssertionError(f"not at the end after {STEPS_MAX} steps")
    at = offset
    for begin, end in sorted([(b, e) for b, e, _ in reader.spans] + reader.jumps):
        assert begin == at, "neither a gap nor a repetition"
        at = end
    assert plan.offset == at
    assert plan.is_done or journal.next_of(at) is None, "all that there is was handed out"
    assert not end_offset or all(end <= end_offset for _, end, _ in reader.spans)
    assert reader.spans == sorted(reader.spans), "in order"
    if {by for _, _, by in reader.spans} == {"broker", "store"}:
        event("both sources")


@given(st.data())
def test_jumps_are_only_over_what_is_gone(draw: Draw) -> None:
    """A listing with holes, or a fetch which fails, is never a reason to pass over content."""
    journal = Journal(draw)
    reader = Reader(draw, journal, journal.begin)
    plan = reader.plan
    for _ in range(draw.draw(st.integers(0, 60), "steps")):
        if draw.draw(st.integers(0, 3)) == 0:
            journal.live()
        before = len(reader.jumps)
        gone = {at for at in range(plan.offset, journal.head) if journal.next_of(at) != at}
        reader.step()
        for begin, end in reader.jumps[before:]:
            assert set(range(begin, end)) <= gone
