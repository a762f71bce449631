"""The registry's ladder of checks, its sweeps, and what it says of stores which it cannot have."""

import asyncio
import itertools
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

import pytest

from gazette_py.errors import StoreDeniedError, StoreError, StoreUnavailableError
from gazette_py.stores import health
from gazette_py.stores.base import ObjectInfo, ObjectStream, Store
from gazette_py.stores.registry import HEALTH_PENDING, HEALTH_STOPPED, StoreRegistry

_names = itertools.count()


def unique_url() -> str:
    """Return a store which no other test uses."""
    return f"memory://registry-{next(_names)}/prefix/"


class FakeClock:
    """Time which stands still until the test moves it."""

    def __init__(self) -> None:
        self.time = 1000.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.time + seconds, future))
        await future

    def uniform(self, low: float, high: float) -> float:
        return (low + high) / 2

    def token_hex(self, nbytes: int) -> str:
        return "0" * 2 * nbytes

    async def advance(self, seconds: float) -> None:
        """Move time, and let everything run which it wakes. Nothing here uses threads."""
        self.time += seconds
        for entry in list(self._sleepers):
            if entry[0] <= self.time + 1e-9:
                self._sleepers.remove(entry)
                if not entry[1].done():
                    entry[1].set_result(None)
        for _ in range(50):
            await asyncio.sleep(0)


class FlakyStore(Store):
    """A store which fails its puts while the test wants it to."""

    def __init__(self, store: Store) -> None:
        self.url = store.url
        self.is_down = True
        self.puts = 0
        self.is_closed = False
        self._store = store

    async def exists(self, path: str) -> bool:
        return await self._store.exists(path)

    async def get(self, path: str) -> ObjectStream:
        return await self._store.get(path)

    async def put(
        self,
        path: str,
        open_content: Callable[[], BinaryIO],
        length: int,
        content_encoding: str = "",
    ) -> None:
        self.puts += 1
        if self.is_down:
            raise StoreUnavailableError(self.url, "put", path, "down")
        await self._store.put(path, open_content, length, content_encoding)

    def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        return self._store.list(prefix)

    async def remove(self, path: str) -> None:
        await self._store.remove(path)

    async def sign_get(self, path: str, ttl_s: float) -> str:
        return await self._store.sign_get(path, ttl_s)

    async def close(self) -> None:
        self.is_closed = True
        await self._store.close()


