"""`journalctl explain`: all fields which are read are explained, and examples of them are right."""

import json
from dataclasses import fields

import pytest
from click.testing import CliRunner, Result

from gazette_py.cli import tree_yaml
from gazette_py.cli.commands.explain import plain
from gazette_py.cli.journalctl import cli
from gazette_py.cli.spec_help import FIELDS, FieldHelp
from gazette_py.protocol.journal import FragmentSpec, JournalSpec, Suspend
from gazette_py.protocol.labels import Label


def explain(*args: str, code: int = 0) -> Result:
    result = CliRunner().invoke(cli, ["explain", *args], prog_name="journalctl")
    assert result.exit_code == code, result.output
    return result


def test_every_field_of_a_spec_is_explained_and_no_other() -> None:
    spec = {field.name for field in fields(JournalSpec)}
    fragment = {f"fragment.{f.name.removesuffix('_ns')}" for f in fields(FragmentSpec)}
    suspend = {f"suspend.{field.name}" for field in fields(Suspend)}
    labels = {f"labels.{field.name}" for field in fields(Label) if field.name != "prefix"}
    of_trees = {"revision", "delete", "children", "comment"}
    paths = [field.path for field in FIELDS]
    assert len(paths) == len(set(paths))
    assert set(paths) == spec | fragment | suspend | labels | of_trees


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.path)
def test_examples_are_read(field: FieldHelp) -> None:
    text = field.example
    if field.parent == "labels":
        text = f"{{{text}}}" if field.name == "name" else f"{{name: any, {text}}}"
        text = f"labels: [{text}]"
    elif field.parent:
        text = f"{field.parent}: {{{text}}}"
    (tree,) = tree_yaml.read_trees(text, "example")
    assert field.name in field.example
    assert tree != tree_yaml.read_trees("{}", "empty")[0]


def test_a_field_is_told_with_its_range_and_an_example() -> None:
    text = explain("journal.fragment.flush_interval").stdout
    assert text.startswith(
        "journal.fragment.flush_interval\n"
        "  A fragment is closed when an interval has passed; 0: only by length.\n"
    )
    assert "\n  Range:   0 or at least 1m\n  Example: flush_interval: 10m\n" in text
    assert explain("fragment.flush_interval").stdout == text


def test_a_journal_lists_its_fields() -> None:
    text = explain("journal").stdout
    assert "\n    replication      Replicas." in text
    assert "flush_interval" not in text
    assert "\n    flush_interval " in explain("journal.fragment").stdout


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("journal.flush_interval", "journal.fragment.flush_interval"),
        ("journal.fragment.flush_intervall", "journal.fragment.flush_interval"),
        ("replicaton", "journal.replication"),
        ("journal.name.name", "journal.name or journal.labels.name"),
    ],
)
def test_an_unknown_field_suggests(asked: str, meant: str) -> None:
    assert f"Did you mean {meant}? " in explain(asked, code=2).stderr


def test_nothing_near_names_the_list() -> None:
    err = explain("zzz", code=2).stderr
    assert err == (
        "error: field zzz (INVALID): there is none\nhint: `journalctl explain journal` lists all.\n"
    )


def test_it_is_told_in_formats() -> None:
    document = json.loads(explain("journal.suspend", "-o", "json").stdout)
    assert [item["field"] for item in document["items"]] == [
        "journal.suspend",
        "journal.suspend.level",
        "journal.suspend.offset",
    ]


def test_links_become_pages() -> None:
    text = "See [labels](labels.md), [S3](../how-to/run-against-s3.md)"
    assert plain(text) == (
        "See labels (docs/reference/labels.md), S3 (docs/how-to/run-against-s3.md)"
    )
    code = "[protocol/x.py](../../gazette_py/protocol/x.py)"
    assert plain(code) == "protocol/x.py"
