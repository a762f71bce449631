"""Writers, what brokers acknowledged to them, and the check that all of it is there.

Each record is unique, and sent once: an append whose outcome is not known is given up, and its
record may be there or not. Every other must be there once, at the offsets of its acknowledgement.
Clients of other makes may send a record again, and learn no offset: theirs must be there.
"""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from local_clusters import apply, eventually

from gazette_py.client import Client
from gazette_py.errors import AppendOutcomeUnknownError, GazetteError
from gazette_py.lake import Gap, Lake, cover
from gazette_py.protocol.journal import JournalSpec

APPEND_TIMEOUT_S = 20.0
RETRY_S = 0.02
GIVE_UP_S = 90.0


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """An append which a broker said was done."""

    begin: int
    end: int
    content: bytes
    at: float  # Monotonic seconds.
    took_s: float  # With all tries.


class Load:
    """Several writers to several journals, through one client.

    Args:
        client: By which they append.
        journals: Each writer takes them in turn.
        seed: Decides what is written.
        give_up_s: How long an append is tried again.
    """

    def __init__(
        self, client: Client, journals: Sequence[str], seed: int, give_up_s: float = GIVE_UP_S
    ) -> None:
        self.journals = journals
        self.acknowledged: dict[str, list[Acknowledged]] = {journal: [] for journal in journals}
        self.unknown: dict[str, list[bytes]] = {journal: [] for journal in journals}
        self.sent_by_others: dict[str, set[bytes]] = {journal: set() for journal in journals}
        self.done_by_others: dict[str, set[bytes]] = {journal: set() for journal in journals}
        self.errors: Counter[str] = Counter()
        self._client = client
        self._seed = seed
        self._give_up_s = give_up_s
        self._is_stopping = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, writers: int) -> None:
        for writer in range(writers):
            self._tasks.append(asyncio.create_task(self._write(writer), name=f"writer {writer}"))

    async def stop(self) -> None:
        """Let every writer finish its append, and raise what went wrong in any."""
        self._is_stopping = True
        await asyncio.gather(*self._tasks)

    @property
    def count(self) -> int:
        return sum(len(found) for found in self.acknowledged.values())

    def pause_s(self, since: float, until: float) -> float:
        """Return the longest time within which some journal acknowledged nothing."""
        longest = 0.0
        for found in self.acknowledged.values():
            times = [since, *(each.at for each in found if since < each.at < until), until]
            longest = max(longest, *(b - a for a, b in itertools.pairwise(times)))
        return longest

    def took_s(self, since: float, until: float) -> list[float]:
        """Return how long appends took, ascending, which were acknowledged within that time."""
        return sorted(
            each.took_s
            for found in self.acknowledged.values()
            for each in found
            if since < each.at < until
        )

    async def wait_progress(self, appends: int, timeout_s: float) -> None:
        """Wait until every journal has acknowledged so many appends more."""
        before = {journal: len(found) for journal, found in self.acknowledged.items()}
        deadline = time.monotonic() + timeout_s
        while any(len(self.acknowledged[j]) < n + appends for j, n in before.items()):
            for task in self._tasks:
                if task.done():
                    task.result()
            now = {j: len(self.acknowledged[j]) - n for j, n in before.items()}
            assert time.monotonic() < deadline, f"{now} of {appends} in {timeout_s} s {self.errors}"
            await asyncio.sleep(0.02)

    async def _write(self, writer: int) -> None:
        random = Random(f"{self._seed}/{writer}")
        serial = 0
        while not self._is_stopping:
            journal = self.journals[(writer + serial) % len(self.journals)]
            padding = random.randbytes(random.choice((0, 10, 100, 1_000, 20_000))).hex()
            await self.append(journal, f"{writer}:{serial}:{padding}\n".encode())
            serial += 1

    async def append(self, journal: str, content: bytes) -> None:
        """Append a record, which must be unique, and note what came of it."""
        began = time.monotonic()
        while True:
            try:
                done = await self._client.append(
                    journal, content, retry=False, timeout_s=APPEND_TIMEOUT_S
                )
            except AppendOutcomeUnknownError as exc:
                self.errors[f"outcome unknown: {exc.code}"] += 1
                self.unknown[journal].append(content)
                return
            except GazetteError as exc:
                if not exc.retryable or time.monotonic() > began + self._give_up_s:
                    raise
                self.errors[type(exc).__name__] += 1
                await asyncio.sleep(RETRY_S)
                continue
            commit, now = done.commit, time.monotonic()
            self.acknowledged[journal].append(
                Acknowledged(commit.begin, commit.end, content, now, now - began)
            )
            return


