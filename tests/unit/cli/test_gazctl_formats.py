"""Formats of gazctl.

Expected texts are what gazctl v0.103 printed of the same journals, and what its libraries return.
"""

import json

import pytest

from gazette_py.cli.gazctl import messages, table
from gazette_py.cli.gazctl.flags import Log
from gazette_py.cli.gazctl.humanize import binary_size, relative_time
from gazette_py.cli.gazctl.tree_text import is_ambiguous, tree_text
from gazette_py.cli.tree import Entry, tree_of
from gazette_py.cli.tree_yaml import read_trees
from gazette_py.cli.wire import list_json, list_text
from gazette_py.client.change import Change, change_to_pb
from gazette_py.client.listing import ListedJournal, ListResult
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.protocol.enums import CompressionCodec, SuspendLevel
from gazette_py.protocol.journal import FragmentSpec, JournalSpec, Suspend
from gazette_py.protocol.labels import LabelSet
from gazette_py.protocol.route import EtcdHeader, Header, ProcessID, Route

NS = 10**9

SUSPENDED = JournalSpec(
    name="acme/suspended",
    replication=1,
    labels=LabelSet.of(("content-type", "text/plain")),
    fragment=FragmentSpec(
        length=65536,
        compression_codec=CompressionCodec.GZIP,
        stores=("file:///",),
        refresh_interval_ns=NS,
    ),
    flags=4,
    max_append_rate=5,
    suspend=Suspend(SuspendLevel.FULL),
)


def test_tables() -> None:
    titles = ("Name", "RF", "Primary", "content-type", "aLabelCase.x_y", "a.1")
    rows = [
        ("acme/logs", "1", "broker-0", "text/plain", "<none>", "<none>"),
        ("acme/suspended", "1", "<none> <S>", "text/plain", "v1", "<none>"),
    ]

    assert (
        table.draw(titles, rows)
        == """\
┌────────────────┬────┬────────────┬────────────────┬────────────────────┬────────┐
│      NAME      │ RF │  PRIMARY   │ CONTENT - TYPE │ A LABEL CASE . X Y │ A . 1  │
├────────────────┼────┼────────────┼────────────────┼────────────────────┼────────┤
│ acme/logs      │ 1  │ broker-0   │ text/plain     │ <none>             │ <none> │
│ acme/suspended │ 1  │ <none> <S> │ text/plain     │ v1                 │ <none> │
└────────────────┴────┴────────────┴────────────────┴────────────────────┴────────┘
"""
    )


def test_wide_characters_in_tables() -> None:
    assert table.draw(["日本", "_"], [("é", ""), ("日本x", "")]) == (
        "┌───────┬──┐\n│ 日本  │  │\n├───────┼──┤\n│ é     │  │\n│ 日本x │  │\n└───────┴──┘\n"
    )


def test_an_empty_table() -> None:
    assert table.draw(["Name"], []) == "┌──────┐\n│ NAME │\n└──────┘\n"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("SHA1", "SHA 1"),
        ("HTTPServer2", "HTTP SERVER 2"),
        ("XMLHttp", "XML HTTP"),
        ("x--y", "X -- Y"),
        ("x_y", "X Y"),
        ("a__b", "A    B"),
        ("1.2", "1 . 2"),
        ("Zürich", "ZÜRICH"),
        ("_", ""),
        ("ABCdef", "AB CDEF"),
        ("a b", "A B"),
        ("a.b.c", "A . B . C"),
    ],
)
def test_titles(name: str, shown: str) -> None:
    assert table.title(name) == shown


