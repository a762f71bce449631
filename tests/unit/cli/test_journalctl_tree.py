"""The journal tree: reading, pushing down, building, writing."""

import textwrap

import pytest

from gazette_py.cli.tree import Entry, Node, ineffective_zeros, specs_of, tree_of, validate_tree
from gazette_py.cli.tree_yaml import read_trees, write_tree
from gazette_py.errors import ValidationError
from gazette_py.protocol.enums import CompressionCodec, JournalFlag, SuspendLevel
from gazette_py.protocol.journal import FragmentSpec, JournalSpec, Suspend
from gazette_py.protocol.labels import LabelSet

_S = 1_000_000_000

EXAMPLE = """\
name: acme/
replication: 3
labels:
- name: content-type
  value: application/x-ndjson
fragment:
  length: 268435456
  stores:
  - s3://bucket/prefix/
  refresh_interval: 5m0s
  flush_interval: 1h0m0s
  path_postfix_template: date={{ .Spool.FirstAppendTime.Format "2006-01-02" }}
children:
- name: acme/a
  fragment:
    compression_codec: GZIP
  revision: 3
- name: acme/sub/
  fragment:
    compression_codec: ZSTANDARD
  children:
  - name: acme/sub/c
    suspend:
      level: FULL
    revision: 15
  - name: acme/sub/d
    revision: 3
"""


def _tree(text: str) -> Node:
    (tree,) = read_trees(textwrap.dedent(text), "f.yaml")
    return tree


def _entries(text: str) -> list[Entry]:
    tree = _tree(text)
    validate_tree(tree)
    return list(specs_of(tree))


def _by_name(text: str) -> dict[str, Entry]:
    return {entry.spec.name: entry for entry in _entries(text)}


def test_the_example_means_these_journals() -> None:
    entries = _by_name(EXAMPLE)

    assert list(entries) == ["acme/a", "acme/sub/c", "acme/sub/d"]
    assert entries["acme/sub/c"] == Entry(
        spec=JournalSpec(
            name="acme/sub/c",
            replication=3,
            labels=LabelSet.of(("content-type", "application/x-ndjson")),
            fragment=FragmentSpec(
                length=268435456,
                compression_codec=CompressionCodec.ZSTANDARD,
                stores=("s3://bucket/prefix/",),
                refresh_interval_ns=300 * _S,
                flush_interval_ns=3600 * _S,
                path_postfix_template='date={{ .Spool.FirstAppendTime.Format "2006-01-02" }}',
            ),
            suspend=Suspend(SuspendLevel.FULL),
        ),
        revision=15,
    )
    assert entries["acme/a"].spec.fragment.compression_codec is CompressionCodec.GZIP
    assert entries["acme/sub/d"].spec.suspend == Suspend()


def test_the_example_is_written_as_it_was_read() -> None:
    assert write_tree(tree_of(_entries(EXAMPLE))) == EXAMPLE


def test_a_single_journal_stays_bare() -> None:
    entry = Entry(spec=JournalSpec(name="a/b", replication=1), revision=2)

    assert write_tree(tree_of([entry])) == "name: a/b\nreplication: 1\nrevision: 2\n"


def test_no_journals_are_an_empty_mapping() -> None:
    assert write_tree(tree_of([])) == "{}\n"


def test_directories_exist_where_names_branch() -> None:
    names = ["a/1/foo/i", "a/1/foo/j", "a/2/x", "b/y"]

    tree = tree_of([Entry(spec=JournalSpec(name=name)) for name in names])

    assert tree is not None
    assert _shape(tree) == {
        "": ["a/", "b/y"],
        "a/": ["a/1/foo/", "a/2/x"],
        "a/1/foo/": ["a/1/foo/i", "a/1/foo/j"],
    }


def _shape(node: Node) -> dict[str, list[str]]:
    shape = {node.spec.name: [child.spec.name for child in node.children]} if node.children else {}
    for child in node.children:
        shape |= _shape(child)
    return shape


def test_labels_are_inherited_by_name() -> None:
    entries = _by_name("""\
        name: a/
        labels: [{name: one, value: x}, {name: one, value: y}, {name: two, value: z}]
        children:
        - name: a/b
          labels: [{name: one, value: w}]
        """)

    assert entries["a/b"].spec.labels == LabelSet.of(("one", "w"), ("two", "z"))


def test_an_empty_list_of_stores_inherits_none_and_hands_down_none() -> None:
    entries = _by_name("""\
        name: a/
        fragment: {stores: [file:///]}
        children:
        - name: a/b
          fragment: {stores: []}
        - name: a/c/
          fragment: {stores: []}
          children: [{name: a/c/d}]
        - name: a/e
        """)

    assert {name: entry.spec.fragment.stores for name, entry in entries.items()} == {
        "a/b": (),
        "a/c/d": (),
        "a/e": ("file:///",),
    }


