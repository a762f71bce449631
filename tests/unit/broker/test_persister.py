"""How closed fragments get into stores which fail, and when they are let go of."""

import asyncio
import gzip
import hashlib
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest

from gazette_py.broker import persister as module
from gazette_py.broker.persister import Persister
from gazette_py.broker.spool_file import SpoolDirectory
from gazette_py.core.spool import CompletedSpool
from gazette_py.errors import StoreDeniedError, StoreError, StoreUnavailableError
from gazette_py.protocol.enums import CompressionCodec
from gazette_py.protocol.fragment import Fragment
from gazette_py.protocol.journal import FragmentSpec, JournalSpec
from gazette_py.protocol.labels import LabelSet
from gazette_py.stores.base import ObjectInfo, ObjectStream, Store
from gazette_py.stores.registry import StoreRegistry

FIRST, SECOND = "memory://persister-first/", "memory://persister-second/"
CONTENT = b"content of a fragment"
NAME = "a/journal/0000000000000000-0000000000000015-" + hashlib.sha1(CONTENT).hexdigest()
DEADLINE_S = 5
CREATED = 17
"""The revision at which the journal was created."""


class Chance:
    """A clock whose draws are `drawn` of their mean. The first value makes every delay short."""

    def __init__(self) -> None:
        self.drawn = 1e-6
        self.slept: list[float] = []

    def now(self) -> float:
        return 1_000_000.0

    def monotonic(self) -> float:
        return 1_000_000.0

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)

    def uniform(self, low: float, high: float) -> float:
        return self.drawn * (low + high) / 2

    def token_hex(self, nbytes: int) -> str:
        return "0" * 2 * nbytes


class Scripted(Store):
    """A store which keeps what it is given, after as many failures as the test wants."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.objects: dict[str, tuple[bytes, str]] = {}
        self.calls: list[str] = []
        self.failures: list[StoreError] = []
        self.gate: asyncio.Event | None = None  # Puts wait for it.

    async def exists(self, path: str) -> bool:
        self._call("exists")
        return path in self.objects

    async def put(
        self,
        path: str,
        open_content: Callable[[], BinaryIO],
        length: int,
        content_encoding: str = "",
    ) -> None:
        self._call("put")
        if self.gate is not None:
            await self.gate.wait()
        with open_content() as file:
            content = file.read()
        assert len(content) == length
        self.objects[path] = (content, content_encoding)

    def _call(self, operation: str) -> None:
        self.calls.append(operation)
        if self.failures:
            raise self.failures.pop(0)

    async def get(self, path: str) -> ObjectStream:
        raise AssertionError("a persister reads nothing")

    def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        raise AssertionError("a persister lists nothing")

    async def remove(self, path: str) -> None:
        raise AssertionError("a persister removes nothing")

    async def sign_get(self, path: str, ttl_s: float) -> str:
        raise AssertionError("a persister signs nothing")

    async def close(self) -> None:
        pass


class Bench:
    """A persister, its stores by URL, and the journal's spec as it is now."""

    def __init__(self, directory: Path, executor: ThreadPoolExecutor) -> None:
        self.clock = Chance()
        self.stores = {url: Scripted(url) for url in (FIRST, SECOND)}
        self.spec: JournalSpec | None = spec(FIRST)
        self.created = CREATED
        self.spools = SpoolDirectory(str(directory))
        self.persisted = self.failed = 0
        self.persister = Persister(
            stores=StoreRegistry(
                self.clock, allow_memory=True, wrap=lambda store: self.stores[store.url]
            ),
            spools=self.spools,
            spec_of=lambda journal, created: (
                replace(self.spec, name=journal)
                if self.spec is not None and created == self.created
                else None
            ),
            executor=executor,
            clock=self.clock,
            counters=self,
            concurrency=2,
        )

    def spool_persisted(self) -> None:
        self.persisted += 1

    def persist_failed(self) -> None:
        self.failed += 1

    def spool(
        self, journal: str = "a/journal", codec: CompressionCodec = CompressionCodec.NONE
    ) -> CompletedSpool:
        file = self.spools.open(journal, 0)
        file.write(0, CONTENT)
        fragment = Fragment(
            journal=journal,
            begin=0,
            end=len(CONTENT),
            sum=hashlib.sha1(CONTENT).digest(),
            compression_codec=codec,
        )
        return CompletedSpool(fragment, LabelSet(), 1_500_000_000.0, file)

    async def until(self, check: Callable[[], object], what: str) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not check():
                await asyncio.sleep(0)
        assert check(), what

    async def drained(self) -> None:
        await self.until(lambda: not self.persister.pending, "drained")


def spec(*stores: str, postfix: str = "") -> JournalSpec:
    return JournalSpec(
        name="a/journal",
        replication=1,
        fragment=FragmentSpec(
            length=1024,
            compression_codec=CompressionCodec.NONE,
            stores=stores,
            path_postfix_template=postfix,
        ),
    )


def down(store: str = FIRST) -> StoreError:
    return StoreUnavailableError(store, "exists", NAME, "down")


