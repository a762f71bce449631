"""Messages with UUIDs, appended and read by `journalctl` at real brokers in this process."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from journalctl_in_process import call, items

from gazette_py.cli.errors import ExitCode
from gazette_py.protocol.labels import LabelSet
from gazette_py.testing import InProcessCluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[InProcessCluster]:
    with InProcessCluster() as cluster:
        yield cluster


def create(cluster: InProcessCluster, name: str, **labels: str) -> None:
    pairs = ((key.replace("_", "-"), value) for key, value in labels.items())
    cluster.create(name, labels=LabelSet.of(*pairs))


def envelopes(cluster: InProcessCluster, name: str) -> list[dict[str, Any]]:
    return items(call(cluster, "read", name, "-o", "json-envelope"))


def test_lines_are_appended_and_read_with_uuids(cluster: InProcessCluster) -> None:
    create(cluster, "m/lines", content_type="application/x-ndjson")
    args = ("--framing", "lines", "--attach-uuid", "-q")

    call(cluster, "append", "m/lines", *args, stdin='{"n":1}\n{"n":2}\n')

    one, two = envelopes(cluster, "m/lines")
    assert one["value"] == {"UUID": one["uuid"], "n": 1}
    assert one["producer"] == two["producer"]
    assert int(one["clock"]) < int(two["clock"])
    assert (one["flags"], one["end"]) == ("OUTSIDE_TXN", two["offset"])


def test_rows_are_appended_and_read_with_uuids(cluster: InProcessCluster) -> None:
    create(cluster, "m/rows", content_type="text/csv")

    for quantity in (7, 8):
        row = f'"two\nlines",{quantity}\n'
        call(cluster, "append", "m/rows", "--framing", "csv", "--attach-uuid", "-q", stdin=row)

    found = envelopes(cluster, "m/rows")
    assert [row["value"][1:] for row in found] == [["two\nlines", "7"], ["two\nlines", "8"]]
    assert [row["uuid"] for row in found] == [row["value"][0] for row in found]
    assert found[0]["producer"] != found[1]["producer"]  # Of another run.


def test_the_label_says_where_the_uuid_of_a_line_is(cluster: InProcessCluster) -> None:
    cluster.create("m/labelled", labels=LabelSet.of(("gazette-py.dev/uuid-ptr", "/m/id")))
    args = ("append", "m/labelled", "--framing", "lines")

    call(cluster, *args, "--attach-uuid", stdin='{"n":1}\n')
    call(cluster, *args, "--attach-uuid=/uuid", stdin='{"n":2}\n')

    one, two = envelopes(cluster, "m/labelled")
    assert one["value"]["m"]["id"] == one["uuid"]
    assert two["value"]["uuid"]  # Put where nobody looks, in this journal.
    assert two["uuid"] is None


def test_rows_are_spread_by_a_field(cluster: InProcessCluster) -> None:
    cluster.create("spread/0", "spread/1", labels=LabelSet.of(("topic", "spread")))
    args = ("--framing", "csv", "--mapping", "modulo", "--key-jsonpointer", "/0", "-q")

    call(
        cluster,
        "append",
        "-l",
        "topic=spread",
        *args,
        stdin="".join(f"{n % 7},{n}\n" for n in range(70)),
    )

    parts = [
        {
            json.loads(line)[0]
            for line in call(
                cluster, "read", name, "--framing", "csv", "-o", "jsonl"
            ).stdout.splitlines()
        }
        for name in ("spread/0", "spread/1")
    ]
    assert parts[0] | parts[1] == {str(n) for n in range(7)}
    assert not parts[0] & parts[1]


def test_a_bad_row_ends_the_append_where_it_is(cluster: InProcessCluster) -> None:
    cluster.create("m/bad")

    result = call(
        cluster,
        *("append", "m/bad", "--framing", "csv"),
        stdin="a,b\nc\n",
        code=ExitCode.USAGE,
    )

    assert "a row has 1 fields, and not 2" in result.stderr
    assert call(cluster, "read", "m/bad").stdout == ""


def test_a_label_which_is_no_pointer_is_refused(cluster: InProcessCluster) -> None:
    cluster.create("m/no-pointer", labels=LabelSet.of(("gazette-py.dev/uuid-ptr", "id")))

    result = call(
        cluster,
        *("append", "m/no-pointer", "--framing", "lines", "--attach-uuid"),
        stdin="{}\n",
        code=ExitCode.USAGE,
    )

    assert "its label gazette-py.dev/uuid-ptr: a JSON pointer begins with" in result.stderr


def test_a_window_is_of_the_clocks_of_messages(cluster: InProcessCluster) -> None:
    create(cluster, "m/window", content_type="application/x-ndjson")
    old = "c56a4180-65aa-11ec-8000-0d04970419de"  # Of 2021-12-25.
    call(cluster, "append", "m/window", stdin=f'{{"UUID":"{old}"}}\n')
    args = ("append", "m/window", "--framing", "lines", "--attach-uuid", "-q")
    call(cluster, *args, stdin='{"n":1}\n')

    def read(*window: str) -> list[Any]:
        result = call(cluster, "read", "m/window", "-o", "jsonl", *window)
        return [item.get("n", item["UUID"]) for item in items(result)]

    assert read() == [old, 1]
    assert read("--since", "-1h") == [1]
    assert read("--until", "-1h") == [old]
    assert read("--since", "2021-12-25", "--until", "2021-12-26") == [old]
    # Raw content is in fragments, none of which is stored.
    assert call(cluster, "read", "m/window", "--until", "-1h").stdout == ""
    assert old in call(cluster, "read", "m/window", "--until", "-1h", "--framing", "lines").stdout
