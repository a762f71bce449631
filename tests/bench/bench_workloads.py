"""Workloads: each runs for a while over journals of its own, and checks every byte afterwards.

What is measured is the time of whole calls of our client, so its own cost is part of every figure,
of ours and of others alike; processor time of brokers is not.
"""

import asyncio
import os
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from bench_systems import System, journals_of

from gazette_py.client import AppendService, PendingAppend
from gazette_py.clock import SYSTEM

KIB = 1 << 10
MIB = 1 << 20
BULK_BYTES = 64 * MIB
WARM_UP_SHARE = 0.25

Written = tuple[int, int, bytes]
"""Where an append begins and ends, and its content."""


@dataclass(slots=True, kw_only=True)
class Sample:
    """One measurement."""

    workload: str
    system: str
    replication: int
    operations: int = 0
    content_bytes: int = 0
    seconds: float = 0.0
    broker_cpu_s: float | None = None
    client_cpu_s: float = 0.0
    latencies_s: list[float] = field(default_factory=list)


class Recorder:
    """Measures what happens within `measured`; counts nothing outside of it."""

    def __init__(self, workload: str, system: System) -> None:
        self.sample = Sample(workload=workload, system=system.name, replication=system.replication)
        self._system = system
        self._is_on = False

    async def run(self, work: Callable[[float], Awaitable[None]], seconds: float) -> None:
        """Warm `work` up, and measure it. It is given the time at which to end."""
        await work(time.perf_counter() + WARM_UP_SHARE * seconds)
        broker_cpu, client_cpu = self._system.cpu_s(), time.process_time()
        self._is_on, begin = True, time.perf_counter()
        await work(begin + seconds)
        self._is_on, sample = False, self.sample
        sample.seconds = time.perf_counter() - begin
        sample.client_cpu_s = time.process_time() - client_cpu
        if (now := self._system.cpu_s()) is not None and broker_cpu is not None:
            sample.broker_cpu_s = now - broker_cpu

    def done(self, begin: float, length: int) -> None:
        """Count an operation which began at `begin`."""
        if self._is_on:
            self.sample.operations += 1
            self.sample.content_bytes += length
            self.sample.latencies_s.append(time.perf_counter() - begin)


