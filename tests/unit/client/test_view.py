"""Views of journals, kept by brokers of this process which come, go, and refuse."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from gazette_py.client import Added, Change, Changed, Client, JournalChange, JournalView, Removed
from gazette_py.errors import RpcUnavailableError
from gazette_py.protocol.labels import Label, LabelSelector, LabelSet
from gazette_py.testing import InProcessCluster

SELECTOR = LabelSelector(include=LabelSet((Label("prefix", "viewed/"),)))


@pytest.fixture
def cluster() -> Iterator[InProcessCluster]:
    with InProcessCluster(brokers=2) as started:
        started.create("other/journal", replication=1)
        yield started


@pytest.fixture
async def client(cluster: InProcessCluster) -> AsyncIterator[Client]:
    async with cluster.connect() as made:
        yield made


def told(change: JournalChange) -> tuple[str, str]:
    return type(change).__name__, change.journal.spec.name


async def next_of(changes: AsyncIterator[JournalChange], count: int) -> list[tuple[str, str]]:
    async with asyncio.timeout(60):
        return [told(await anext(changes)) for _ in range(count)]


async def delete(client: Client, view: JournalView, name: str) -> int:
    revision = view.journals[name].mod_revision
    return await client.apply([Change(expect_mod_revision=revision, delete=name)])


async def test_it_follows_what_is_made_changed_and_deleted(
    cluster: InProcessCluster, client: Client
) -> None:
    cluster.create("viewed/a", replication=1)
    async with client.view(SELECTOR) as view:
        assert dict(view.journals) == {}
        async with asyncio.timeout(60):
            await view.ready()
        assert list(view.journals) == ["viewed/a"]
        assert view.journals["viewed/a"].route.members
        changes = view.changes()
        assert await next_of(changes, 1) == [("Added", "viewed/a")]

        cluster.create("viewed/b", replication=1)
        assert await next_of(changes, 1) == [("Added", "viewed/b")]

        listed = view.journals["viewed/b"]
        labels = LabelSet((Label("color", "red"),))
        await client.apply(
            [
                Change(
                    expect_mod_revision=listed.mod_revision,
                    upsert=replace(listed.spec, labels=labels),
                )
            ]
        )
        async with asyncio.timeout(60):
            changed = await anext(changes)
        assert isinstance(changed, Changed)
        assert changed.journal.spec.labels == labels
        assert changed.before.spec == listed.spec

        revision = await delete(client, view, "viewed/a")
        assert await next_of(changes, 1) == [("Removed", "viewed/a")]
        assert list(view.journals) == ["viewed/b"]
        assert view.revision >= revision


async def test_it_goes_on_at_another_broker_and_misses_no_deletion(
    cluster: InProcessCluster, client: Client
) -> None:
    cluster.create("viewed/a", "viewed/b", replication=1)
    async with client.view(SELECTOR) as view:
        changes = view.changes()
        await next_of(changes, 2)
        # The stream is broken, and cannot be taken up, while all of this happens.
        cluster.faults.refuse("List", times=None)
        await asyncio.to_thread(cluster.stop_broker, 0)
        await delete(client, view, "viewed/b")
        await delete(client, view, "viewed/a")
        await asyncio.to_thread(lambda: cluster.create("viewed/a", "viewed/c", replication=1))
        assert sorted(view.journals) == ["viewed/a", "viewed/b"]
        cluster.faults.clear()
        assert await next_of(changes, 4) == [
            ("Removed", "viewed/a"),
            ("Added", "viewed/a"),
            ("Removed", "viewed/b"),
            ("Added", "viewed/c"),
        ]
        assert sorted(view.journals) == ["viewed/a", "viewed/c"]


async def test_each_iterator_takes_its_time(cluster: InProcessCluster, client: Client) -> None:
    """What came and went is not told to one who did not ask meanwhile."""
    async with client.view(SELECTOR) as view:
        eager, lazy = view.changes(), view.changes()
        cluster.create("viewed/a", "viewed/b", replication=1)
        while len(view.journals) < 2:
            await next_of(eager, 1)
        await delete(client, view, "viewed/a")
        while "viewed/a" in view.journals:
            await next_of(eager, 1)
        assert await next_of(lazy, 1) == [("Added", "viewed/b")]
        late = view.changes()
        assert [type(each) for each in [await anext(late)]] == [Added]
        assert Removed not in {type(await anext(view.changes()))}


async def test_errors_are_those_of_who_waits(cluster: InProcessCluster) -> None:
    cluster.faults.refuse("List", times=None)
    async with (
        cluster.connect(timeout_s=3) as client,
        client.view(SELECTOR) as view,
        asyncio.timeout(60),
    ):
        with pytest.raises(RpcUnavailableError, match="refused by a test"):
            await view.ready()
        with pytest.raises(RpcUnavailableError):
            await anext(view.changes())


async def test_who_waits_is_told_that_the_context_was_left(client: Client) -> None:
    async with client.view(SELECTOR) as view:
        await view.ready()
        waiting = asyncio.create_task(anext(view.changes()))  # type: ignore[arg-type]  # It is one.
        await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="was left"):
        await waiting
    with pytest.raises(RuntimeError, match="enter the view first"):
        await client.view(SELECTOR).ready()
