"""The stores which this process uses, one per URL, kept healthy or known to be not.

Invariants:
    R1  A URL, as specs spell it, has at most one store at a time, from its first reference until
        two sweeps in a row saw no use of it.
    R2  A store is unhealthy until its first check has succeeded, and after it was dropped.
    R3  A store which could not be constructed is not kept: the next reference tries anew.

Source: gazette/core broker/stores/{stores,active_store,health_check}.go.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from gazette_py.clock import Clock
from gazette_py.errors import GazetteError, StoreDeniedError, StoreError, ValidationError
from gazette_py.protocol.store_url import StoreURL
from gazette_py.stores import health
from gazette_py.stores.base import Store
from gazette_py.stores.fetch import UrlFetcher
from gazette_py.stores.file import FileStore
from gazette_py.stores.memory import MemoryStore
from gazette_py.stores.observe import InstrumentedStore, StoreObserver

HEALTH_PENDING = "first health check has not completed yet"
HEALTH_STOPPED = "health checks have stopped"


class ActiveStore:
    """A store with its health, or the reason why there is none."""

    def __init__(self, url: str, store: Store | StoreError) -> None:
        self.url = url
        self.health: str | None = HEALTH_PENDING  # None: healthy. Else the reason why not.
        self.checks_failed = 0  # In a row.
        self.construction_error = store if isinstance(store, StoreError) else None
        self._store = store
        self._is_marked = True  # Used since the last sweep.
        self._next_check = asyncio.Event()
        if self.construction_error is not None:
            self.health = str(self.construction_error)
            self._next_check.set()

    @property
    def store(self) -> Store:
        """The store, which counts as used from now on.

        Raises:
            StoreError: It could not be constructed.
        """
        self.mark()
        return self.unused_store

    @property
    def unused_store(self) -> Store:
        """The store, for work which is no use of it: checks, and closing it."""
        if isinstance(self._store, StoreError):
            raise self._store
        return self._store

    def mark(self) -> None:
        """Keep the store beyond the next sweep."""
        self._is_marked = True

    def wait_next_check(self) -> Coroutine[Any, Any, object]:
        """Return an awaitable of the check which completes next after this call.

        It is a plain function, so that a check which completes between a look at `health` and the
        first step of the caller's waiting task is not missed: another may be half an hour away.
        """
        return self._next_check.wait()

    def update_health(self, reason: str | None) -> None:
        """Take the outcome of a check, and wake who waits for it. For the registry, and tests."""
        self.health = reason
        self.checks_failed = 0 if reason is None else self.checks_failed + 1
        self._next_check.set()
        self._next_check = asyncio.Event()

    def clear_mark(self) -> bool:
        """Begin another interval between sweeps; return whether the last one saw a use."""
        was_marked, self._is_marked = self._is_marked, False
        return was_marked

    def stop(self) -> None:
        """Say so for ever: no further check will come."""
        self.health = HEALTH_STOPPED
        self._next_check.set()


class StoreRegistry:
    """Constructs, checks and drops stores. `run` does the latter two, and owns their tasks."""

    def __init__(
        self,
        clock: Clock,
        *,
        file_root: str = "",
        file_only: bool = False,
        file_mode: int = 0o640,
        allow_memory: bool = False,
        wrap: Callable[[Store], Store] | None = None,
        observer: StoreObserver | None = None,
    ) -> None:
        """Construct a registry without stores.

        Args:
            clock: Times checks and sweeps.
            file_root: Directory which roots file stores; "" refuses them.
            file_only: Every URL, whatever its scheme, stands for all of `file_root`.
            file_mode: Permissions of files in file stores.
            allow_memory: Also take `memory` URLs.
            wrap: Puts another store before each one, as tests do to make it fail.
            observer: Hears of every use and check.
        """
        self._clock = clock
        self._file_root = file_root
        self._file_only = file_only
        self._file_mode = file_mode
        self._allow_memory = allow_memory
        self._wrap = wrap
        self._observer = observer
        self._fetcher = UrlFetcher(file_root=file_root)
        self._active: dict[str, ActiveStore] = {}
        self._checks: dict[str, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None  # While `run` does.
        self._dropped: list[Store] = []  # Which `run` or `close` have to close.

    def get(self, url: str) -> ActiveStore:
        """Return the store of a URL, and at its first reference have it checked."""
        if (active := self._active.get(url)) is not None:
            return active
        try:
            active = ActiveStore(url, self._construct(url))
        except StoreError as exc:
            return ActiveStore(url, exc)
        self._active[url] = active
        self._start_checks(active)
        self._count_active()
        return active

    async def run(self) -> None:
        """Check every store, now and again, and sweep hourly, until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                for active in self._active.values():
                    self._start_checks(active)
                while True:
                    await self._clock.sleep(health.SWEEP_INTERVAL_S)
                    self.sweep()
                    await self._close_dropped()
            finally:
                self._group = None
                self._checks.clear()

    def sweep(self) -> int:
        """Drop stores which were not used since the last sweep, and return their number."""
        unused = [active for active in self._active.values() if not active.clear_mark()]
        for active in unused:
            self._drop(active)
        self._count_active()
        return len(unused)

    async def check_delete(self, url: str, prefix: str) -> None:
        """Probe, within a minute, that we may delete below a prefix of the store.

        Raises:
            StoreError: We may not, or the store does not answer.
            TimeoutError: It did not in time.
        """
        async with asyncio.timeout(health.CHECK_TIMEOUT_S):
            await health.check_delete(self.get(url).store, prefix)

    async def close(self) -> None:
        """Close every store. `run` must have ended."""
        assert self._group is None, "the registry still runs"
        for active in list(self._active.values()):
            self._drop(active)
        self._count_active()
        await self._close_dropped()
        await self._fetcher.close()

    def _construct(self, url: str) -> Store:
        store = self._construct_plain(url)
        if self._wrap is not None:
            store = self._wrap(store)
        if self._observer is not None:
            store = InstrumentedStore(url, store, self._observer, self._clock)
        return store

    def _construct_plain(self, url: str) -> Store:
        try:
            parsed = StoreURL.parse(url, allow_memory=self._allow_memory)
        except ValidationError as exc:
            raise StoreDeniedError(url, "open", "store", str(exc)) from exc
        if self._file_only:
            return FileStore(StoreURL.parse("file:///"), self._file_root, self._file_mode)
        match parsed.scheme:
            case "file":
                return FileStore(parsed, self._file_root, self._file_mode)
            case "s3":
                # boto3 takes long to import, and many brokers and clients have no use for it.
                from gazette_py.stores.s3 import S3Store

                return S3Store(parsed, self._clock)
            case "gs":
                with _extra("gcs", url):
                    from gazette_py.stores.gcs import GCSStore
                return GCSStore(parsed, self._clock)
            case "azure" | "azure-ad":
                with _extra("azure", url):
                    from gazette_py.stores.azure import AzureStore
                return AzureStore(parsed, self._clock)
            case other:
                assert other == "memory", other
                return MemoryStore(parsed, self._clock)

    def _start_checks(self, active: ActiveStore) -> None:
        if self._group is not None:
            self._checks[active.url] = self._group.create_task(
                self._check_repeatedly(active), name=f"check {active.url}"
            )

    async def _check_repeatedly(self, active: ActiveStore) -> None:
        while True:
            reason = await self._check(active)
            active.update_health(reason)
            if self._observer is not None:
                self._observer.check_done(active.url, "ok" if reason is None else "error")
            await self._clock.sleep(health.next_check_s(active.checks_failed, self._clock.uniform))

    async def _check(self, active: ActiveStore) -> str | None:
        """Return why the store is not healthy, or None."""
        try:
            async with asyncio.timeout(health.CHECK_TIMEOUT_S):
                await health.check(active.unused_store, self._fetcher)
        except TimeoutError:
            return f"health check did not complete in {health.CHECK_TIMEOUT_S} seconds"
        except GazetteError as exc:
            return str(exc)
        return None

    def _drop(self, active: ActiveStore) -> None:
        del self._active[active.url]
        if (task := self._checks.pop(active.url, None)) is not None:
            task.cancel()
        active.stop()
        self._dropped.append(active.unused_store)

    async def _close_dropped(self) -> None:
        while self._dropped:
            await self._dropped.pop().close()

    def _count_active(self) -> None:
        if self._observer is not None:
            self._observer.stores_active(len(self._active))


@contextmanager
def _extra(name: str, url: str) -> Iterator[None]:
    """Import what an optional dependency is needed for, or tell which one is missing."""
    try:
        yield
    except ModuleNotFoundError as exc:
        detail = f"{exc.name} is not installed: pip install 'gazette-py[{name}]'"
        raise StoreDeniedError(url, "open", "store", detail) from exc