@dataclass(frozen=True, slots=True, kw_only=True)
class Appends:
    """Appenders which each append again as soon as they are answered."""

    name: str
    length: int
    journals: int = 1
    appenders: int = 1  # Of each journal.

    async def run(self, system: System, seconds: float) -> Sample:
        recorder = Recorder(self.name, system)
        contents = [os.urandom(self.length) for _ in range(16)]
        names = _new_names(self.journals)
        written: dict[str, list[Written]] = {name: [] for name in names}

        async def append(journal: str, until: float) -> None:
            while (begin := time.perf_counter()) < until:
                content = contents[len(written[journal]) % len(contents)]
                result = await system.client.append(journal, content, timeout_s=30)
                recorder.done(begin, len(content))
                written[journal].append((result.commit.begin, result.commit.end, content))

        async def work(until: float) -> None:
            async with asyncio.TaskGroup() as group:
                for journal in names:
                    for _ in range(self.appenders):
                        group.create_task(append(journal, until))

        async with journals_of(system, names):
            await recorder.run(work, seconds)
            for journal in names:
                await _check(system, journal, written[journal])
        return recorder.sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One writer to each journal, by the append service, which has as much as there is room for."""

    name: str
    length: int
    journals: int
    bytes_max: int

    async def run(self, system: System, seconds: float) -> Sample:
        recorder = Recorder(self.name, system)
        contents = [os.urandom(self.length) for _ in range(16)]
        names = _new_names(self.journals)
        written: dict[str, list[Written]] = {name: [] for name in names}

        async def settle(begin: float, pending: PendingAppend, content: bytes) -> None:
            done = await pending
            recorder.done(begin, len(content))
            written[done.journal].append((done.begin, done.end, content))

        async def append(service: AppendService, journal: str, until: float) -> None:
            async with asyncio.TaskGroup() as group:
                while (begin := time.perf_counter()) < until:
                    content = contents[len(written[journal]) % len(contents)]
                    pending = await service.append(journal, content)
                    group.create_task(settle(begin, pending, content))
                    await asyncio.sleep(0)

        async def work(until: float) -> None:
            async with (
                system.client.append_service(bytes_max=self.bytes_max) as service,
                asyncio.TaskGroup() as group,
            ):
                for journal in names:
                    group.create_task(append(service, journal, until))

        async with journals_of(system, names):
            await recorder.run(work, seconds)
            for journal in names:
                await _check(system, journal, written[journal])
        return recorder.sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """One appender, and a reader who waits at the write head: the time until it has the bytes."""

    name: str
    length: int

    async def run(self, system: System, seconds: float) -> Sample:
        recorder = Recorder(self.name, system)
        content = os.urandom(self.length)
        (journal,) = names = _new_names(1)

        async def work(until: float) -> None:
            head = (await system.client.append(journal, timeout_s=30)).commit.end
            async with system.client.reader(journal, offset=head, block=True) as reader:
                while (begin := time.perf_counter()) < until:
                    append = asyncio.create_task(
                        system.client.append(journal, content, timeout_s=30)
                    )
                    got = b""
                    while len(got) < len(content):
                        batch = await reader.next_batch()
                        assert batch is not None, "a read which blocks has no end"
                        got += bytes(batch)
                    recorder.done(begin, len(got))
                    assert got == content
                    await append

        async with journals_of(system, names):
            await recorder.run(work, seconds)
        return recorder.sample


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkRead:
    """One reader of content which is in the broker's spool, from its begin again and again."""

    name: str

    async def run(self, system: System, seconds: float) -> Sample:
        recorder = Recorder(self.name, system)
        content = os.urandom(BULK_BYTES)
        (journal,) = names = _new_names(1)

        async def work(until: float) -> None:
            while (begin := time.perf_counter()) < until:
                position = 0
                async with system.client.reader(journal, end_offset=BULK_BYTES) as reader:
                    async for batch in reader.batches():
                        assert bytes(batch) == content[position : batch.end]
                        position = batch.end
                assert position == BULK_BYTES
                recorder.done(begin, position)

        async with journals_of(system, names):
            for at in range(0, BULK_BYTES, 4 * MIB):
                await system.client.append(journal, content[at : at + 4 * MIB], timeout_s=30)
            await recorder.run(work, seconds)
        return recorder.sample


Workload = Appends | Served | Tail | BulkRead

WORKLOADS: tuple[Workload, ...] = (
    Appends(name="append 1 KiB, serial", length=KIB),
    Appends(name="append 1 KiB, 8 journals x 8", length=KIB, journals=8, appenders=8),
    Served(name="append 1 KiB, by the service", length=KIB, journals=8, bytes_max=MIB),
    Appends(name="append 1 MiB, 2 journals x 2", length=MIB, journals=2, appenders=2),
    Tail(name="append 1 KiB until read", length=KIB),
    BulkRead(name="bulk read"),
)


def _new_names(count: int) -> list[str]:
    return [f"bench/{SYSTEM.token_hex(6)}" for _ in range(count)]


async def _check(system: System, journal: str, written: list[Written]) -> None:
    """Read the journal back: all of what was appended, once, where its answer said."""
    position = 0
    expected = deque(sorted(written))
    end = expected[-1][1]
    held = bytearray()
    async with system.client.reader(journal, end_offset=end) as reader:
        async for batch in reader.batches():
            held += bytes(batch)
            while expected and len(held) >= len(expected[0][2]):
                first, last, content = expected.popleft()
                assert first == position, journal
                position += len(content)
                assert last == position, journal
                assert held[: len(content)] == content, f"{journal} at {first}"
                del held[: len(content)]
    assert not expected, f"{journal}: {len(expected)} appends were not read back"
    assert not held, f"{journal}: bytes which nobody appended"
