"""`journalctl tree` and `create`: places of names with counts and sizes, and new journals."""

from collections.abc import Iterator

import pytest
from journalctl_in_process import call, items

from gazette_py.cli.errors import ExitCode
from gazette_py.cli.hierarchy import hierarchy, lines
from gazette_py.client.sync import connect
from gazette_py.protocol.enums import CompressionCodec, JournalFlag
from gazette_py.protocol.journal import JournalSpec
from gazette_py.protocol.labels import LabelSet
from gazette_py.testing import InProcessCluster

SIZES = {"acme/orders": 10, "acme/tmp/one": 1, "acme/tmp/two": 2, "acme/tmp": 4, "top-level": 8}


def rows(
    sizes: dict[str, int | None], prefix: str = "", depth: int = 9
) -> list[tuple[object, ...]]:
    root = hierarchy(sizes, prefix)
    return [(place.name, place.depth, place.journals, place.size) for place in lines(root, depth)]


def test_each_place_has_all_below_it() -> None:
    assert rows(SIZES) == [
        ("", 0, 5, 25),
        ("acme/", 1, 4, 17),
        ("acme/orders", 2, 1, 10),
        ("acme/tmp", 2, 1, 4),
        ("acme/tmp/", 2, 2, 3),
        ("acme/tmp/one", 3, 1, 1),
        ("acme/tmp/two", 3, 1, 2),
        ("top-level", 1, 1, 8),
    ]


def test_levels_can_be_left_out_and_count_all_the_same() -> None:
    assert rows(SIZES, depth=1) == [
        ("", 0, 5, 25),
        ("acme/", 1, 4, 17),
        ("top-level", 1, 1, 8),
    ]


def test_a_directory_may_be_the_root() -> None:
    below = {name: size for name, size in SIZES.items() if name.startswith("acme/tmp/")}
    assert rows(below, "acme/tmp/") == [
        ("acme/tmp/", 0, 2, 3),
        ("acme/tmp/one", 1, 1, 1),
        ("acme/tmp/two", 1, 1, 2),
    ]


def test_a_size_which_is_not_known_makes_none_above_it_known() -> None:
    assert rows({"a/b": 1, "a/c": None, "d/e": 2}, depth=1) == [
        ("", 0, 3, None),
        ("a/", 1, 2, None),
        ("d/", 1, 1, 2),
    ]


@pytest.fixture
def cluster() -> Iterator[InProcessCluster]:
    with InProcessCluster() as cluster:
        yield cluster


def test_the_tree_of_a_cluster(cluster: InProcessCluster) -> None:
    cluster.create("acme/orders", "acme/tmp/one", "other/one")
    with connect(cluster.address) as client:
        client.append("acme/orders", b"x" * 3000)
        client.append("acme/tmp/one", b"y" * 100)

    table = call(cluster, "tree", "-o", "table").stdout
    lines = [line for line in table.splitlines() if not line.startswith("20")]  # Of the log.
    assert lines == [
        "NAME      JOURNALS  SIZE",
        "acme/     2         3.0 KiB",
        "  orders  1         2.9 KiB",
        "  tmp/    1         100 B",
        "    one   1         100 B",
        "other/    1         0 B",
        "  one     1         0 B",
    ]
    told = items(call(cluster, "tree", "acme/", "--depth", "1", "-o", "jsonl"))
    assert [(item["name"], item["journals"], item["size"]) for item in told] == [
        ("acme/", 2, 3100),
        ("acme/orders", 1, 3000),
        ("acme/tmp/", 1, 100),
    ]
    bare = call(cluster, "tree", "--no-sizes", "-o", "csv").stdout
    assert "name,journals\nacme/,2\n" in bare
    assert "no journal is below" in call(cluster, "tree", "zzz/", code=ExitCode.NO_MATCH).stderr
    assert "ends in '/'" in call(cluster, "tree", "acme", code=ExitCode.USAGE).stderr


