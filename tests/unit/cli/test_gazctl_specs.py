"""`journalctl journals apply`, `edit` and `fragments`: what gazctl prints, and what it does."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from journalctl_in_process import call
from journals_verbs import journals

from gazette_py.client.sync import connect
from gazette_py.testing import InProcessCluster

SPECS = """\
name: acme/
replication: 1
fragment: {length: 65536, compression_codec: NONE, refresh_interval: 1s, stores: ['file:///']}
children:
- name: acme/a
- name: acme/b
"""


@pytest.fixture
def cluster() -> Iterator[InProcessCluster]:
    with InProcessCluster() as cluster:
        yield cluster


def revisions(cluster: InProcessCluster) -> dict[str, int]:
    listed = json.loads(journals(cluster, "list", "-o", "json"))["journals"]
    return {journal["spec"]["name"]: int(journal["mod_revision"]) for journal in listed}


def test_a_dry_run_prints_the_request(cluster: InProcessCluster) -> None:
    specs = SPECS.replace("acme/b", "acme/b\n  delete: true\n  revision: 7")
    text = journals(cluster, "apply", "--dry-run", stdin=specs.encode())
    assert (
        text
        == """\
changes: <
  upsert: <
    name: "acme/a"
    replication: 1
    labels: <
    >
    fragment: <
      length: 65536
      compression_codec: NONE
      stores: "file:///"
      refresh_interval: <
        seconds: 1
      >
    >
  >
>
changes: <
  expect_mod_revision: 7
  delete: "acme/b"
>
"""
    )
    assert revisions(cluster) == {}


def test_what_is_applied_is_not_told(cluster: InProcessCluster, tmp_path: Path) -> None:
    specs = tmp_path / "specs.yaml"
    specs.write_text(SPECS)
    assert journals(cluster, "apply", "--specs", str(specs)) == ""
    at = revisions(cluster)
    assert len(set(at.values())) == 1
    assert "ETCD_TRANSACTION_FAILED" in journals(cluster, "apply", "--specs", str(specs), code=4)


def test_a_listing_is_applied_as_it_is_in_batches(cluster: InProcessCluster) -> None:
    """What changes nothing gets a new revision, too."""
    journals(cluster, "apply", stdin=SPECS.encode())
    before = revisions(cluster)
    text = journals(cluster, "list", "-o", "yaml").encode()

    journals(cluster, "apply", "--max-txn-size", "1", stdin=text)

    after = revisions(cluster)
    assert all(after[name] > before[name] for name in before)
    assert len(set(after.values())) == 2


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("replication: 1", "replicas: 1", "unknown field replicas"),
        ("replication: 1", "replication: 9", "Replication"),
        ("- name: acme/b", "- name: acme/b\n  delete: true", "needs the journal's revision"),
        ("acme/b", "b", "must begin with its directory's"),
    ],
)
def test_bad_specs_are_refused(cluster: InProcessCluster, old: str, new: str, told: str) -> None:
    for more in ([], ["--dry-run"]):
        assert told in journals(
            cluster, "apply", *more, stdin=SPECS.replace(old, new).encode(), code=2
        )
    assert revisions(cluster) == {}


def test_edit(cluster: InProcessCluster) -> None:
    journals(cluster, "apply", stdin=SPECS.encode())
    env = {"GAZ_EDITOR": "sed -i 's/- name: acme.b/&\\n  max_append_rate: 4096/'"}

    assert journals(cluster, "edit", "-l", "prefix=acme/", env=env) == ""

    assert "max_append_rate: 4096" in journals(cluster, "list", "-l", "name=acme/b", "-o", "yaml")
    missing = journals(cluster, "edit", "-l", "name=acme/none", env=env, code=3)
    assert "no journal matches" in missing
    assert "--selector" in journals(cluster, "edit", env=env, code=2)


def test_fragments(cluster: InProcessCluster) -> None:
    cluster.create("acme/logs", "acme/none")
    with connect(cluster.address) as client:
        client.append("acme/logs", b"hello\n")

    assert journals(cluster, "fragments") == (
        """\
┌───────────┬────────┬────────┬───────────┬─────────────────┬─────────────┐
│  JOURNAL  │ OFFSET │ LENGTH │ PERSISTED │      SHA 1      │ COMPRESSION │
├───────────┼────────┼────────┼───────────┼─────────────────┼─────────────┤
│ acme/logs │ 0      │ 6 B    │           │ f572d396fae9... │ NONE        │
└───────────┴────────┴────────┴───────────┴─────────────────┴─────────────┘
"""
    )
    assert journals(cluster, "fragments", "-o", "json") == (
        '{"spec":{"journal":"acme/logs","end":6,"sum":{"part1":17686431332045496422,'
        '"part2":2914198063264364334,"part3":2498897295},"compression_codec":1}}\n'
    )
    text = journals(cluster, "fragments", "-o", "proto", "-l", "name=acme/logs")
    header, fragments = text.split("fragments: <\n")
    assert header.startswith('header: <\n  process_id: <\n    zone: "a"\n    suffix: "broker-0"\n')
    assert (
        fragments
        == """\
  spec: <
    journal: "acme/logs"
    end: 6
    sum: <
      part1: 17686431332045496422
      part2: 2914198063264364334
      part3: 2498897295
    >
    compression_codec: NONE
  >
>
"""
    )
    # Those not yet stored have no time, and are not listed with an end.
    assert journals(cluster, "fragments", "-o", "json", "--to", "2000000000") == ""


def test_stored_fragments_have_urls(cluster: InProcessCluster) -> None:
    cluster.create("acme/logs")
    with connect(cluster.address) as client:
        client.append("acme/logs", b"hello\n")
        client.append("acme/logs", b"x" * (1 << 16))  # What is before is stored.
        while not any(f.fragment.backing_store for f in client.fragments("acme/logs")):
            pass

    text = journals(cluster, "fragments", "--url-ttl", "10m")
    title, row = (text.splitlines()[i] for i in (1, 3))
    assert title.split()[-2] == "URL"
    assert re.search(r"│ (now|\d+ seconds? ago) +│ [0-9a-f]{12}\.\.\. │ NONE +│ file:///acme/", row)
    listed = journals(cluster, "fragments", "--url-ttl=10m", "-o", "json").splitlines()
    assert json.loads(listed[0])["signed_url"].startswith("file:///acme/logs/")


def test_suspended_journals_are_left_out(cluster: InProcessCluster) -> None:
    """gazctl crashes."""
    cluster.create("acme/empty")
    call(cluster, "suspend", "acme/empty")
    assert '"level":"FULL"' in journals(cluster, "list", "-o", "json")
    for form in ("json", "proto"):
        assert journals(cluster, "fragments", "-o", form) == ""
