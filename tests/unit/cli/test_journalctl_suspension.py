"""`journalctl suspend`, `resume` and `store health`, with real brokers in this process."""

from collections.abc import Iterator

import pytest
from journalctl_in_process import call, items

from gazette_py.cli.errors import ExitCode
from gazette_py.client.sync import connect
from gazette_py.testing import InProcessCluster


@pytest.fixture
def cluster() -> Iterator[InProcessCluster]:
    with InProcessCluster() as cluster:
        yield cluster


def test_what_was_written_lately_is_suspended_by_force_only(cluster: InProcessCluster) -> None:
    cluster.create("acme/orders")
    with connect(cluster.address) as client:
        end = client.append("acme/orders", b"one\n").commit.end

        (left,) = items(call(cluster, "suspend", "acme/", "-o", "jsonl"))
        assert left == {"name": "acme/orders", "status": "not-flushed", "offset": None}

        (item,) = items(call(cluster, "suspend", "acme/", "--force", "-o", "jsonl"))
        assert item == {"name": "acme/orders", "status": "suspended:partial", "offset": end}
        # Once more changes nothing.
        assert items(call(cluster, "suspend", "acme/", "-o", "jsonl")) == [item]

        (resumed,) = items(call(cluster, "resume", "acme/", "-o", "jsonl"))
        assert resumed == {"name": "acme/orders", "status": "ok", "offset": None}
        assert client.append("acme/orders", b"two\n").commit.begin == end


def test_a_journal_without_fragments_is_suspended_fully(cluster: InProcessCluster) -> None:
    cluster.create("acme/empty")

    for _ in range(2):  # The second time, no broker has it.
        (item,) = items(call(cluster, "suspend", "acme/empty", "-o", "jsonl"))
        assert item == {"name": "acme/empty", "status": "suspended:full", "offset": 0}

    (resumed,) = items(call(cluster, "resume", "acme/empty", "-o", "jsonl"))
    assert resumed["status"] == "ok"


def test_suspending_takes_a_selection(cluster: InProcessCluster) -> None:
    assert "neither a NAME nor a selector" in call(cluster, "suspend", code=ExitCode.USAGE).stderr
    assert "acme/none" in call(cluster, "resume", "acme/none", code=ExitCode.NO_MATCH).stderr


def test_a_healthy_store_is_told(cluster: InProcessCluster) -> None:
    (told,) = items(call(cluster, "store", "health", "file:///", "-o", "jsonl"))
    assert told == {"store": "file:///", "status": "healthy", "error": None}


def test_what_ails_a_store_is_told(cluster: InProcessCluster) -> None:
    cluster.faults.fail_store("put", detail="read-only today")
    (told,) = items(
        call(cluster, "store", "health", "file:///", "-o", "jsonl", code=ExitCode.UNHEALTHY)
    )
    assert told["status"] == "unhealthy"
    assert "read-only today" in told["error"]


def test_a_store_which_is_no_url_is_refused(cluster: InProcessCluster) -> None:
    result = call(cluster, "store", "health", "nonsense", code=ExitCode.ERROR)
    assert "nonsense" in result.stderr
