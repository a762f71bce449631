"""The key space of 100,000 journals with three replicas each: to load, to follow, to compare.

    pytest -m bench -s tests/bench/test_keyspace_scale.py

GAZETTE_BENCH_JOURNALS has another number of journals.
"""

import gc
import os
import resource
import time
import tracemalloc
from collections.abc import Callable

import pytest
from keyspaces import Maker, header

from gazette_py.etcd.base import Event

pytestmark = [pytest.mark.bench, pytest.mark.timeout(900)]

SHORT = "GAZETTE_BENCH_SECONDS" in os.environ
JOURNALS = int(os.environ.get("GAZETTE_BENCH_JOURNALS", "2000" if SHORT else "100000"))
MEMBERS = [f"zone-{n % 5}/broker-{n:03}" for n in range(100)]
BATCH = 500
"""Events of one batch."""


def timed(what: str, work: Callable[[], object], count: int) -> None:
    began = time.perf_counter()
    work()
    took = time.perf_counter() - began
    print(
        f"| {what} | {took * 1000:,.1f} ms | {took / count * 1e6:,.1f} us for each of {count:,} |"
    )


def test_a_large_key_space() -> None:
    maker = Maker()
    for member in MEMBERS:
        maker.member(member, limit=10_000)
    for n in range(JOURNALS):
        maker.item(f"scale/journal-{n:06}")
        for slot in range(3):
            maker.assign(f"scale/journal-{n:06}", MEMBERS[(n + slot * 7) % len(MEMBERS)], slot)
    kvs = [maker.kvs[key] for key in sorted(maker.kvs)]
    keyspace = maker.keyspace()
    print(f"\n{JOURNALS:,} journals, {len(kvs):,} keys")
    timed("load", lambda: keyspace.load(header(maker.revision), kvs, maker.revision), len(kvs))
    timed("list in order", lambda: list(keyspace.items_sorted()), JOURNALS)

    gc.collect()
    tracemalloc.start()
    copy = maker.keyspace()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(copy.items) == JOURNALS
    print(f"| memory of the mirror | {held / 1e6:,.0f} MB | {held / JOURNALS:,.0f} B a journal |")
    del copy

    events = [
        Event(maker.item(f"scale/journal-{n * 7 % JOURNALS:06}", replication=2), is_delete=False)
        for n in range(BATCH)
    ]
    batch = [(header(maker.revision), events)]
    timed("a batch of changed journals", lambda: keyspace.apply(batch), BATCH)
    names = [f"scale/journal-{n:06}" for n in range(min(JOURNALS, 10_000))]
    timed("routes", lambda: [keyspace.route_of(name) for name in names], len(names))
    listed = {kv.key: kv.mod_revision for kv in maker.kvs.values()}
    timed("audit: a snapshot", keyspace.holding, len(listed))
    holding = keyspace.holding()
    timed("audit: its comparison", lambda: holding.differing(listed, maker.revision), len(listed))
    assert holding.differing(listed, maker.revision) == set()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"| peak of this process, with the test's own copies | {peak / 1024:,.0f} MB | |")