def denied(store: str = FIRST) -> StoreError:
    return StoreDeniedError(store, "exists", NAME, "forbidden")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with ThreadPoolExecutor(1) as executor:
        made = Bench(tmp_path, executor)
        yield made
        made.spools.close()


async def test_a_primary_stores_a_fragment_at_once_and_lets_go_of_it(bench: Bench) -> None:
    spool = bench.spool()
    file = weakref.ref(spool.file)
    bench.clock.drawn = 1.0
    bench.persister.persist_soon(spool, CREATED, is_primary=True)
    del spool
    assert (bench.persister.pending, bench.persister.pending_bytes) == (1, len(CONTENT))
    await bench.drained()

    assert bench.stores[FIRST].objects == {f"{NAME}.raw": (CONTENT, "")}
    assert (bench.persister.pending_bytes, bench.persisted) == (0, 1)
    assert file() is None


async def test_a_replica_gives_the_primary_time(bench: Bench) -> None:
    """It is asked to end before that time is over, and then waits no longer."""
    bench.clock.drawn = 1000.0
    bench.persister.persist_soon(bench.spool(), CREATED, is_primary=False)
    for _ in range(20):
        await asyncio.sleep(0)
    assert bench.stores[FIRST].calls == []

    async with asyncio.timeout(DEADLINE_S):
        await bench.persister.finish()
    assert bench.stores[FIRST].calls == ["exists", "put"]


async def test_when_a_member_is_lost_replicas_hardly_wait(bench: Bench) -> None:
    """Of what they hold by then, and of what is closed soon after: hours, and then nothing."""
    bench.clock.drawn = 1000.0
    bench.persister.persist_soon(bench.spool("one"), CREATED, is_primary=False)
    await asyncio.sleep(0)
    bench.clock.drawn = 1e-6
    bench.persister.member_lost()
    await bench.drained()
    bench.persister.persist_soon(bench.spool("two"), CREATED, is_primary=False)
    await bench.drained()
    assert [path.split("/")[0] for path in bench.stores[FIRST].objects] == ["one", "two"]


async def test_a_lost_member_makes_no_wait_longer(bench: Bench) -> None:
    bench.persister.persist_soon(bench.spool(), CREATED, is_primary=False)
    bench.clock.drawn = 1000.0
    bench.persister.member_lost()
    await bench.drained()


async def test_once_anything_gets_into_a_store_the_rest_follows(bench: Bench) -> None:
    """PE5: and does not wait for its turn of the back-off."""
    store = bench.stores[FIRST]
    store.failures = [down() for _ in range(3)]
    bench.clock.drawn = 1000.0  # Of back-offs.
    for name in ("one", "two", "three"):
        bench.persister.persist_soon(bench.spool(name), CREATED, is_primary=True)
    await bench.until(lambda: bench.failed == 3, "down")
    assert store.objects == {}
    bench.persister.persist_soon(bench.spool("four"), CREATED, is_primary=True)
    await bench.drained()
    assert len(store.objects) == 4


async def test_what_is_there_is_not_written_again(bench: Bench) -> None:
    """PE3."""
    bench.stores[FIRST].objects[f"{NAME}.raw"] = (CONTENT, "")
    bench.persister.persist_soon(bench.spool(), CREATED, is_primary=False)
    await bench.drained()
    assert bench.stores[FIRST].calls == ["exists"]
    assert bench.persisted == 1


async def test_a_store_which_is_down_delays_and_loses_nothing(bench: Bench) -> None:
    """PE1, for many more attempts than there are steps of back-off."""
    store = bench.stores[FIRST]
    store.failures = [down() for _ in range(3 * len(module.RETRY_S))]
    bench.persister.persist_soon(bench.spool(), CREATED, is_primary=True)
    await bench.drained()

    assert store.objects == {f"{NAME}.raw": (CONTENT, "")}
    assert (bench.failed, bench.persisted) == (3 * len(module.RETRY_S), 1)


