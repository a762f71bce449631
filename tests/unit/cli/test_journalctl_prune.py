"""`journalctl prune`: which journals it looks at, what it says, and how it ends."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fragment_files import write_fragment
from journalctl_in_process import call, items

from gazette_py.cli.commands import prune
from gazette_py.cli.errors import ExitCode
from gazette_py.errors import StoreDeniedError
from gazette_py.protocol.labels import LabelSet
from gazette_py.stores.file import FileStore
from gazette_py.testing import InProcessCluster
from gazette_py.testing.in_process import FRAGMENT

HOUR_S = 3600
LIMITED, NESTED, FOREVER, LOG = "acme/limited", "acme/limited/nested", "acme/forever", "acme/log"


def write(cluster: InProcessCluster, journal: str, ages_h: list[int]) -> list[Path]:
    """Write fragments of 10 bytes each, the first ones first."""
    files = []
    for number, age_h in enumerate(ages_h):
        file = write_fragment(cluster.store, journal, number * 10, b"%010d" % number)
        stored = time.time() - age_h * HOUR_S
        os.utime(file, (stored, stored))
        files.append(file)
    return files


@pytest.fixture
def cluster() -> Iterator[InProcessCluster]:
    with InProcessCluster() as started:
        limited = replace(FRAGMENT, retention_ns=2 * HOUR_S * 10**9)
        started.create(LIMITED, NESTED, fragment=limited)
        started.create(FOREVER)
        recovery_log = LabelSet.of(("content-type", prune.RECOVERY_LOG))
        started.create(LOG, labels=recovery_log, fragment=limited)
        yield started


def root(cluster: InProcessCluster) -> tuple[str, str]:
    return "--file-root", str(cluster.store)


def test_what_is_older_than_retention_goes(cluster: InProcessCluster) -> None:
    files = write(cluster, LIMITED, [9, 3, 2, 1, 0])
    others = write(cluster, FOREVER, [9, 9]) + write(cluster, LOG, [9, 9])
    planned = call(cluster, "prune", "acme/", *root(cluster), "--dry-run", "-o", "jsonl")
    doomed = [(item["begin"], item["end"], item["action"]) for item in items(planned)]
    assert doomed == [(0, 10, "delete"), (10, 20, "delete"), (20, 30, "delete")]
    assert "3 fragments would go, 30 B. 2 stay, 20 B (2 not old enough)." in planned.stderr
    assert "1 journal without a retention skipped." in planned.stderr
    assert "1 recovery log skipped." in planned.stderr
    assert "Nothing was removed" in planned.stderr
    assert all(file.exists() for file in files)

    done = call(cluster, "prune", "acme/", *root(cluster), "--yes", "-o", "jsonl")
    assert [item["action"] for item in items(done)] == ["deleted"] * 3
    assert items(done)[0] | {"persisted": 0, "mod_time": 0} == {
        "journal": LIMITED,
        "begin": 0,
        "end": 10,
        "length": 10,
        "stored_bytes": 10,
        "persisted": 0,
        "mod_time": 0,
        "store": "file:///",
        "path": str(files[0].relative_to(cluster.store)),
        "action": "deleted",
    }
    assert "3 fragments removed, 30 B. 2 stay" in done.stderr
    assert [file.exists() for file in files + others] == [False] * 3 + [True] * 6
    again = call(cluster, "prune", "acme/", *root(cluster), "--yes")
    assert again.stdout == ""
    assert "0 fragments removed" in again.stderr


def test_what_is_no_fragment_is_left_alone_and_not_in_the_output(
    cluster: InProcessCluster,
) -> None:
    write(cluster, LIMITED, [9, 9])
    foreign = cluster.store / LIMITED / "README"
    foreign.write_text("hello")
    root = ("--file-root", str(cluster.store))
    command = ["prune", LIMITED, *root, "--yes", "-o", "json"]
    done = subprocess.run(
        [*(sys.executable, "-m", "gazette_py.cli.journalctl"), *command],
        env={**os.environ, "BROKER_ADDRESS": cluster.address},
        capture_output=True,
        text=True,
        check=True,
    )
    assert [item["action"] for item in json.loads(done.stdout)["items"]] == ["deleted"]
    assert "1 object of other names left alone." in done.stderr
    assert foreign.exists()


def test_an_age_which_is_given_holds_for_all_but_recovery_logs(cluster: InProcessCluster) -> None:
    limited = write(cluster, LIMITED, [9, 1, 1])
    forever = write(cluster, FOREVER, [9, 1, 1])
    log = write(cluster, LOG, [9, 9])
    options = ("--older-than", "30m", "--min-keep", "11", "--yes")
    done = call(cluster, "prune", "acme/", *root(cluster), *options)
    assert "1 journal without a retention looked at for --older-than." in done.stderr
    assert "2 of the last --min-keep bytes" in done.stderr
    assert [file.exists() for file in limited] == [False, True, True]
    assert [file.exists() for file in forever] == [False, True, True]
    assert all(file.exists() for file in log)


def test_files_of_a_journal_below_are_not_taken_for_ours(cluster: InProcessCluster) -> None:
    """Though it was not selected."""
    ours = write(cluster, LIMITED, [9, 9])
    nested = write(cluster, NESTED, [9, 9, 9])
    call(cluster, "prune", LIMITED, *root(cluster), "--yes")
    assert [file.exists() for file in ours] == [False, True]
    assert all(file.exists() for file in nested)


def test_too_many_are_a_reason_to_remove_none(cluster: InProcessCluster) -> None:
    files = write(cluster, LIMITED, [9, 9, 9])
    options = (*root(cluster), "--yes", "--max-delete")
    refused = call(cluster, "prune", "acme/", *options, "1", code=ExitCode.USAGE)
    assert "--max-delete 1 (INVALID): 2 fragments would go; none was removed" in refused.stderr
    assert all(file.exists() for file in files)
    call(cluster, "prune", "acme/", *options, "2")
    assert [file.exists() for file in files] == [False, False, True]


def test_who_cannot_be_asked_has_to_say_so(
    cluster: InProcessCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = write(cluster, LIMITED, [9, 9])
    refused = call(cluster, "prune", "acme/", *root(cluster), code=ExitCode.USAGE)
    assert "Give --yes" in refused.stderr
    monkeypatch.setattr(prune, "_is_watched", lambda: True)  # On a terminal, it is a dry run.
    planned = call(cluster, "prune", "acme/", *root(cluster))
    assert "1 fragment would go" in planned.stderr
    assert all(file.exists() for file in files)
    call(cluster, "prune", "acme/", "--older-than", "0s", code=ExitCode.USAGE)


def test_what_a_store_refuses_is_told_once_and_others_go(
    cluster: InProcessCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = write(cluster, LIMITED, [9, 9, 9, 9])
    remove = FileStore.remove
    refused = {path.name for path in files[:2]}

    async def refusing(self: FileStore, path: str) -> None:
        if path.rpartition("/")[2] in refused:
            raise StoreDeniedError(self.url, "remove", path, "refused by a test")
        await remove(self, path)

    monkeypatch.setattr(FileStore, "remove", refusing)
    done = call(
        *(cluster, "prune", "acme/", *root(cluster), "--yes", "-o", "jsonl"), code=ExitCode.PARTIAL
    )
    assert [item["action"] for item in items(done)] == ["failed", "failed", "deleted"]
    assert "refused by a test" in items(done)[0]["error"]
    assert done.stderr.count("refused by a test") == 1
    assert "2 could not be removed" in done.stderr
    refused.add(files[2].name)
    call(cluster, "prune", "acme/", *root(cluster), "--yes", code=ExitCode.ERROR)


def test_a_journal_whose_store_is_not_to_be_listed_loses_nothing(
    cluster: InProcessCluster,
) -> None:
    limited = replace(
        FRAGMENT, retention_ns=10**9, stores=("file:///", "s3://b/?profile=there-is-none")
    )
    cluster.create("other/journal", fragment=limited)
    kept = write(cluster, "other/journal", [9, 9])
    gone = write(cluster, LIMITED, [9, 9])
    done = call(
        *(cluster, "prune", "-l", "", *root(cluster), "--yes", "-o", "jsonl"), code=ExitCode.PARTIAL
    )
    assert [item["journal"] for item in items(done)] == [LIMITED]
    assert "there-is-none" in done.stderr
    assert all(file.exists() for file in kept)
    assert [file.exists() for file in gone] == [False, True]


def test_the_verb_of_gazctl_cannot_reach_files(cluster: InProcessCluster) -> None:
    """It has no flag for where they are."""
    files = write(cluster, LIMITED, [9, 3, 2, 1, 0])
    selected = ("journals", "prune", "-l", f"name={LIMITED}")
    assert "no file root is set" in call(cluster, *selected, code=ExitCode.ERROR).stderr
    assert all(file.exists() for file in files)
    none = ("journals", "prune", "-l", "name=acme/none")
    assert "no journal matches" in call(cluster, *none, code=ExitCode.NO_MATCH).stderr
