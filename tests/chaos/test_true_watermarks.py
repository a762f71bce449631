"""Watermarks stay true while primaries are killed: what they call whole is in the store.

Intervals of a minute, the shortest there is, go by under load. The primary of one journal is killed
just before one ends, and that of the other just as its watermark may be written. Prints its seed.
"""

import asyncio
import os
import random
import time
from dataclasses import replace
from pathlib import Path

import pytest
from chaos_load import Load
from local_clusters import NS, apply, config, eventually, members_of, spec

from gazette_py.core.watermark import SKEW_S
from gazette_py.lake import Gap, Lake, Watermark, cover
from gazette_py.local.cluster import LocalCluster
from gazette_py.protocol.watermark import directory_of, time_of

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

SEED = int(os.environ.get("GAZETTE_CHAOS_SEED", random.SystemRandom().randrange(1 << 32)))
JOURNALS = ("marked/one", "marked/two")
INTERVAL_S = 60


class Watcher:
    """Looks at each watermark as soon as it is there."""

    def __init__(self, root: Path, lake: Lake) -> None:
        self.found: dict[str, list[Watermark]] = {journal: [] for journal in JOURNALS}
        self._root = root
        self._lake = lake

    async def watch(self) -> None:
        while True:
            for journal in JOURNALS:
                await self._look(journal)
            await asyncio.sleep(0.1)

    async def _look(self, journal: str) -> None:
        known = {mark.time for mark in self.found[journal]}
        files = (self._root / directory_of(journal)).glob("*.json")
        for file in sorted(f for f in files if time_of(f.name) not in known):
            mark = Watermark.from_json(file.read_bytes())
            self.found[journal].append(mark)
            await self._check_stored(mark)

    async def _check_stored(self, mark: Watermark) -> None:
        end = 0
        for part in cover(await self._lake.files(mark.journal)):
            assert not isinstance(part, Gap) or part.begin >= mark.offset, (mark, part)
            end = part.end
        assert end >= mark.offset, mark


async def until_boundary(plus_s: float) -> int:
    """Wait until so long after (or, negative, before) an interval ends; return when it does."""
    now = time.time()
    boundary = int(now - plus_s) // INTERVAL_S * INTERVAL_S + INTERVAL_S
    await asyncio.sleep(boundary + plus_s - now)
    return boundary


async def test_marks_are_true_while_primaries_are_killed(tmp_path: Path) -> None:
    print(f"\nGAZETTE_CHAOS_SEED={SEED}")
    async with (
        LocalCluster(config(tmp_path, brokers=4)) as cluster,
        cluster.connect() as client,
        Lake("file:///", file_root=str(cluster.file_root)) as lake,
    ):
        for journal in JOURNALS:
            made = spec(journal)
            flushed = replace(made.fragment, flush_interval_ns=INTERVAL_S * NS)
            await apply(client, replace(made, fragment=flushed))
        watcher = Watcher(cluster.file_root, lake)
        watching = asyncio.create_task(watcher.watch())
        load = Load(client, JOURNALS, SEED)
        load.start(2)
        began = time.time()
        killed = []
        for journal, plus_s in zip(JOURNALS, (-3.0, SKEW_S + 1.0), strict=True):
            boundary = await until_boundary(plus_s)
            broker = (await members_of(cluster, journal))[0]
            assert broker.process is not None
            await broker.process.kill()
            killed.append((broker.id, boundary))
            await load.wait_progress(5, 60)
            await cluster.start_broker(broker)
        last = killed[-1][1]

        async def are_there() -> bool:
            if watching.done():
                watching.result()
            return all(any(m.time >= last for m in found) for found in watcher.found.values())

        await eventually(are_there, "marked", 90.0)
        await load.stop()
        watching.cancel()
        late = max(
            (cluster.file_root / mark.path).stat().st_mtime - mark.time
            for found in watcher.found.values()
            for mark in found
            if mark.time > began
        )
    to_wall_s = time.time() - time.monotonic()
    for journal, found in watcher.found.items():
        times = [mark.time for mark in found]
        assert sorted(times) == list(range(min(times), max(times) + 1, INTERVAL_S)), "one is amiss"
        for mark in found:
            assert not mark.missing
            for append in load.acknowledged[journal]:
                if append.at + to_wall_s < mark.time:
                    assert append.end <= mark.offset, f"{mark} leaves out {append.begin}"
    count = sum(map(len, watcher.found.values()))
    print(
        f"| {load.count} appends, kills {killed} | {count} watermarks, the last {late:.0f} s late |"
    )
