"""Shows what clients count to Prometheus.

    connect(address)                    in prometheus_client's own registry, as applications expect
    connect(address, metrics=registry)  in another one
    connect(address, metrics=False)     in none

A registry has one collector of ours, however many clients there are: it adds them up, also those
which are gone, so that counters never go back. No label has journals, addresses or stores as its
values: there may be any number of them. The lag of one reader is in `Reader.health`.

Importing this imports `prometheus_client`, so `connect` does it, and `import gazette_py` does not.
"""

import threading
import weakref
from collections import Counter
from collections.abc import Iterable
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from gazette_py.client.counts import Counts

_PREFIX: Final = "gazette_py_client_"

_COLLECTORS: "weakref.WeakKeyDictionary[CollectorRegistry, ClientCollector]" = (
    weakref.WeakKeyDictionary()
)
_LOCK: Final = threading.Lock()


def show(owner: object, counts: Counts, registry: CollectorRegistry | None) -> None:
    """Have a registry show counts: they grow no more once their owner is gone.

    Args:
        owner: Whose counts they are.
        counts: Not shown elsewhere.
        registry: None: the usual one.
    """
    registry = REGISTRY if registry is None else registry
    with _LOCK:
        collector = _COLLECTORS.get(registry)
        if collector is None:
            collector = ClientCollector()
            registry.register(collector)
            _COLLECTORS[registry] = collector
    collector.add(owner, counts)


class ClientCollector(Collector):
    """The sum of all clients of a registry."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ended = Counts()  # Of all clients which are gone.
        self._counts: list[tuple[weakref.ref[object], Counts]] = []

    def add(self, owner: object, counts: Counts) -> None:
        """Count a client's counts in."""
        with self._lock:
            # Not as the owner is collected: that may happen while this thread holds the lock.
            self._fold_ended()
            self._counts.append((weakref.ref(owner), counts))

    def describe(self) -> Iterable[Metric]:
        """Return what `collect` returns, of no clients: the names are taken by it."""
        return _families([Counts()])

    def collect(self) -> Iterable[Metric]:
        """Return all metrics as they are now. Any thread may ask."""
        with self._lock:
            self._fold_ended()
            counts = [self._ended, *(counts for _, counts in self._counts)]
        return _families(counts)

    def _fold_ended(self) -> None:
        kept = []
        for owner, counts in self._counts:
            if owner() is None:
                _add(self._ended, counts)
            else:
                kept.append((owner, counts))
        self._counts = kept


def _add(total: Counts, counts: Counts) -> None:
    for name in Counts.__slots__:
        value = getattr(counts, name)
        if isinstance(value, Counter):
            # A copy, which is made in one step: the client may count on meanwhile.
            getattr(total, name).update(dict(value))
        elif isinstance(value, int | float):
            setattr(total, name, getattr(total, name) + value)


def _families(counts: list[Counts]) -> list[Metric]:
    total = Counts()
    for each in counts:
        _add(total, each)
    readers = [reader for each in counts for ref in each.readers.valuerefs() if (reader := ref())]
    services = [one for each in counts for ref in each.services.valuerefs() if (one := ref())]
    lags = [lag for reader in readers if (lag := reader.lag_bytes) is not None]
    return [
        _counter(
            "append_calls",
            "Appends which were called for, by how they ended: ok, cancelled, the name of an error"
            " of gazette_py.errors, or other. Each is one, whatever attempts it took.",
            total.append_calls,
            "outcome",
        ),
        _counter("append_bytes", "Bytes which appends committed.", total.append_bytes),
        _counter(
            "service_appends",
            "Appends which services accepted, by how they ended, as above; withdrawn ones are"
            " cancelled. Many share a call.",
            total.service_appends,
            "outcome",
        ),
        _counter(
            "room_waits", "Appends which a service had no room for at once.", total.room_waits
        ),
        _counter(
            "room_wait_seconds",
            "How long they waited for it: back-pressure. Counted as each wait ends.",
            total.room_wait_s,
        ),
        _gauge(
            "service_held_bytes",
            "Bytes which services hold of appends that are not settled.",
            sum(service.held_bytes for service in services),
        ),
        _counter(
            "retries",
            "Attempts beyond the first: append, read, or other calls. Of a read, those since it"
            " last gave content.",
            total.retries,
            "operation",
        ),
        _counter(
            "read_bytes",
            "Bytes handed out by readers, by who gave them: store, broker, or proxy, where a broker"
            " reads the store for us.",
            total.read_bytes,
            "source",
        ),
        _counter(
            "fetches",
            "Files of fragments fetched from their store, by how it ended, as of append calls.",
            total.fetches,
            "outcome",
        ),
        _counter(
            "corrupt_fragments",
            "Times that a read met a file whose length or SHA-1 is not what its name says.",
            total.corrupt_fragments,
        ),
        _counter("offset_jumps", "Gaps which readers met.", total.jumps),
        _counter("offset_jump_bytes", "Offsets which those gaps span.", total.jumped_bytes),
        _gauge("readers", "Readers which are open.", len(readers)),
        _gauge(
            "reader_lag_bytes",
            "How far write heads, as brokers last told them, are ahead: of all readers.",
            sum(lags),
        ),
        _gauge(
            "reader_lag_bytes_max",
            "Likewise, of the reader which is furthest behind.",
            max(lags, default=0),
        ),
        _counter(
            "route_lookups",
            "Calls about a journal, by whether the cache had its route: hit or miss. Without a"
            " cache there are none.",
            Counter(hit=total.routes_known, miss=total.routes_unknown),
            "result",
        ),
    ]


def _counter(name: str, text: str, value: "float | Counter[str]", label: str = "") -> Metric:
    if not isinstance(value, Counter):
        return CounterMetricFamily(_PREFIX + name, text, value=value)
    family = CounterMetricFamily(_PREFIX + name, text, labels=[label])
    for key, count in sorted(value.items()):
        family.add_metric([key], count)
    return family


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(_PREFIX + name, text, value=value)