class Observed:
    """An observer which keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[object, ...]] = []

    def operation_done(self, store: str, operation: str, status: str, seconds: float) -> None:
        self.heard.append((operation, status, seconds))

    def bytes_put(self, store: str, encoding: str, length: int) -> None:
        self.heard.append(("bytes_put", encoding, length))

    def items_listed(self, store: str, count: int) -> None:
        self.heard.append(("items_listed", count))

    def check_done(self, store: str, status: str) -> None:
        self.heard.append(("check_done", status))

    def stores_active(self, count: int) -> None:
        self.heard.append(("stores_active", count))


@asynccontextmanager
async def running(registry: StoreRegistry) -> AsyncIterator[None]:
    task = asyncio.create_task(registry.run())
    await asyncio.sleep(0)
    yield
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await registry.close()


def flaky_registry(clock: FakeClock) -> tuple[StoreRegistry, list[FlakyStore]]:
    made: list[FlakyStore] = []

    def wrap(store: Store) -> Store:
        made.append(FlakyStore(store))
        return made[-1]

    return StoreRegistry(clock, allow_memory=True, wrap=wrap), made


async def test_a_store_is_checked_at_its_first_reference() -> None:
    clock = FakeClock()
    registry = StoreRegistry(clock, allow_memory=True)
    async with running(registry):
        active = registry.get(unique_url())
        assert active.health == HEALTH_PENDING

        await clock.advance(0)

        assert active.health is None
        assert active.checks_failed == 0


async def test_a_store_referenced_before_run_is_checked_once_it_runs() -> None:
    clock = FakeClock()
    registry = StoreRegistry(clock, allow_memory=True)
    active = registry.get(unique_url())
    async with running(registry):
        await clock.advance(0)

        assert active.health is None


async def test_checks_of_a_store_which_is_down_become_rare() -> None:
    """The ladder of spec protocol.md 2.7: the first try is repeated at once."""
    clock = FakeClock()
    registry, made = flaky_registry(clock)
    async with running(registry):
        active = registry.get(unique_url())
        await clock.advance(0)
        assert made[0].puts == 1
        assert active.health is not None
        assert "down" in active.health

        for failed, delay_s in enumerate([0, 0.1, 1, 1, 10, 10, 100, 100], start=1):
            assert active.checks_failed == failed
            if delay_s:
                await clock.advance(delay_s * 0.9)
                assert made[0].puts == failed, f"checked before {delay_s} s"
            await clock.advance(delay_s * 0.1)
            assert made[0].puts == failed + 1, f"not checked after {delay_s} s"


async def test_a_store_which_comes_up_is_healthy_and_checked_every_half_hour() -> None:
    clock = FakeClock()
    registry, made = flaky_registry(clock)
    async with running(registry):
        active = registry.get(unique_url())
        await clock.advance(0)
        made[0].is_down = False
        await clock.advance(0)
        assert (active.health, active.checks_failed) == (None, 0)

        made[0].is_down = True
        await clock.advance(1799)
        assert active.health is None
        await clock.advance(1)

        assert active.health is not None
        assert active.checks_failed == 1


@pytest.mark.parametrize(
    ("failed", "low", "high"),
    [
        (0, 1440, 2160),
        (1, 0, 0),
        (2, 0.08, 0.12),
        (4, 0.8, 1.2),
        (6, 8, 12),
        (7, 80, 120),
        (99, 80, 120),
    ],
)
def test_checks_are_spread_by_a_fifth(failed: int, low: float, high: float) -> None:
    assert health.next_check_s(failed, min) == pytest.approx(low)
    assert health.next_check_s(failed, max) == pytest.approx(high)


async def test_waiters_wake_at_every_check() -> None:
    clock = FakeClock()
    registry, _made = flaky_registry(clock)
    async with running(registry):
        active = registry.get(unique_url())
        for delay_s in (0, 0, 0.1, 1):
            waiter = asyncio.create_task(active.wait_next_check())
            assert not waiter.done()
            await clock.advance(delay_s)
            assert waiter.done()


async def test_a_check_which_completes_before_the_waiter_runs_is_not_missed() -> None:
    """Else who saw `first check pending` could wait for half an hour."""
    clock = FakeClock()
    registry = StoreRegistry(clock, allow_memory=True)
    async with running(registry):
        active = registry.get(unique_url())
        waiting = active.wait_next_check()
        await clock.advance(0)
        assert active.health is None

        await asyncio.wait_for(waiting, 1)


async def test_a_store_which_cannot_be_constructed_says_so_at_once_and_is_not_kept() -> None:
    """R3: an operator who mends what was missing need not restart us."""
    registry = StoreRegistry(FakeClock())
    first = registry.get("s3://bucket/?region=us-east-1&colour=red")
    await first.wait_next_check()

    assert first.health is not None
    assert "unknown argument colour" in first.health
    assert registry.get(first.url) is not first
    with pytest.raises(StoreDeniedError, match="unknown argument"):
        _ = first.store
    await registry.close()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("gs://bucket/prefix/?colour=red", "unknown argument colour"),
        ("azure://container/prefix/?colour=red", "unknown argument colour"),
        ("azure://container/prefix/", "AZURE_ACCOUNT_NAME must be set for azure:// URLs"),
        ("azure-ad://t/account/c/", "AZURE_CLIENT_ID must be set for azure-ad:// URLs"),
        ("memory://name/prefix/", "memory"),
        ("s3://bucket/no-slash", ""),
        ("file:///dir/", "--broker.file-root"),
        ("nonsense", ""),
    ],
)
async def test_other_urls_are_refused_with_a_reason(
    url: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("AZURE_ACCOUNT_NAME", "AZURE_CLIENT_ID"):
        monkeypatch.delenv(variable, raising=False)
    registry = StoreRegistry(FakeClock())
    active = registry.get(url)

    assert isinstance(active.construction_error, StoreError)
    assert reason in str(active.health)
    await registry.close()


@pytest.mark.parametrize(
    ("url", "library", "extra"),
    [
        ("gs://bucket/", "google.cloud", "gcs"),
        ("azure://container/", "azure.storage.blob", "azure"),
        ("azure-ad://t/account/container/", "azure.storage.blob", "azure"),
    ],
)
async def test_a_library_which_is_not_installed_is_named_with_the_way_to_it(
    url: str, library: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in list(sys.modules):
        if module.startswith(("gazette_py.stores.gcs", "gazette_py.stores.azure")):
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, library, None)
    registry = StoreRegistry(FakeClock())

    assert f"pip install 'gazette-py[{extra}]'" in str(registry.get(url).health)
    await registry.close()


async def test_every_url_is_a_file_store_if_so_configured(tmp_path: Path) -> None:
    """Even where the store's own arguments would be refused."""
    registry = StoreRegistry(FakeClock(), file_root=str(tmp_path), file_only=True)
    store = registry.get("s3://bucket/prefix/?region=us-east-1").store

    assert await store.sign_get("journal/object", 60) == "file:///journal/object"
    await registry.close()


async def test_a_store_which_nobody_used_between_two_sweeps_is_dropped() -> None:
    clock = FakeClock()
    registry, made = flaky_registry(clock)
    async with running(registry):
        used, unused = registry.get(unique_url()), registry.get(unique_url())
        await clock.advance(3600)
        assert unused.health != HEALTH_STOPPED

        _ = used.store
        await clock.advance(3600)

        assert unused.health == HEALTH_STOPPED
        assert used.health != HEALTH_STOPPED
        assert [store.is_closed for store in made] == [False, True]
        await unused.wait_next_check()
        puts = made[1].puts
        await clock.advance(200)
        assert made[1].puts == puts, "checks have stopped"
        assert registry.get(unused.url) is not unused


async def test_the_delete_probe_leaves_nothing() -> None:
    registry, made = flaky_registry(FakeClock())
    url = unique_url()
    with pytest.raises(StoreUnavailableError):
        await registry.check_delete(url, "journals/")
    made[0].is_down = False

    await registry.check_delete(url, "journals/")

    assert [info async for info in made[0].list("")] == []
    await registry.close()


async def test_an_observer_hears_of_every_use() -> None:
    clock = FakeClock()
    observed = Observed()
    registry = StoreRegistry(clock, allow_memory=True, observer=observed)
    async with running(registry):
        registry.get(unique_url())
        await clock.advance(0)

    assert observed.heard == [
        ("stores_active", 1),
        ("put", "success", 0),
        ("bytes_put", "none", 13),
        ("get", "success", 0),
        ("list", "success", 0),
        ("items_listed", 1),
        ("signget", "success", 0),
        ("check_done", "ok"),
        ("stores_active", 0),
    ]


async def test_an_observer_hears_of_failures(tmp_path: Path) -> None:
    observed = Observed()
    registry = StoreRegistry(FakeClock(), file_root=str(tmp_path), observer=observed)
    store = registry.get("file:///missing/").store
    with pytest.raises(StoreDeniedError):
        await health.check_delete(store, "")
    await registry.close()

    assert ("put", "error", 0) in observed.heard
    assert not [heard for heard in observed.heard if heard[0] == "bytes_put"]
