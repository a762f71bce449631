"""`journalctl backup` and `restore`: all of a spec comes back, and nothing is made worse."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from journalctl_in_process import call, items

from gazette_py.cli.changes import Action, Current
from gazette_py.cli.commands.restore import plan_restore, replace_stores
from gazette_py.cli.errors import CommandError, ExitCode
from gazette_py.cli.tree import Entry
from gazette_py.client import Change
from gazette_py.client.sync import connect
from gazette_py.errors import SuspendedError
from gazette_py.protocol.enums import AppendSuspend, SuspendLevel
from gazette_py.protocol.journal import JournalSpec, Suspend
from gazette_py.protocol.labels import LabelSet
from gazette_py.testing import InProcessCluster
from gazette_py.testing.in_process import FRAGMENT

FIRST, SECOND, FULL = "acme/first", "acme/second", "acme/full"
LABELS = LabelSet.of(("env", "prod"), ("env", "test"))


def spec(name: str, **more: Any) -> JournalSpec:
    return JournalSpec(**{"name": name, "replication": 1, "fragment": FRAGMENT, **more})


@pytest.fixture
def cluster() -> Iterator[InProcessCluster]:
    with InProcessCluster() as started:
        started.create(FIRST, labels=LABELS)
        started.create(SECOND, fragment=replace(FRAGMENT, retention_ns=3600 * 10**9))
        with connect(started.address) as client:
            registers = LabelSet.of(("author", "one"))
            client.append(FIRST, b"some content\n", union_registers=registers)
            full = spec(FULL, suspend=Suspend(SuspendLevel.FULL, 777))
            client.apply([Change(expect_mod_revision=0, upsert=full)])
        yield started


def specs(cluster: InProcessCluster) -> dict[str, JournalSpec]:
    with connect(cluster.address) as client:
        return {journal.spec.name: journal.spec for journal in client.list().journals}


def backup(cluster: InProcessCluster, path: Path, *options: str) -> None:
    call(cluster, "backup", "--to", str(path), *options)


@pytest.mark.parametrize("name", ["backup.yaml", "backup.json"])
def test_all_of_a_spec_comes_back(cluster: InProcessCluster, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    backup(cluster, path)
    text = path.read_text()
    document = json.loads(text) if name.endswith("json") else yaml.safe_load(text)
    assert (document["apiVersion"], document["kind"]) == ("gazette-py/v1", "Backup")
    assert document["etcd"]["revision"] > 0
    assert document["states"] == [
        {"name": FIRST, "head": 13, "registers": [{"name": "author", "value": "one"}]},
        {"name": FULL, "head": 777},
        {"name": SECOND, "head": 0, "registers": []},
    ]
    expected = specs(cluster)
    with InProcessCluster() as anew:
        refused = call(anew, "restore", str(path), code=ExitCode.USAGE)
        assert "Create 3 journals, such as acme/first?" in refused.stderr
        planned = call(anew, "restore", str(path), "--dry-run", "-o", "jsonl")
        assert {item["action"] for item in items(planned)} == {"created"}
        assert specs(anew) == {}
        done = call(anew, "restore", str(path), "--yes", "-o", "jsonl")
        assert [(item["name"], item["action"]) for item in items(done)] == [
            *((FIRST, "created"), (FULL, "created"), (SECOND, "created"))
        ]
        assert "reset-head" in done.stderr
        assert specs(anew) == expected
        again = call(anew, "restore", str(path), "-o", "jsonl")  # Nothing to be sure of.
        assert {item["action"] for item in items(again)} == {"unchanged"}


def test_journals_which_exist_are_left_unless_they_shall_not_be(
    cluster: InProcessCluster, tmp_path: Path
) -> None:
    """And what knows up to where they were written is left in any case."""
    path = tmp_path / "backup.yaml"
    backup(cluster, path)
    before = specs(cluster)
    with connect(cluster.address) as client:
        moved = replace(before[FULL], suspend=Suspend(SuspendLevel.FULL, 999))
        relabelled = replace(before[FIRST], labels=LabelSet.of(("env", "other")))
        client.apply([Change(expect_mod_revision=-1, upsert=each) for each in (moved, relabelled)])
    kept = call(cluster, "restore", str(path), "-o", "jsonl", code=ExitCode.PARTIAL)
    actions = {item["name"]: item["action"] for item in items(kept)}
    assert actions == {FIRST: "differs", FULL: "unchanged", SECOND: "unchanged"}
    assert "--overwrite" in kept.stderr
    assert specs(cluster)[FIRST] == relabelled
    call(cluster, "restore", str(path), "--overwrite", code=ExitCode.USAGE)  # It asks.
    call(cluster, "restore", str(path), "--overwrite", "--yes")
    assert specs(cluster) == before | {FULL: moved}


def test_apply_and_diff_read_a_backup(cluster: InProcessCluster, tmp_path: Path) -> None:
    path = tmp_path / "backup.yaml"
    backup(cluster, path, "--no-registers")
    assert yaml.safe_load(path.read_text())["states"] == []
    call(cluster, "diff", "-f", str(path))
    call(cluster, "delete", SECOND, "--yes")
    differs = call(cluster, "diff", "-f", str(path), code=ExitCode.ERROR)
    assert f"+++ {SECOND}" in differs.stdout
    call(cluster, "apply", "-f", str(path), "--revision", "upsert")
    call(cluster, "diff", "-f", str(path))


def test_a_part_of_the_journals_and_none(cluster: InProcessCluster, tmp_path: Path) -> None:
    path = tmp_path / "backup.yaml"
    backup(cluster, path, SECOND)
    assert yaml.safe_load(path.read_text())["journals"]["name"] == SECOND
    call(cluster, "backup", "--to", str(path), "acme/none", code=ExitCode.NO_MATCH)
    backup(cluster, path, "acme/none", "--allow-empty")
    nothing = call(cluster, "restore", str(path), code=ExitCode.USAGE)
    assert "no YAML document" in nothing.stderr
    printed = call(cluster, "backup", SECOND, "--format", "json")
    assert json.loads(printed.stdout)["journals"]["name"] == SECOND


def test_a_journal_whose_brokers_refuse_is_in_the_backup(
    cluster: InProcessCluster, tmp_path: Path
) -> None:
    path = tmp_path / "backup.yaml"
    cluster.faults.refuse("Append", times=None, code="INTERNAL")
    done = call(cluster, "backup", "--to", str(path))
    cluster.faults.clear()
    states = {state["name"]: state for state in yaml.safe_load(path.read_text())["states"]}
    assert states[FIRST]["head"] == 13
    assert "refused by a test" in states[FIRST]["problem"]
    assert "registers" not in states[FIRST]
    assert f"warning: registers of {FIRST}" in done.stderr
    with InProcessCluster() as anew:
        call(anew, "restore", str(path), "--yes")
        assert set(specs(anew)) == {FIRST, SECOND, FULL}


def test_a_suspended_journal_stays_suspended(cluster: InProcessCluster, tmp_path: Path) -> None:
    with connect(cluster.address) as client, pytest.raises(SuspendedError):
        client.append(FIRST, suspend=AppendSuspend.NOW)
    before = specs(cluster)
    assert before[FIRST].suspend == Suspend(SuspendLevel.PARTIAL, 13)
    backup(cluster, tmp_path / "backup.yaml")
    assert specs(cluster) == before
    states = yaml.safe_load((tmp_path / "backup.yaml").read_text())["states"]
    assert (states[0]["name"], states[0]["head"]) == (FIRST, 13)


def test_offsets_which_were_used_are_not_used_again_if_that_is_wanted(
    cluster: InProcessCluster, tmp_path: Path
) -> None:
    path = tmp_path / "backup.yaml"
    backup(cluster, path)
    with InProcessCluster() as anew, connect(anew.address) as client:
        call(anew, "restore", str(path), "--resume-at-heads", "--yes")
        assert specs(anew)[FIRST].suspend == Suspend(SuspendLevel.NONE, 13)
        assert specs(anew)[FULL].suspend == Suspend(SuspendLevel.FULL, 777)
        assert client.append(FIRST, b"more\n").commit.begin == 13
        assert client.append(FULL, b"more\n").commit.begin == 777
    with InProcessCluster() as anew, connect(anew.address) as client:
        call(anew, "restore", str(path), "--yes")
        assert client.append(FIRST, b"more\n").commit.begin == 0
    backup(cluster, path, "--no-registers")
    call(cluster, "restore", str(path), "--resume-at-heads", code=ExitCode.USAGE)


def test_a_backup_which_was_damaged_is_refused(cluster: InProcessCluster, tmp_path: Path) -> None:
    path = tmp_path / "backup.yaml"
    backup(cluster, path)
    good = path.read_text()
    for bad, said in (
        (good.replace("replication: 1", "replicaton: 1"), "did you mean replication?"),
        (good.replace("head: 13", "head: -13"), "no head like -13"),
        (good.replace("states:", "state:"), "the states of the backup are none"),
        ("name: acme/first\ndelete: true\nrevision: -1\n", "a backup deletes nothing"),
        (good[: len(good) // 3], "INVALID"),
    ):
        path.write_text(bad)
        refused = call(
            *(cluster, "restore", str(path), "--resume-at-heads", "--yes"), code=ExitCode.USAGE
        )
        assert said in refused.stderr


def entry(name: str, *stores: str, suspend: Suspend = Suspend()) -> Entry:
    fragment = replace(FRAGMENT, stores=stores or FRAGMENT.stores)
    return Entry(spec=spec(name, fragment=fragment, suspend=suspend))


def test_stores_are_replaced_by_copies_of_them() -> None:
    entries = [entry("a", "s3://one/", "s3://two/"), entry("b", "s3://two/")]
    replaced = replace_stores(entries, [("s3://two/", "s3://copy/")])
    assert [each.spec.fragment.stores for each in replaced] == [
        *(("s3://one/", "s3://copy/"), ("s3://copy/",))
    ]
    with pytest.raises(CommandError, match="no journal is in s3://three/"):
        replace_stores(entries, [("s3://three/", "s3://copy/")])


def test_the_offset_of_a_suspension_never_falls() -> None:
    suspended = entry("a", suspend=Suspend(SuspendLevel.FULL, 500))
    planned, _ = plan_restore([suspended], {}, {"a": 300}, overwrites=False)
    assert planned[0].spec.suspend == Suspend(SuspendLevel.FULL, 500)
    planned, _ = plan_restore([suspended], {}, {"a": 700}, overwrites=False)
    assert planned[0].spec.suspend == Suspend(SuspendLevel.FULL, 700)
    now = replace(suspended.spec, suspend=Suspend(SuspendLevel.NONE, 900), replication=2)
    current = {"a": Current(spec=now, revision=5)}
    planned, differing = plan_restore([suspended], current, {}, overwrites=True)
    assert planned[0].action is Action.UPDATED
    assert planned[0].spec == replace(suspended.spec, suspend=now.suspend)
    assert (planned[0].expect_revision, differing) == (5, [])


def test_what_was_done_is_told_if_not_all_can_be(
    cluster: InProcessCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "backup.yaml"
    backup(cluster, path)
    with InProcessCluster() as anew:
        with connect(anew.address) as client:

            def raced(*_: object, **__: object) -> object:
                """Somebody creates one of them after the plan was made."""
                change = Change(expect_mod_revision=0, upsert=spec(FULL))
                client.apply([change])
                return None

            monkeypatch.setattr("gazette_py.cli.commands.restore.confirm", raced)
            done = call(
                *(anew, "restore", str(path), "--max-txn-size", "1", "--yes", "-o", "jsonl"),
                code=ExitCode.PARTIAL,
            )
        assert [(i["name"], i["action"]) for i in items(done)] == [(FIRST, "created")]
        assert "1 changes were made before" in done.stderr
