"""`journalctl journals list`: what gazctl prints of the same journals."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
from journals_verbs import journals

from gazette_py.protocol.labels import LabelSet
from gazette_py.testing import InProcessCluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[InProcessCluster]:
    with InProcessCluster() as cluster:
        cluster.create("acme/logs", labels=LabelSet.of(("content-type", "text/plain")))
        cluster.create("acme/orders", labels=LabelSet.of(("part", "00"), ("part", "01")))
        yield cluster


def test_tables(cluster: InProcessCluster) -> None:
    assert journals(cluster, "list", "-p", "--rf", "--stores", "-L", "content-type", "-L=part") == (
        """\
┌─────────────┬────┬──────────┬──────────┬────────────────┬────────┐
│    NAME     │ RF │ PRIMARY  │  STORES  │ CONTENT - TYPE │  PART  │
├─────────────┼────┼──────────┼──────────┼────────────────┼────────┤
│ acme/logs   │ 1  │ broker-0 │ file:/// │ text/plain     │ <none> │
│ acme/orders │ 1  │ broker-0 │ file:/// │ <none>         │ 00,01  │
└─────────────┴────┴──────────┴──────────┴────────────────┴────────┘
"""
    )


def test_options_before_the_verb_and_behind(cluster: InProcessCluster) -> None:
    address = cluster.addresses[0]
    expected = "┌───────────┐\n│   NAME    │\n├───────────┤\n│ acme/logs │\n└───────────┘\n"
    nowhere = {"BROKER_ADDRESS": "http://127.0.0.1:1"}
    for args in (
        ["--broker.address", address, "--zone=a", "list", "-l", "name=acme/logs"],
        ["list", "-l=name=acme/logs", f"--broker.address={address}", "--log.level=debug"],
    ):
        assert journals(cluster, *args, env=nowhere) == expected


def test_trees(cluster: InProcessCluster) -> None:
    text = journals(cluster, "list", "--selector", "name = acme/orders", "--format", "yaml")
    assert re.sub(r"revision: \d+", "revision: N", text) == (
        """\
name: acme/orders
replication: 1
labels:
- name: part
  value: "00"
- name: part
  value: "01"
fragment:
  length: 65536
  compression_codec: NONE
  stores:
  - file:///
  refresh_interval: 1s
revision: N
"""
    )


def test_json_is_one_object_without_an_end(cluster: InProcessCluster) -> None:
    text = journals(cluster, "list", "-o", "json")
    assert not text.endswith("\n")
    listed = json.loads(text)
    assert list(listed) == ["status", "header", "journals"]
    assert [journal["spec"]["name"] for journal in listed["journals"]] == [
        "acme/logs",
        "acme/orders",
    ]
    assert listed["journals"][0]["spec"]["fragment"]["length"] == "65536"
    assert listed["journals"][0]["spec"]["suspend"] is None


def test_text_of_the_protocol(cluster: InProcessCluster) -> None:
    text = journals(cluster, "list", "-o", "proto", "-l", "name=acme/logs")
    assert text.startswith('header: <\n  process_id: <\n    zone: "a"\n')
    assert '    labels: <\n      labels: <\n        name: "content-type"\n' in text
    assert re.search(r"\n  create_revision: \d+\n>\n\Z", text)


@pytest.mark.parametrize(
    ("form", "text"), [("table", "┌──────┐\n│ NAME │\n└──────┘\n"), ("yaml", "{}\n")]
)
def test_no_match_is_no_error(cluster: InProcessCluster, form: str, text: str) -> None:
    assert journals(cluster, "list", "-l", "name=acme/none", "-o", form) == text


def test_what_is_no_flag_or_verb_is_told(cluster: InProcessCluster) -> None:
    assert "--format" in journals(cluster, "list", "-o", "wide", code=2)
    assert "No such command" in journals(cluster, "lst", code=2)
    assert "acme/logs" in journals(cluster, "list", "acme/logs", code=2)


def test_a_watch_prints_all_of_it_again(cluster: InProcessCluster) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "gazette_py.cli.journalctl", "journals", "list", "--watch"],
        env={**os.environ, "BROKER_ADDRESS": cluster.addresses[0]},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        first = [process.stdout.readline() for _ in range(6)]
        cluster.create("acme/tmp")
        second = [process.stdout.readline() for _ in range(7)]
    finally:
        process.kill()
        process.communicate()
    assert [line.split()[1] for line in first if "acme/" in line] == ["acme/logs", "acme/orders"]
    assert "acme/tmp" in second[-2]
    assert second[-1].startswith("└")
