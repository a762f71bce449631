"""Metrics under the names of the reference, so that its dashboards carry over.

Each `Metrics` has a registry of its own: several brokers may live in one process.

Source: gazette/core broker/doc.go, broker/fragment/doc.go, broker/stores/stores.go,
allocator/doc.go.
"""

from typing import Final

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

# The library would add series of creation times, which the reference does not have.
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # It is not.

_OPERATION_BUCKETS: Final = tuple(0.01 * 4**k for k in range(6))
_LIST_BUCKETS: Final = tuple(10.0 * 4**k for k in range(6))
_GO_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """What one broker counts. It is also the `StoreObserver` of its stores."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        prometheus_client.ProcessCollector(registry=self.registry)
        self._started = self._counter(
            "gazette_journal_server_started_totals", "Calls begun.", "operation"
        )
        self._completed = self._counter(
            "gazette_journal_server_completed_totals", "Calls ended.", "operation", "status"
        )
        self._write_head = Gauge(
            "gazette_write_head", "End of a journal.", ["journal"], registry=self.registry
        )
        self._crossed = self._counter(
            "gazette_py_zone_crossing_bytes",
            "Content which brokers of other zones were sent to replicate, or calls which were"
            " forwarded took there (append) or brought from there (read).",
            "operation",
        )
        self._conflicting = Gauge(
            "gazette_py_conflicting_extents",
            "Extents of a journal of which its stores have fragments with different content.",
            ["journal"],
            registry=self.registry,
        )
        self._commits = self._counter("gazette_spool_commits", "Commits applied to spools.")
        self._commit_bytes = self._counter("gazette_spool_commit_bytes", "Bytes committed.")
        self._rollbacks = self._counter("gazette_spool_rollbacks", "Rollbacks of spools.")
        self._rollback_bytes = self._counter("gazette_spool_rollback_bytes", "Bytes rolled back.")
        self._closed = self._counter("gazette_spool_completed", "Fragments closed.")
        self._persisted = self._counter(
            "gazette_spool_persisted", "Fragments stored, found stored, or dropped."
        )
        self._persist_failures = self._counter(
            "gazette_py_persist_failures", "Attempts to store a fragment which failed."
        )
        self._init_stores()
        self._init_allocator()

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _init_stores(self) -> None:
        labels = ["store", "operation", "status"]
        self._store_active = Gauge("gazette_store_active", "Stores in use.", registry=self.registry)
        self._store_operations = self._counter(
            "gazette_store_operation", "Operations of stores.", *labels
        )
        self._store_seconds = Histogram(
            "gazette_store_operation_duration_seconds",
            "Duration of operations of stores.",
            labels,
            buckets=_OPERATION_BUCKETS,
            registry=self.registry,
        )
        self._put_bytes = self._counter(
            "gazette_store_put_bytes", "Bytes put, as stored.", "store", "encoding"
        )
        self._list_items = Histogram(
            "gazette_store_list_items_count",
            "Objects of a listing.",
            ["store"],
            buckets=_LIST_BUCKETS,
            registry=self.registry,
        )
        self._checks = self._counter(
            "gazette_store_health_check", "Health checks of stores.", "store", "status"
        )

    def _init_allocator(self) -> None:
        self._audits = self._counter(
            "gazette_py_keyspace_audits", "Comparisons of our mirror of etcd with etcd."
        )
        self._drifted = self._counter(
            "gazette_py_keyspace_drifted_keys",
            "Keys in which our mirror differed from etcd; it was then loaded anew.",
        )
        self._watermarks = self._counter(
            "gazette_py_watermarks_written", "Completeness watermarks of journals written."
        )
        self._watermark_failures = self._counter(
            "gazette_py_watermarks_failed", "Attempts at a watermark which failed."
        )
        self._leases_lost = self._counter(
            "gazette_py_leases_lost", "Leases of ours which etcd let expire; we then join anew."
        )
        self._assignments_added = self._counter(
            "gazette_allocator_assignment_added", "Assignments added by us as leader."
        )
        self._assignments_removed = self._counter(
            "gazette_allocator_assignment_removed", "Assignments removed by us as leader."
        )
        self._assignments_packed = self._counter(
            "gazette_allocator_assignment_packed", "Assignments moved to another slot."
        )
        self._converges = self._counter("gazette_allocator_converge", "Rounds of convergence.")
        self._solve_seconds = Histogram(
            "gazette_allocator_max_flow_runtime_seconds",
            "Duration of solving for the desired assignments.",
            buckets=_GO_BUCKETS,
            registry=self.registry,
        )
        self._desired_slots = Gauge(
            "gazette_allocator_desired_replication_slots",
            "Replication of all items.",
            registry=self.registry,
        )
        self._short = Gauge(
            "gazette_py_allocator_short_journals",
            "Journals which cannot be placed as they ask: more replicas than brokers (members),"
            " brokers are full (limits), or all replicas are in one zone (zones).",
            ["limit"],
            registry=self.registry,
        )
        self._items = Gauge("gazette_allocator_items", "Items.", registry=self.registry)
        self._members = Gauge("gazette_allocator_members", "Members.", registry=self.registry)

    # Calls.

    def rpc_started(self, operation: str) -> None:
        """A call began."""
        self._started.labels(operation).inc()

    def rpc_completed(self, operation: str, status: str) -> None:
        """A call ended: "ok", the name of a Status, or "<error>"."""
        self._completed.labels(operation, status).inc()

    def write_head(self, journal: str, end: int) -> None:
        """A client's append, of which we were primary, moved the journal's end."""
        self._write_head.labels(journal).set(end)

    def crossed_zones(self, operation: str, length: int) -> None:
        """Content went from zone to zone."""
        self._crossed.labels(operation).inc(length)

    def watermark_written(self) -> None:
        """A watermark of a journal was written."""
        self._watermarks.inc()

    def watermark_failed(self) -> None:
        """An attempt to find out about one, or to write it, failed. It will be made again."""
        self._watermark_failures.inc()

    def conflicting(self, journal: str, extents: int) -> None:
        """So many extents of a journal are in its stores with different content."""
        self._conflicting.labels(journal).set(extents)

    # Spools.

    def spool_committed(self, length: int) -> None:
        """A spool committed so many bytes."""
        self._commits.inc()
        self._commit_bytes.inc(length)

    def spool_rolled_back(self, length: int) -> None:
        """A spool dropped so many bytes."""
        self._rollbacks.inc()
        self._rollback_bytes.inc(length)

    def spool_completed(self) -> None:
        """A fragment was closed."""
        self._closed.inc()

    def spool_persisted(self) -> None:
        """A closed fragment needs no more attention of ours."""
        self._persisted.inc()

    def persist_failed(self) -> None:
        """An attempt to store a fragment failed. It will be made again."""
        self._persist_failures.inc()

    # Stores.

    def operation_done(self, store: str, operation: str, status: str, seconds: float) -> None:
        """`operation` of a store ended: success or error."""
        labels = (_label(store), operation, status)
        self._store_operations.labels(*labels).inc()
        self._store_seconds.labels(*labels).observe(seconds)

    def bytes_put(self, store: str, encoding: str, length: int) -> None:
        """An object was put."""
        self._put_bytes.labels(_label(store), encoding).inc(length)

    def items_listed(self, store: str, count: int) -> None:
        """A listing ended after so many objects."""
        self._list_items.labels(_label(store)).observe(count)

    def check_done(self, store: str, status: str) -> None:
        """A health check completed: ok or error."""
        self._checks.labels(_label(store), status).inc()

    def stores_active(self, count: int) -> None:
        """So many stores are in use now."""
        self._store_active.set(count)

    # Membership.

    def lease_lost(self) -> None:
        """Our lease was lost: others have taken over our journals."""
        self._leases_lost.inc()

    def audited(self, drifted: int) -> None:
        """The mirror was compared with etcd, and differed in so many keys."""
        self._audits.inc()
        self._drifted.inc(drifted)

    # The allocator.

    def allocator_round(self, *, added: int, removed: int, packed: int) -> None:
        """We wrote so many changes of assignments, as leader."""
        self._converges.inc()
        self._assignments_added.inc(added)
        self._assignments_removed.inc(removed)
        self._assignments_packed.inc(packed)

    def allocator_solved(self, seconds: float, *, items: int, members: int, slots: int) -> None:
        """We solved for the desired assignments."""
        self._solve_seconds.observe(seconds)
        self._items.set(items)
        self._members.set(members)
        self._desired_slots.set(slots)

    def allocator_short(self, limit: str, journals: int) -> None:
        """So many journals cannot be placed as they ask, because of a limit."""
        self._short.labels(limit).set(journals)

    def expose(self) -> bytes:
        """Return all metrics in Prometheus' text format. It blocks: call it in a thread."""
        # The library insists on `_total` after a counter's name; the reference has `_totals`.
        return generate_latest(self.registry).replace(b"_totals_total", b"_totals")


def _label(store: str) -> str:
    """Return the store's URL without its arguments, which may hold secrets."""
    return store.partition("?")[0]
