"""The client without an event loop: as the asynchronous one, call by call."""

import inspect
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import gazette_py
from gazette_py import client as asynchronous
from gazette_py.client import append_service, reader, sync, view
from gazette_py.errors import (
    AppendOutcomeUnknownError,
    ConfigError,
    JournalNotFoundError,
    OffsetNotYetAvailableError,
)
from gazette_py.protocol.claims import of_journal
from gazette_py.testing import InProcessCluster

JOURNAL = "sync/journal"


@pytest.fixture(scope="module")
def cluster() -> Iterator[InProcessCluster]:
    with InProcessCluster() as started:
        started.create(JOURNAL)
        yield started


@pytest.fixture
def client(cluster: InProcessCluster) -> Iterator[sync.Client]:
    with sync.connect(cluster.address, file_root=str(cluster.store)) as made:
        yield made


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (sync.Client, asynchronous.Client),
        (sync.Reader, reader.Reader),
        (sync.AppendService, append_service.AppendService),
        (sync.JournalView, view.JournalView),
    ],
)
def test_names_and_arguments_are_the_same(ours: type, theirs: type) -> None:
    fields = {"journal", "write_head", "journals", "revision"}  # Of objects there.
    assert public(ours) - fields == public(theirs) - fields
    for name in public(ours):
        mine, other = getattr(ours, name), getattr(theirs, name, None)
        if callable(mine) and callable(other):
            parameters = inspect.signature(mine).parameters
            assert list(parameters) == list(inspect.signature(other).parameters)
    assert inspect.signature(sync.connect) == inspect.signature(asynchronous.connect)


def test_a_view_is_kept(client: sync.Client, cluster: InProcessCluster) -> None:
    with client.view(of_journal("sync/viewed")) as kept:
        kept.ready()
        assert dict(kept.journals) == {}
        changes = kept.changes()
        cluster.create("sync/viewed")
        added = next(changes)
        assert isinstance(added, asynchronous.Added)
        assert added.journal.spec.name == "sync/viewed"
        assert list(kept.journals) == ["sync/viewed"]
        assert kept.revision >= added.journal.mod_revision
        client.apply(
            [
                asynchronous.Change(
                    expect_mod_revision=added.journal.mod_revision, delete="sync/viewed"
                )
            ]
        )
        assert isinstance(next(changes), asynchronous.Removed)
    with pytest.raises(RuntimeError, match="was left"):
        next(changes)


def test_append_and_read(client: sync.Client) -> None:
    head = client.write_head(JOURNAL)
    done = client.append(JOURNAL, b"one\ntwo\n")
    assert done.commit.begin == head
    assert client.read_all(JOURNAL, head, head + 8) == b"one\ntwo\n"
    with client.reader(JOURNAL, offset=head) as lines:
        assert [line for batch in lines.lines() for line in batch.lines] == [b"one", b"two"]
        assert (lines.offset, lines.journal) == (head + 8, JOURNAL)
        assert lines.health().offset == head + 8
    with client.reader(JOURNAL, offset=head) as content:
        assert b"".join(bytes(batch) for batch in content.batches()) == b"one\ntwo\n"
        assert content.next_batch() is None
        assert content.write_head == head + 8


def test_lists_and_what_is_iterated_over(client: sync.Client) -> None:
    client.append(JOURNAL, b"content")
    (journal,) = client.list().journals
    assert journal.spec.name == JOURNAL
    assert [each.fragment.journal for each in client.fragments(JOURNAL)]
    watching = client.watch()
    assert [each.spec.name for each in next(watching).journals] == [JOURNAL]
    assert isinstance(watching, Iterator)
    assert client.inspect(journal)[0].replica is not None


def test_errors_are_the_same(client: sync.Client, cluster: InProcessCluster) -> None:
    with pytest.raises(JournalNotFoundError):
        client.append("sync/nowhere", b"x")
    with pytest.raises(OffsetNotYetAvailableError):
        client.read_all(JOURNAL, 1 << 40, (1 << 40) + 1)
    cluster.faults.drop("Append")
    with pytest.raises(AppendOutcomeUnknownError):
        client.append(JOURNAL, b"x")
    with pytest.raises(ConfigError):
        sync.connect("nonsense")


def test_the_service_coalesces(client: sync.Client, cluster: InProcessCluster) -> None:
    head = client.write_head(JOURNAL)
    cluster.faults.delay("Append", 1.0)
    with client.append_service() as service:
        first = service.append(JOURNAL, b"first")
        with pytest.raises(TimeoutError):
            first.result(0.05)
        assert not first.done()
        assert service.held_bytes > 0
        second = service.try_append(JOURNAL, b"second", after=[first])
        assert second is not None
        assert second.journal == JOURNAL
        assert second.result().begin == head + 5
        assert first.done()
        service.append(JOURNAL, b"third")
        service.flush()
    assert client.read_all(JOURNAL, head, head + 16) == b"firstsecondthird"
    with (  # noqa: PT012  # It is raised as the context ends.
        pytest.raises(JournalNotFoundError),
        client.append_service(bytes_max=1000) as service,
    ):
        assert service.try_append(JOURNAL, b"x" * 700) is not None
        assert service.try_append(JOURNAL, b"x" * 700) is None
        service.append("sync/nowhere", b"")


def test_several_threads_share_a_client(client: sync.Client) -> None:
    ends: list[Any] = []

    def append() -> None:
        ends.append(client.append(JOURNAL, b"x").commit.end)

    threads = [threading.Thread(target=append) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ends)) == 8


def test_connect_is_at_the_root_and_costs_nothing_before() -> None:
    assert gazette_py.connect is asynchronous.connect
    with pytest.raises(AttributeError, match="no attribute 'conect'"):
        _ = gazette_py.conect  # type: ignore[attr-defined]  # That is the point.
    code = "import sys, gazette_py; sys.exit('grpc' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