def test_suspension_is_not_inherited() -> None:
    entries = _by_name("name: a/\nsuspend: {level: FULL, offset: 5}\nchildren: [{name: a/b}]")

    assert entries["a/b"].spec.suspend == Suspend()


def test_deletion_is_inherited_until_it_is_denied() -> None:
    entries = _by_name("""\
        name: a/
        delete: true
        children:
        - {name: a/b}
        - {name: a/c, delete: false}
        """)

    assert entries["a/b"].delete
    assert not entries["a/c"].delete


def test_unsorted_labels_are_sorted() -> None:
    (entry,) = _entries("name: a/b\nlabels: [{name: bb, value: 2}, {name: aa, value: 1}]")

    assert entry.spec.labels == LabelSet.of(("aa", "1"), ("bb", "2"))


@pytest.mark.parametrize(
    ("text", "flags"),
    [("O_RDONLY", JournalFlag.O_RDONLY), ("4", JournalFlag.O_RDWR), ("3", 3)],
)
def test_flags_are_names_or_numbers(text: str, flags: int) -> None:
    (entry,) = _entries(f"name: a/b\nflags: {text}")

    assert entry.spec.flags == flags


@pytest.mark.parametrize(("text", "expected_ns"), [("1m30s", 90 * _S), ("1000", 1000), ("0s", 0)])
def test_durations_are_text_or_nanoseconds(text: str, expected_ns: int) -> None:
    (entry,) = _entries(f"name: a/b\nfragment: {{retention: {text}}}")

    assert entry.spec.fragment.retention_ns == expected_ns


def test_several_documents_are_several_trees() -> None:
    trees = read_trees("name: a/b\n---\n---\nname: c/d\n", "f")

    assert [tree.spec.name for tree in trees] == ["a/b", "c/d"]


def test_a_zero_under_a_value_is_warned_of() -> None:
    tree = _tree("""\
        name: a/
        fragment: {flush_interval: 10m}
        children:
        - name: a/b
          replication: 0
          fragment: {flush_interval: 0s}
        """)

    (warning,) = ineffective_zeros(tree)
    assert warning.startswith("f.yaml:4: a/b: fragment.flush_interval is zero")
    assert "f.yaml:1: a/ still sets it" in warning


@pytest.mark.parametrize(
    ("text", "where", "reason"),
    [
        ("name: [", "f:2", "not YAML"),
        ("- a", "f:1", "expected a journal or directory"),
        ("name: a/b\nreplicaton: 3", "f:2", "unknown field replicaton: did you mean replication?"),
        ("name: a/b\nname: a/c", "f:2", "field name is repeated"),
        ("name: a/b\nreplication: three", "f:2", "expected an integer, not three"),
        ("name: a/b\ndelete: maybe", "f:2", "expected true or false"),
        ("name: a/b\nflags: O_NOPE", "f:2", "O_NOPE is none of NOT_SPECIFIED, O_RDONLY"),
        ("name: a/b\nfragment:\n  compression_codec: LZ4", "f:3", "LZ4 is none of"),
        ("name: a/b\nfragment: {retention: soon}", "f:2", "'soon' is no duration"),
        ("name: a/b\nlabels: {a: b}", "f:2", "labels is a list"),
        ("name: a/b\nlabels:\n- {value: x}", "f:3", "a label needs a name"),
        (
            "name: a/b\nlabels:\n- {name: aa, value: x}\n- {name: aa, value: x}",
            "f:4",
            "label aa=x is repeated",
        ),
        ("name: {}", "f:1", "expected text"),
    ],
)
def test_bad_yaml_is_refused_with_its_line(text: str, where: str, reason: str) -> None:
    with pytest.raises(ValidationError) as caught:
        read_trees(text, "f")

    assert caught.value.path == where
    assert reason in caught.value.reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("name: a/", "a directory needs children"),
        ("name: a/b\nchildren: [{name: a/b/c}]", "a journal has no children"),
        ("name: a/\nrevision: 3\nchildren: [{name: a/b}]", "a directory has no revision"),
        ("name: a/\nchildren: [{name: b/c}]", "must begin with its directory's, a/"),
        ("name: a/\nchildren: [{name: a/c}, {name: a/b}]", "it follows a/c"),
        ("name: a/\nchildren: [{name: a/b}, {name: a/b}]", "it follows a/b"),
        ("name: a/\nchildren: [{name: a/b/, children: [{name: a/b/}]}]", "needs children"),
    ],
)
def test_trees_which_do_not_nest_are_refused(text: str, reason: str) -> None:
    with pytest.raises(ValidationError) as caught:
        validate_tree(_tree(text))

    assert reason in caught.value.reason