Run = tuple[int, bytes]
"""Where unbroken content begins, and the content.

A broker which is killed may take with it the end of an append that nobody else has, and which was
therefore not acknowledged. Appends then go on behind a hole, if another broker had it too, and was
killed before it could store it.
"""


async def stored_runs(lake: Lake, journal: str) -> list[Run]:
    """Return what the store has, each run without a gap."""
    runs: list[Run] = []
    for part in cover(await lake.files(journal)):
        if isinstance(part, Gap):
            continue
        content = b"".join([piece async for piece in lake.read_slice(part)])
        if runs and runs[-1][0] + len(runs[-1][1]) == part.begin:
            runs[-1] = (runs[-1][0], runs[-1][1] + content)
        else:
            runs.append((part.begin, content))
    return runs


async def stored_spans(lake: Lake, journal: str) -> list[tuple[int, int]]:
    """Return where the runs which the store has begin and end, by the names of its files alone."""
    spans: list[tuple[int, int]] = []
    for part in cover(await lake.files(journal)):
        if isinstance(part, Gap):
            continue
        if spans and spans[-1][1] == part.begin:
            spans[-1] = (spans[-1][0], part.end)
        else:
            spans.append((part.begin, part.end))
    return spans


async def served_runs(client: Client, journal: str, runs: Sequence[Run]) -> list[Run]:
    """Return what brokers have where the store has its runs."""
    return [
        (begin, await client.read_all(journal, begin, begin + len(content), block=True))
        for begin, content in runs
    ]


async def flush(load: Load, client: Client, specs: Sequence[JournalSpec]) -> dict[str, int]:
    """Have every open fragment closed, and so stored; return where each journal ends."""
    await apply(client, *(replace(s, fragment=replace(s.fragment, length=1 << 10)) for s in specs))
    heads = {}
    for journal in load.journals:
        # An open fragment of a kibibyte or less would stay open.
        await load.append(journal, f"the last one of {journal} ".encode() * 100 + b"\n")
        heads[journal] = (await client.append(journal, timeout_s=60)).commit.end
    return heads


async def wait_stored(
    load: Load, lake: Lake, heads: dict[str, int], timeout_s: float
) -> dict[str, list[Run]]:
    """Wait until everything acknowledged is in the store, and return what is there."""

    async def check() -> bool:
        for journal, head in heads.items():
            spans = await stored_spans(lake, journal)
            if not spans or spans[-1][1] != head:
                return False
            for each in load.acknowledged[journal]:
                if not any(begin <= each.begin and each.end <= end for begin, end in spans):
                    return False
        return True

    await eventually(check, "stored", timeout_s)
    return {journal: await stored_runs(lake, journal) for journal in heads}


def check_content(load: Load, journal: str, runs: Sequence[Run]) -> None:
    """Check that every acknowledged append is there, once, where it was acknowledged.

    Between runs are holes: bytes of appends which failed, and which nobody was left to store.
    """
    end = 0
    for each in sorted(load.acknowledged[journal], key=lambda a: a.begin):
        assert each.begin >= end, f"{journal}: two appends were acknowledged at {each.begin}"
        end = each.end
        found = next(
            (
                content[each.begin - begin : each.end - begin]
                for begin, content in runs
                if begin <= each.begin and each.end <= begin + len(content)
            ),
            None,
        )
        assert found is not None, f"{journal}: lost [{each.begin}, {each.end})"
        assert found == each.content, f"{journal}: other content at [{each.begin}, {each.end})"
    lines = Counter(line for _, content in runs for line in content.splitlines(keepends=True))
    lost = load.done_by_others[journal] - lines.keys()
    assert not lost, f"{journal}: lost {len(lost)} lines of others"
    theirs = load.sent_by_others[journal]
    doubled = [line for line, count in lines.items() if count > 1 and line not in theirs]
    assert not doubled, f"{journal}: there twice: {doubled[0][:80]!r}"
    sent = {each.content for each in load.acknowledged[journal]}
    sent |= theirs.union(load.unknown[journal])
    assert lines.keys() <= sent, f"{journal}: {len(lines.keys() - sent)} lines which nobody sent"
