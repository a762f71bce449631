"""Pruning in every kind of store: old fragments go, and nothing else does."""

import asyncio
import io
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cloud_servers import azurite, fake_gcs
from store_servers import moto
from versitygw_server import versitygw

from gazette_py.clock import SYSTEM
from gazette_py.core.retention import Verdict
from gazette_py.errors import StoreError
from gazette_py.lake.inventory import Journals, objects
from gazette_py.lake.prune import JournalPlan, StoredFile, plan_journal, remove
from gazette_py.protocol.enums import CompressionCodec
from gazette_py.protocol.fragment import Fragment, content_path
from gazette_py.protocol.journal import FragmentSpec, JournalSpec
from gazette_py.stores.registry import StoreRegistry

JOURNAL, BELOW = "acme/orders", "acme/orders/eu"
POSTFIX = "date=2026-01-01"
FOREVER = 1 << 40


@pytest.fixture(scope="module", params=["file", "moto", "versitygw", "gcs", "azure"])
def url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    """The URL of a store with a rewriting of paths, and the root of file stores."""
    directory = tmp_path_factory.mktemp(request.param)
    match request.param:
        case "file":
            yield "file:///?find=acme/&replace=other/", str(directory)
        case "moto":
            with moto() as server, environment(server.environment()):
                # Servers of one process share what is in them.
                of_its_own = server.url().replace("/?", "/pruned/?")
                yield of_its_own + "&find=acme/&replace=other/", ""
        case "versitygw":
            with versitygw(directory) as server, environment(server.environment()):
                yield server.url("some/prefix/"), ""
        case "gcs":
            with fake_gcs(directory) as gcs, environment(gcs.environment()):
                yield gcs.url("some/prefix/"), ""
        case _:
            with azurite(directory) as azure, environment(azure.environment()):
                yield azure.url("some/prefix/"), ""


@contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


@pytest.fixture
async def registry(url: tuple[str, str]) -> AsyncIterator[StoreRegistry]:
    made = StoreRegistry(SYSTEM, file_root=url[1])
    yield made
    await made.close()


def fragment(journal: str, begin: int, end: int, postfix: str = "") -> Fragment:
    return Fragment(
        journal=journal,
        begin=begin,
        end=end,
        sum=bytes([begin % 256] * 20),
        compression_codec=CompressionCodec.GZIP,
        path_postfix=postfix,
    )


async def made_plan(
    registry: StoreRegistry, url: str, stored_until: int = FOREVER, *, covered: bool = False
) -> JournalPlan:
    spec = JournalSpec(name=JOURNAL, fragment=FragmentSpec(stores=(url,)))
    return await plan_journal(
        registry,
        spec,
        {JOURNAL, BELOW}.__contains__,
        stored_until=stored_until,
        include_covered=covered,
    )


async def test_old_fragments_go_and_nothing_else(
    url: tuple[str, str], registry: StoreRegistry
) -> None:
    stored = [fragment(JOURNAL, begin, begin + 10) for begin in range(0, 50, 10)]
    stored.append(fragment(JOURNAL, 50, 60, POSTFIX))
    stored.append(fragment(JOURNAL, 60, 70, POSTFIX))
    others = [fragment(BELOW, 0, 10), fragment(BELOW, 10, 20), fragment("acme/more", 0, 10)]
    store = registry.get(url[0]).store
    content = b"as compressed"
    for path in [content_path(f) for f in stored + others] + [f"{JOURNAL}/README"]:
        await store.put(path, lambda: io.BytesIO(content), len(content))

    young = await made_plan(registry, url[0], stored_until=1)
    assert young.doomed == []
    assert young.kept[Verdict.YOUNG].files == len(stored)

    plan = await made_plan(registry, url[0])
    assert [file.path for file in plan.doomed] == [content_path(f) for f in stored[:-1]]
    assert {verdict: tally.files for verdict, tally in plan.kept.items()} == {Verdict.LAST: 1}
    assert plan.kept[Verdict.LAST].stored_bytes == len(content)
    assert plan.skipped == 1
    gone = [outcome async for outcome in remove(registry, plan.doomed, calls_max=3)]
    assert gone == [(file, None) for file in plan.doomed]

    left = {content_path(f) for f in [stored[-1], *others]} | {f"{JOURNAL}/README"}
    root = "other/" if "find" in url[0] else "acme/"
    listed = {info.name async for info in store.list(root)}
    assert listed == {path.removeprefix("acme/") for path in left}
    journals = Journals(url[0], [JOURNAL, BELOW])
    found = [(each.path, each.journal) async for each in objects(store, journals)]
    owners = {JOURNAL: 2, BELOW: 2, "": 1}  # README is in the journal's directory.
    assert {path for path, _ in found} == {root + path.removeprefix("acme/") for path in left}
    assert {owner: [o for _, o in found].count(owner) for owner in owners} == owners
    again = await made_plan(registry, url[0])
    assert again.doomed == []
    # Who was faster is no error.
    assert [error async for _, error in remove(registry, plan.doomed, calls_max=32)] == [None] * 6


async def test_those_which_a_store_refuses_are_told_and_others_go(tmp_path: Path) -> None:
    """And no more calls are under way than were allowed, in the order of content."""
    registry = StoreRegistry(SYSTEM, file_root=str(tmp_path))
    store = registry.get("file:///").store
    stored = [fragment(JOURNAL, begin, begin + 10) for begin in range(0, 100, 10)]
    for path in map(content_path, stored):
        await store.put(path, lambda: io.BytesIO(b"x"), 1)
    calls: list[str] = []
    running = 0
    remove_file = store.remove

    async def noted(path: str) -> None:
        nonlocal running
        calls.append(path)
        is_refused = len(calls) == 4
        running += 1
        assert running <= 3
        await asyncio.sleep(0)
        running -= 1
        if is_refused:
            raise StoreError(store.url, "remove", path, "refused")
        await remove_file(path)

    store.remove = noted  # type: ignore[method-assign]
    plan = await made_plan(registry, "file:///")
    outcomes: list[tuple[StoredFile, StoreError | None]] = [
        outcome async for outcome in remove(registry, plan.doomed, calls_max=3)
    ]
    assert calls == [content_path(f) for f in stored[:-1]]
    assert [f.path for f, error in outcomes if error is not None] == [content_path(stored[3])]
    assert sorted(info.name for info in [i async for i in store.list(f"{JOURNAL}/")]) == [
        content_path(f).removeprefix(f"{JOURNAL}/") for f in (stored[3], stored[-1])
    ]
    await registry.close()


async def test_nothing_is_planned_unless_all_stores_were_listed(tmp_path: Path) -> None:
    """The end of the journal may be in the one which was not."""
    registry = StoreRegistry(SYSTEM, file_root=str(tmp_path))
    store = registry.get("file:///").store
    for path in (content_path(fragment(JOURNAL, begin, begin + 10)) for begin in (0, 10)):
        await store.put(path, lambda: io.BytesIO(b"x"), 1)
    spec = JournalSpec(
        name=JOURNAL, fragment=FragmentSpec(stores=("file:///", "s3://b/?profile=none"))
    )
    with pytest.raises(StoreError, match="none"):
        await plan_journal(registry, spec, {JOURNAL}.__contains__, stored_until=FOREVER)
    await registry.close()
