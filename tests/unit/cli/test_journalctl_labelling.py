"""`journalctl label` and `diff`: what changes, and what does not."""

from collections.abc import Iterator

import pytest
from journalctl_in_process import call, items

from gazette_py.cli.errors import ExitCode
from gazette_py.cli.labelling import LabelChange, changed_labels
from gazette_py.client.sync import connect
from gazette_py.errors import ValidationError
from gazette_py.protocol.journal import JournalSpec
from gazette_py.protocol.labels import LabelSet
from gazette_py.testing import InProcessCluster

LABELS = LabelSet.of(("env", "test"), ("tag", "a"), ("tag", "b"))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (["env=prod"], [("env", "prod"), ("tag", "a"), ("tag", "b")]),
        (["tag=c"], [("env", "test"), ("tag", "c")]),
        (["tag+=c"], [("env", "test"), ("tag", "a"), ("tag", "b"), ("tag", "c")]),
        (["tag+=a"], [("env", "test"), ("tag", "a"), ("tag", "b")]),
        (["tag-"], [("env", "test")]),
        (["tag-", "tag+=z", "none-"], [("env", "test"), ("tag", "z")]),
        (["note=a=b-"], [("env", "test"), ("note", "a=b-"), ("tag", "a"), ("tag", "b")]),
        (["flag="], [("env", "test"), ("flag", ""), ("tag", "a"), ("tag", "b")]),
    ],
)
def test_labels_change_as_written(changes: list[str], expected: list[tuple[str, str]]) -> None:
    assert changed_labels(LABELS, map(LabelChange.parse, changes)) == LabelSet.of(*expected)


@pytest.mark.parametrize("text", ["env", "=prod", "+=prod", "-", ""])
def test_what_is_no_change_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="label"):
        LabelChange.parse(text)


@pytest.fixture
def cluster() -> Iterator[InProcessCluster]:
    with InProcessCluster() as cluster:
        yield cluster


def spec_of(cluster: InProcessCluster, name: str) -> JournalSpec:
    with connect(cluster.address) as client:
        (found,) = [j.spec for j in client.list().journals if j.spec.name == name]
        return found


def test_selected_journals_are_labelled_and_nothing_else(cluster: InProcessCluster) -> None:
    cluster.create("acme/one", labels=LABELS)
    cluster.create("acme/two", "other/one")
    before = spec_of(cluster, "acme/one"), spec_of(cluster, "other/one")

    told = items(
        call(cluster, "label", "-l", "name:prefix=acme/", "env=prod", "tag-", "-o", "jsonl")
    )

    assert [(item["name"], item["action"]) for item in told] == [
        ("acme/one", "updated"),
        ("acme/two", "updated"),
    ]
    assert spec_of(cluster, "acme/one").labels == LabelSet.of(("env", "prod"))
    assert spec_of(cluster, "acme/one").fragment == before[0].fragment
    assert spec_of(cluster, "other/one") == before[1]
    (again,) = items(call(cluster, "label", "-l", "name=acme/one", "env=prod", "-o", "jsonl"))
    assert again["action"] == "unchanged"


def test_a_dry_run_labels_nothing(cluster: InProcessCluster) -> None:
    cluster.create("acme/one", labels=LABELS)
    result = call(cluster, "label", "-l", "name=acme/one", "env-", "--dry-run", "-o", "jsonl")
    assert [item["action"] for item in items(result)] == ["updated"]
    assert spec_of(cluster, "acme/one").labels == LABELS


def test_a_label_which_breaks_a_rule_is_named(cluster: InProcessCluster) -> None:
    cluster.create("acme/one")
    arguments = ["label", "-l", "name=acme/one", "content-type=a", "content-type+=b"]
    result = call(cluster, *arguments, code=ExitCode.USAGE)
    assert "acme/one" in result.stderr
    assert "content-type" in result.stderr


TREE = """\
name: acme/
replication: 1
fragment: {length: 65536, compression_codec: GZIP, stores: ['file:///'], refresh_interval: 1s}
children:
- name: acme/new
- name: acme/one
  labels: [{name: env, value: prod}]
"""


def test_a_difference_is_shown_and_not_made(cluster: InProcessCluster) -> None:
    call(cluster, "apply", "-f", "-", stdin=TREE)
    changed = TREE.replace("65536", "131072").replace("acme/new", "acme/newer")
    before = spec_of(cluster, "acme/one")

    text = call(cluster, "diff", "-f", "-", stdin=changed, code=ExitCode.ERROR).stdout
    assert "--- acme/one" in text
    assert "-  length: 65536\n+  length: 131072\n" in text
    assert "--- /dev/null\n+++ acme/newer\n" in text
    fields = items(call(cluster, "diff", "-f", "-", "-o", "jsonl", stdin=changed, code=1))
    assert {
        "name": "acme/one",
        "op": "update",
        "path": "fragment.length",
        "old": 65536,
        "new": 131072,
    } in fields
    assert {item["op"] for item in fields if item["name"] == "acme/newer"} == {"create"}
    assert spec_of(cluster, "acme/one") == before


def test_a_deletion_is_a_difference(cluster: InProcessCluster) -> None:
    call(cluster, "apply", "-f", "-", stdin=TREE)
    deleted = TREE.replace("- name: acme/new\n", "- name: acme/new\n  delete: true\n")
    text = call(cluster, "diff", "-f", "-", stdin=deleted, code=ExitCode.ERROR).stdout
    assert "--- acme/new\n+++ /dev/null\n" in text


def test_no_difference_is_silent(cluster: InProcessCluster) -> None:
    call(cluster, "apply", "-f", "-", stdin=TREE)
    result = call(cluster, "diff", "-f", "-", stdin=TREE)
    assert "acme/" not in "".join(
        line for line in result.stdout.splitlines() if "component=" not in line
    )