def test_requests_as_text() -> None:
    spec = JournalSpec(
        name="bbb/a",
        replication=1,
        fragment=FragmentSpec(
            length=1024,
            compression_codec=CompressionCodec.NONE,
            refresh_interval_ns=61 * NS + NS // 2,
            path_postfix_template="a<b>&é\"\\'\t",
        ),
    )
    changes = [
        Change(expect_mod_revision=0, upsert=spec),
        Change(expect_mod_revision=-1, delete="bbb/b"),
        Change(expect_mod_revision=7, delete="bbb/c"),
    ]

    assert messages.text_of(pb.ApplyRequest(changes=map(change_to_pb, changes))) == (
        """\
changes: <
  upsert: <
    name: "bbb/a"
    replication: 1
    labels: <
    >
    fragment: <
      length: 1024
      compression_codec: NONE
      refresh_interval: <
        seconds: 61
        nanos: 500000000
      >
      path_postfix_template: "a<b>&\\303\\251\\"\\\\'\\t"
    >
  >
>
changes: <
  expect_mod_revision: -1
  delete: "bbb/b"
>
changes: <
  expect_mod_revision: 7
  delete: "bbb/c"
>
"""
    )


def listing(spec: JournalSpec) -> ListResult:
    header = Header(
        process_id=ProcessID("a", "broker-0"),
        route=Route(),
        etcd=EtcdHeader(cluster_id=1 << 63, member_id=2, revision=9, raft_term=2),
    )
    journal = ListedJournal(spec=spec, mod_revision=4, create_revision=3, route=Route())
    return ListResult((journal,), header)


def test_listings_as_text() -> None:
    assert (
        list_text(listing(SUSPENDED))
        == """\
header: <
  process_id: <
    zone: "a"
    suffix: "broker-0"
  >
  route: <
    primary: -1
  >
  etcd: <
    cluster_id: 9223372036854775808
    member_id: 2
    revision: 9
    raft_term: 2
  >
>
journals: <
  spec: <
    name: "acme/suspended"
    replication: 1
    labels: <
      labels: <
        name: "content-type"
        value: "text/plain"
      >
    >
    fragment: <
      length: 65536
      compression_codec: GZIP
      stores: "file:///"
      refresh_interval: <
        seconds: 1
      >
    >
    flags: 4
    max_append_rate: 5
    suspend: <
      level: FULL
    >
  >
  mod_revision: 4
  route: <
    primary: -1
  >
  create_revision: 3
>
"""
    )


def test_listings_as_json() -> None:
    """Browsers might show it, or so Go thinks; jq sees no difference."""
    template = '{{ .Spool.FirstAppendTime.Format "<&>" }}'
    spec = JournalSpec(
        name="acme/zzz", replication=1, fragment=FragmentSpec(path_postfix_template=template)
    )

    text = list_json(listing(spec))

    assert (
        '"path_postfix_template":"{{ .Spool.FirstAppendTime.Format \\"\\u003c\\u0026\\u003e\\" }}"'
        in text
    )
    journal = json.loads(text)["journals"][0]
    assert journal["spec"]["fragment"]["path_postfix_template"] == template
    assert list(journal) == ["spec", "mod_revision", "route", "create_revision"]


def test_fragments_as_json() -> None:
    sum_ = pb.SHA1Sum(part1=17686431332045496422, part2=2914198063264364334, part3=2498897295)
    fragment = pb.Fragment(
        journal="acme/logs",
        end=6,
        sum=sum_,
        compression_codec=2,
        backing_store="file:///",
        mod_time=1795721831,
    )
    listed = pb.FragmentsResponse(
        fragments=[{"spec": fragment, "signed_url": "https://s/a?b=1&c=2"}]  # type: ignore[list-item]
    ).fragments[0]

    assert messages.json_of(listed) == (
        '{"spec":{"journal":"acme/logs","end":6,"sum":{"part1":17686431332045496422,'
        '"part2":2914198063264364334,"part3":2498897295},"compression_codec":2,'
        '"backing_store":"file:///","mod_time":1795721831},'
        '"signed_url":"https://s/a?b=1\\u0026c=2"}'
    )


