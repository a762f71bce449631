"""A journal is deleted and made anew within one batch of etcd's events, under load.

The new one begins at offset 0, without registers, and has no byte of the old one: what was in
spools only is dropped. Two things are Gazette's, and stay so. One Apply cannot do both, since etcd
changes no key twice in a transaction. And files in a store belong to a name: over the same store
the new journal takes no appends, rather than write at offsets of the old one.
"""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from chaos_cluster import ROOT, ChaosCluster, cluster
from chaos_load import RETRY_S, Acknowledged, Load, check_content
from chaos_network import Network
from chaos_trial import LEASE_S, SEED, WRITERS, stored_in
from local_clusters import apply, eventually, spec

from gazette_py.client import Change, Client
from gazette_py.errors import IndexHasGreaterOffsetError, JournalNotFoundError
from gazette_py.etcd.base import Delete, Put
from gazette_py.etcd.client import connect as connect_etcd
from gazette_py.protocol import convert
from gazette_py.protocol.journal import JournalSpec
from gazette_py.protocol.keys import item_key
from gazette_py.protocol.labels import LabelSet

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

JOURNAL = "anew/journal"
ONE_BATCH = "--broker.watch-delay=200ms"
OLD, NEW = "file:///old/", "file:///new/"
PERSIST_S = 12.0
"""By then replicas have stored what the primary has not."""
OLD_S, WINDOW_S, NEW_S = 8.0, 1.0, 5.0
"""How long the old journal is appended to, the brokers have to hear of the new one, and that."""


class Stubborn(Load):
    """Appends to whatever has the journal's name, once there is such."""

    async def append(self, journal: str, content: bytes) -> None:
        while True:
            try:
                return await super().append(journal, content)
            except JournalNotFoundError as exc:
                self.errors[type(exc).__name__] += 1
                await asyncio.sleep(RETRY_S)


@asynccontextmanager
async def appended(
    tmp_path: Path, net: Network, old: JournalSpec
) -> AsyncIterator[tuple[ChaosCluster, Client]]:
    print(f"\nseed {SEED}")
    async with (
        cluster(tmp_path / "chaos", net, lease_s=LEASE_S, flags=[ONE_BATCH]) as running,
        running.connect() as client,
    ):
        for name in ("old", "new"):
            (running.file_root / name).mkdir()
        await apply(client, old)
        await running.wait_consistent([JOURNAL])
        registers = LabelSet.of(("author", "of-the-old-one"))
        await client.append(JOURNAL, b"the first one\n", union_registers=registers)
        yield running, client


async def make_anew(running: ChaosCluster, new: JournalSpec) -> None:
    """Let brokers hear of both at once: an Apply is answered once its broker has heard."""
    key = item_key(ROOT, JOURNAL).encode()
    etcd = await connect_etcd(running.etcd_url)
    try:
        await etcd.txn([], [Delete(key)])
        await etcd.txn([], [Put(key, convert.journal_to_pb(new).SerializeToString())])
    finally:
        await etcd.close()


@pytest.mark.parametrize("store", [NEW, ""], ids=["another store", "no store"])
async def test_it_begins_anew(tmp_path: Path, net: Network, store: str) -> None:
    old, new = (spec(JOURNAL, store=url, length=1 << 16) for url in (OLD if store else "", store))
    async with appended(tmp_path, net, old) as (running, client):
        load = Stubborn(client, [JOURNAL], SEED)
        load.start(WRITERS)
        await asyncio.sleep(OLD_S)
        began = time.monotonic()
        await make_anew(running, new)
        ended = time.monotonic()
        await asyncio.sleep(WINDOW_S + NEW_S)
        await load.stop()
        pause_s = load.pause_s(began, time.monotonic())
        print(f"\n| deleted and made anew | {pause_s:.1f} s | {dict(load.errors)} |")
        result = await client.append(JOURNAL)
        assert result.registers == LabelSet(), "registers of the old one"

        head = result.commit.end
        keep_new(load, began, ended, head)
        runs = [(0, await client.read_all(JOURNAL, 0, head, block=True))]
        check_content(load, JOURNAL, runs)
        async with running.connect(cache_size=0) as proxied:
            assert await proxied.read_all(JOURNAL, 0, head, block=True) == runs[0][1]
        if store:
            for begin, content in await stored_in(running, [NEW], JOURNAL):
                assert runs[0][1][begin : begin + len(content)] == content


def keep_new(load: Load, began: float, ended: float, head: int) -> None:
    """Keep of the load what the new journal acknowledged: of the old one it must have nothing.

    While brokers hear of it, either may have acknowledged an append. Its offset tells: the old one
    was far beyond by then.
    """
    acknowledged = load.acknowledged[JOURNAL]
    old_head = max(each.end for each in acknowledged if each.at < began)

    def is_new(each: Acknowledged) -> bool:
        return each.at > ended + WINDOW_S or (each.at > began and each.begin < old_head)

    found = load.acknowledged[JOURNAL] = [each for each in acknowledged if is_new(each)]
    assert min(each.begin for each in found) == 0
    assert max(each.end for each in found) == head


async def test_over_the_same_store_it_waits_until_the_files_are_gone(
    tmp_path: Path, net: Network
) -> None:
    same = spec(JOURNAL, store=OLD, length=1 << 10)
    async with appended(tmp_path, net, same) as (running, client):
        for number in range(20):
            await client.append(JOURNAL, b"old %d\n" % number * 200)

        async def is_stored() -> bool:
            return bool(await stored_in(running, [OLD], JOURNAL))

        await eventually(is_stored, "stored")
        await make_anew(running, same)

        async def is_refused() -> bool:
            try:
                await client.append(JOURNAL, b"old, until brokers have heard\n")
            except IndexHasGreaterOffsetError:
                return True
            return False

        await eventually(is_refused, "refused")
        # Its way out: nobody appends, so that the files may go.
        await client.apply([Change(expect_mod_revision=-1, delete=JOURNAL)])
        shutil.rmtree(running.file_root / "old" / JOURNAL)
        await client.apply([Change(expect_mod_revision=0, upsert=same)])
        commit = (await client.append(JOURNAL, b"new\n", timeout_s=60)).commit
        assert (commit.begin, commit.end) == (0, 4)
        await asyncio.sleep(PERSIST_S)
        assert await client.read_all(JOURNAL, 0, 4, block=True) == b"new\n"
        runs = await stored_in(running, [OLD], JOURNAL)
        assert all(run == (0, b"new\n") for run in runs), "of the old one, stored late"