def test_a_listing_tells_heads_and_whether_brokers_agree_if_asked(
    cluster: InProcessCluster,
) -> None:
    cluster.create("acme/one")
    with connect(cluster.address) as client:
        client.append("acme/one", b"hello\n")

    (told,) = items(call(cluster, "list", "--heads", "--consistent", "-o", "jsonl"))
    assert (told["head"], told["consistent"]) == (6, True)
    shown = call(cluster, "list", "--consistent", "-o", "csv").stdout
    assert "name,rf,primary,consistent,codec,status\nacme/one,1/1,a/broker-0,yes," in shown
    (bare,) = items(call(cluster, "list", "-o", "jsonl"))
    assert "consistent" not in bare


def spec_of(cluster: InProcessCluster, name: str) -> JournalSpec:
    with connect(cluster.address) as client:
        (found,) = [j.spec for j in client.list().journals if j.spec.name == name]
        return found


def test_a_journal_is_created_by_flags_and_takes_appends(cluster: InProcessCluster) -> None:
    args = [
        *("--store", "file:///", "--replication", "1", "--label", "env=prod", "--codec", "SNAPPY"),
        *("--length", "1MiB", "--flush-interval", "10m", "--retention", "24h", "--wait"),
        *("--max-append-rate", "1MB", "--flags", "O_RDWR", "--refresh-interval", "1m"),
        *("--path-postfix-template", 'a={{ .Spool.FirstAppendTime.Format "2006" }}'),
    ]
    (told,) = items(call(cluster, "create", "acme/new", *args, "-o", "jsonl"))

    assert (told["action"], told["name"]) == ("created", "acme/new")
    spec = spec_of(cluster, "acme/new")
    assert (spec.replication, spec.max_append_rate, spec.flags) == (1, 10**6, JournalFlag.O_RDWR)
    assert spec.labels == LabelSet.of(("env", "prod"))
    fragment = spec.fragment
    assert fragment.compression_codec is CompressionCodec.SNAPPY
    assert (fragment.length, fragment.stores) == (1 << 20, ("file:///",))
    minute = 60 * 10**9
    assert fragment.refresh_interval_ns == minute
    assert fragment.flush_interval_ns == 10 * minute
    assert fragment.retention_ns == 24 * 60 * minute
    assert fragment.path_postfix_template.startswith("a={{")
    call(cluster, "append", "acme/new", stdin="hello")


def test_a_journal_may_be_like_another_but_for_what_is_said(cluster: InProcessCluster) -> None:
    cluster.create("acme/one", labels=LabelSet.of(("env", "prod"), ("topic", "orders")))
    before = spec_of(cluster, "acme/one")

    args = ("--like", "acme/one", "--label", "topic-", "--label", "env+=test")
    call(cluster, "create", "acme/two", *args)

    made = spec_of(cluster, "acme/two")
    assert made.fragment == before.fragment
    assert made.replication == before.replication
    assert made.labels == LabelSet.of(("env", "prod"), ("env", "test"))


def test_a_dry_run_prints_what_apply_would_take(cluster: InProcessCluster) -> None:
    args = ("--store", "file:///", "--dry-run")
    text = call(cluster, "create", "acme/new", *args).stdout

    assert "name: acme/new\nreplication: 3\n" in text
    assert "  compression_codec: GZIP\n" in text
    with connect(cluster.address) as client:
        assert client.list().journals == ()


@pytest.mark.parametrize(
    ("args", "code", "told"),
    [
        (("acme/one", "--store", "file:///"), ExitCode.CONFLICT, "it exists already"),
        (("acme/new", "--like", "acme/none"), ExitCode.NO_MATCH, "journal acme/none"),
        (("acme/new", "--replication", "9"), ExitCode.USAGE, "Replication"),
        (("acme/new", "--label", "x"), ExitCode.USAGE, "a change is NAME=VALUE"),
        (("acme/new", "--codec", "LZ4"), ExitCode.USAGE, "--codec"),
        (("/bad", "--store", "file:///"), ExitCode.USAGE, "Name"),
        (("acme/new", "--store", "s4://x/"), ExitCode.USAGE, "s4"),
    ],
)
def test_what_cannot_be_created_is_told(
    cluster: InProcessCluster, args: tuple[str, ...], code: ExitCode, told: str
) -> None:
    cluster.create("acme/one")

    assert told in call(cluster, "create", *args, code=code).stderr