def test_trees() -> None:
    text = """\
name: ccc/
replication: 1
fragment:
  length: 1024
  compression_codec: NONE
  refresh_interval: 1m0s
children:
- name: ccc/a
  labels:
  - name: cc
    value: "1"
  - name: dd
    value: "00000000"
  - name: ee
    value: ffffffff
  - name: ff
    value: "1e5"
  - name: gg
    value: "true"
  - name: hh
    value: "n"
  - name: ii
    value: "2006-01-02"
  - name: jj
    value: "0x1F"
  - name: kk
    value: ".5"
  - name: ll
    value: '-'
  - name: nn
    value: ""
  - name: oo
    value: "1_000"
  fragment:
    path_postfix_template: '{{.Spool.FirstAppendTime.Format "2006-01"}}'
  revision: 12
- name: ccc/b
  labels:
  - name: zz
    value: "null"
  fragment:
    path_postfix_template: 'a={{.Spool.FirstAppendTime.Format "2006"}}{{/* x: y #
      ''z'' */}}'
  suspend:
    level: FULL
  revision: 12
"""
    (tree,) = read_trees(text, "text")
    assert tree_text(tree) == text


def test_a_tree_of_nothing() -> None:
    assert tree_text(tree_of([])) == "{}\n"


def test_a_deleted_journal_in_a_tree() -> None:
    assert "delete: true\n" in tree_text(tree_of([Entry(spec=SUSPENDED, delete=True)]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("Null", True),
        ("nULL", False),
        ("y", True),
        ("yEs", False),
        ("0o17", True),
        ("0b2", False),
        ("-0b11", True),
        ("+12", True),
        ("0xffffffffffffffff", True),  # As many bits as Go's integers have.
        ("0xfffffffffffffffff", False),
        ("+0xffffffffffffffff", False),
        ("1e400", False),  # Beyond what floats can be.
        ("1.", True),
        (".", False),
        ("._5", False),
        ("2006-02-30", False),
        ("2006-1-2T15:4:5Z", True),
        ("12:30:45", True),
        ("12:60", False),
        ("-", False),
        ("1.2.3", False),
        ("08", True),
        ("0_8", True),
        ("+.nan", False),
        ("infinity", False),
        ("2006-1-2t15:4:5+01:00", True),
    ],
)
def test_which_texts_are_quoted(text: str, expected: bool) -> None:
    assert is_ambiguous(text) is expected


@pytest.mark.parametrize(
    ("age_s", "text"),
    [
        (0.5, "now"),
        (1, "1 second ago"),
        (59, "59 seconds ago"),
        (90, "1 minute ago"),
        (3599, "59 minutes ago"),
        (3600, "1 hour ago"),
        (86400 * 1.5, "1 day ago"),
        (86400 * 10, "1 week ago"),
        (86400 * 29, "4 weeks ago"),
        (86400 * 100, "3 months ago"),
        (86400 * 400, "1 year ago"),
        (86400 * 700, "2 years ago"),
        (86400 * 360 * 5, "5 years ago"),
        (86400 * 360 * 50, "a long while ago"),
        (-120, "2 minutes from now"),
    ],
)
def test_ages(age_s: float, text: str) -> None:
    assert relative_time(1_000_000_000 - age_s, 1_000_000_000) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (9, "9 B"),
        (10, "10 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (10188, "9.9 KiB"),
        (135091, "132 KiB"),
        (10239, "10 KiB"),
        (1 << 20, "1.0 MiB"),
        ((1 << 30) - 1, "1024 MiB"),
        (1 << 40, "1.0 TiB"),
        ((1 << 50) - 1, "1.0 PiB"),
    ],
)
def test_sizes(size: int, text: str) -> None:
    assert binary_size(size) == text


def test_log_lines(capsys: pytest.CaptureFixture[str]) -> None:
    log = Log("info", "text")
    log.debug("not asked for")
    log.info("reset write head", journal="acme/logs", note="a b")
    Log("info", "json").info("done", revision=5)
    Log("error", "text").warning("not asked for, either")

    text, document = capsys.readouterr().err.splitlines()
    stamp, _, rest = text.partition(" ")
    assert stamp.startswith('time="20')
    assert stamp.endswith('Z"')
    assert rest == 'level=info msg="reset write head" journal=acme/logs note="a b"'
    assert {**json.loads(document), "time": ""} == {
        "level": "info",
        "msg": "done",
        "revision": 5,
        "time": "",
    }