async def test_not_even_a_bug_loses_content(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """PE1: as a postfix of an old spec, which we cannot evaluate."""
    bench.spec = spec(FIRST, postfix="{{ .Unknown }}")
    bench.persister.persist_soon(bench.spool(), CREATED, is_primary=True)
    await bench.until(lambda: bench.failed > 3, "tried again")
    assert bench.persister.pending == 1

    bench.spec = spec(FIRST, postfix="date={{ .Spool.FirstAppendTime.Format `2006-01-02` }}")
    await bench.drained()
    [path] = bench.stores[FIRST].objects
    assert path == NAME.replace("a/journal/", "a/journal/date=2017-07-14/") + ".raw"


async def test_each_attempt_is_of_the_spec_as_it_is_then(bench: Bench) -> None:
    """PE2: an operator may name another store while the first one is down."""
    bench.stores[FIRST].failures = [down() for _ in range(1000)]
    bench.persister.persist_soon(bench.spool(), CREATED, is_primary=True)
    await bench.until(lambda: bench.failed > 1, "failed")
    bench.spec = spec(SECOND, FIRST)
    await bench.drained()
    assert list(bench.stores[SECOND].objects) == [f"{NAME}.raw"]


@pytest.mark.parametrize("gone", [None, spec()])
async def test_fragments_of_deleted_journals_and_of_those_without_stores_are_let_go(
    bench: Bench, gone: JournalSpec | None
) -> None:
    bench.spec = gone
    bench.persister.persist_soon(bench.spool(), CREATED, is_primary=True)
    await bench.drained()
    assert bench.persisted == 1
    assert bench.stores[FIRST].calls == []


async def test_a_fragment_of_a_journal_made_anew_is_not_stored(bench: Bench) -> None:
    """It holds other bytes at the offsets at which the new journal begins."""
    bench.created = CREATED + 1
    bench.persister.persist_soon(bench.spool(), CREATED, is_primary=True)
    await bench.drained()
    assert bench.stores[FIRST].calls == []


async def test_a_store_which_hangs_delays_no_other(bench: Bench) -> None:
    """PE4: here two attempts at a time would take all slots, if stores shared them."""
    bench.stores[FIRST].gate = gate = asyncio.Event()
    for n in range(4):
        bench.persister.persist_soon(bench.spool(f"hung/{n}"), CREATED, is_primary=True)
    await bench.until(lambda: bench.stores[FIRST].calls.count("put") == 2, "hung")
    bench.spec = spec(SECOND)
    bench.persister.persist_soon(bench.spool("other"), CREATED, is_primary=True)
    await bench.until(lambda: bench.persisted == 1, "stored")
    assert bench.stores[FIRST].calls.count("put") == 2

    gate.set()
    await bench.drained()
    assert bench.persisted == 5


async def test_only_a_process_which_ends_takes_another_store_than_the_first(bench: Bench) -> None:
    bench.spec = spec(FIRST, SECOND)
    bench.stores[FIRST].failures = [denied() for _ in range(1000)]
    bench.persister.persist_soon(bench.spool(), CREATED, is_primary=True)
    await bench.until(lambda: bench.failed > 3, "denied")
    assert bench.stores[SECOND].calls == []

    async with asyncio.timeout(DEADLINE_S):
        await bench.persister.finish()
    assert list(bench.stores[SECOND].objects) == [f"{NAME}.raw"]


async def test_a_process_which_ends_goes_on_while_the_store_is_down(bench: Bench) -> None:
    """It tries every few seconds, whatever the back-off was."""
    bench.spec = spec(FIRST, SECOND)
    bench.clock.drawn = 1.0
    store = bench.stores[FIRST]
    store.failures = [down() for _ in range(10)]
    bench.persister.persist_soon(bench.spool(), CREATED, is_primary=False)

    async with asyncio.timeout(DEADLINE_S):
        await bench.persister.finish()
    assert list(store.objects) == [f"{NAME}.raw"]
    assert bench.stores[SECOND].calls == []  # It is down, which is not to say that it refuses us.
    assert len(bench.clock.slept) == 10
    assert max(bench.clock.slept) <= 2.0


async def test_an_attempt_has_an_end(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PUT_TIMEOUT_S", 0.01)
    store = bench.stores[FIRST]
    store.gate = asyncio.Event()
    bench.persister.persist_soon(bench.spool(), CREATED, is_primary=True)
    await bench.until(lambda: bench.failed > 1, "timed out")
    store.gate.set()
    await bench.drained()
    assert list(store.objects) == [f"{NAME}.raw"]


@pytest.mark.parametrize(
    ("codec", "extension", "encoding"),
    [
        (CompressionCodec.GZIP, ".gz", ""),
        (CompressionCodec.GZIP_OFFLOAD_DECOMPRESSION, "", "gzip"),
    ],
)
async def test_content_is_compressed_on_its_way(
    bench: Bench, codec: CompressionCodec, extension: str, encoding: str
) -> None:
    bench.persister.persist_soon(bench.spool(codec=codec), CREATED, is_primary=True)
    await bench.drained()
    [(path, (stored, told))] = bench.stores[FIRST].objects.items()
    assert path == NAME + extension
    assert gzip.decompress(stored) == CONTENT
    assert told == encoding
    # The thread which compressed may hold the file for one more moment.
    await bench.until(lambda: bench.spools.bytes_used == 0, "given back")


async def test_a_full_directory_is_emptied_into_the_store(tmp_path: Path, bench: Bench) -> None:
    """An outage had filled it: compressed content needs room of its own to get out."""
    full = tmp_path / "full"
    bench.spools.close()
    bench.spools = bench.persister._spools = SpoolDirectory(str(full), bytes_max=len(CONTENT))
    bench.persister.persist_soon(
        bench.spool(codec=CompressionCodec.ZSTANDARD), CREATED, is_primary=True
    )
    await bench.drained()
    assert list(bench.stores[FIRST].objects) == [f"{NAME}.zst"]
    assert bench.failed == 0
    # The thread which compressed may hold the file for one more moment.
    await bench.until(lambda: bench.spools.bytes_used == 0, "given back")
