"""`journalctl journals read`, `append`, `reset-head`, `suspend` and `store-health`."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from journals_verbs import journals
from terminals import MAIN

from gazette_py.client.sync import connect
from gazette_py.protocol.labels import LabelSet
from gazette_py.testing import InProcessCluster

ALL = ("-l", "name:prefix=acme/")


@pytest.fixture
def cluster() -> Iterator[InProcessCluster]:
    with InProcessCluster() as cluster:
        cluster.create("acme/a", "acme/b", labels=LabelSet.of(("topic", "t")))
        yield cluster


def heads(cluster: InProcessCluster) -> dict[str, int]:
    with connect(cluster.address) as client:
        return {name: client.write_head(name) for name in ("acme/a", "acme/b")}


def test_what_is_appended_is_read(cluster: InProcessCluster, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.write_bytes(b"\x00no lines\xff")
    one = ("-l", "name=acme/a")
    assert journals(cluster, "append", *one, "-i", str(source)) == ""
    assert journals(cluster, "append", *one, stdin=b"more") == ""

    out = tmp_path / "out"
    assert journals(cluster, "read", *one, "-o", str(out)) == ""
    assert out.read_bytes() == b"\x00no lines\xffmore"


def test_offsets_go_on(cluster: InProcessCluster, tmp_path: Path) -> None:
    at = tmp_path / "at.json"
    at.write_text('{"other/journal": 5}')
    both = ("--offsets", str(at), "--offsets-out", str(at))
    journals(cluster, "append", "-l", "name=acme/a", stdin=b"one\n")

    assert journals(cluster, "read", *ALL, *both) == "one\n"
    assert json.loads(at.read_text()) == {"acme/a": 4, "acme/b": 0, "other/journal": 5}
    journals(cluster, "append", "-l", "name=acme/a", stdin=b"two\n")
    assert journals(cluster, "read", *ALL, *both) == "two\n"
    assert (tmp_path / "at.json.previous").exists()
    # Without stored offsets, from the heads.
    out = tmp_path / "tail.json"
    assert journals(cluster, "read", *ALL, "--tail", "--offsets-out", str(out)) == ""
    assert json.loads(out.read_text()) == {"acme/a": 8, "acme/b": 0}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_read_which_blocks(
    cluster: InProcessCluster, tmp_path: Path, number: int
) -> None:
    """It waits for a journal to match, which gazctl does not; it ends as gazctl does."""
    at = tmp_path / "at.json"
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", MAIN, "journals", "read", "--block"),
            *("-l", "name=late/one", "--offsets-out", str(at)),
        ],
        env={**os.environ, "BROKER_ADDRESS": cluster.addresses[0]},
        stdout=subprocess.PIPE,
    )
    try:
        cluster.create("late/one")
        with connect(cluster.address) as client:
            client.append("late/one", b"hello\n")
        assert process.stdout is not None
        assert process.stdout.readline() == b"hello\n"
        process.send_signal(number)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate()
    assert json.loads(at.read_text()) == {"late/one": 6}


def test_reading_nothing_is_no_error(cluster: InProcessCluster, tmp_path: Path) -> None:
    out = tmp_path / "at.json"
    assert journals(cluster, "read", "-l", "name=acme/none", "--offsets-out", str(out)) == ""
    assert out.read_text() == "{}\n"


def test_records_go_where_gazctl_sends_them(cluster: InProcessCluster) -> None:
    """Keys and journals as gazctl was seen to map them."""
    keyed = b"k\none\nkey\ntwo\nother\nthree\n"
    for mapping in ("modulo", "rendezvous"):
        journals(cluster, "append", *ALL, "-f", "lines", "-m", mapping, stdin=keyed)
    direct = b"acme/b\nfour\nacme/a\nfive\n"
    journals(cluster, "append", *ALL, "--framing", "lines", "--mapping", "direct", stdin=direct)

    texts = [journals(cluster, "read", "-l", f"name=acme/{name}") for name in "ab"]
    assert texts == ["one\ntwo\none\nfive\n", "three\ntwo\nthree\nfour\n"]


def test_keys_in_base64_and_frames(cluster: InProcessCluster, tmp_path: Path) -> None:
    keyed = (*ALL, "--mapping", "direct")
    journals(cluster, "append", *keyed, "-f", "lines", "--base64", stdin=b"YWNtZS9i\nfive\n")
    assert journals(cluster, "read", "-l", "name=acme/b") == "five\n"

    def frame(data: bytes) -> bytes:
        return b"\x66\x33\x93\x36" + len(data).to_bytes(4, "little") + data

    journals(cluster, "append", *keyed, "-f", "fixed", stdin=frame(b"acme/a") + frame(b"six"))
    out = tmp_path / "out"
    journals(cluster, "read", "-l", "name=acme/a", "--output", str(out))
    assert out.read_bytes() == frame(b"six")


@pytest.mark.parametrize(
    ("args", "stdin", "code", "told"),
    [
        (["-m", "modulo"], b"", 2, "is for records"),
        (["-f", "lines", "--base64"], b"", 2, "--base64"),
        (["-f", "lines"], b"no end", 2, "its end is missing"),
        (["-l", "name=acme/none"], b"x", 3, "no journal matches"),
    ],
)
def test_appends_which_cannot_be(
    cluster: InProcessCluster, args: list[str], stdin: bytes, code: int, told: str
) -> None:
    assert told in journals(cluster, "append", *ALL, *args, stdin=stdin, code=code)
    assert heads(cluster) == {"acme/a": 0, "acme/b": 0}


def test_suspend(cluster: InProcessCluster) -> None:
    with connect(cluster.address) as client:
        client.append("acme/a", b"one\n")

    assert journals(cluster, "suspend", *ALL) == ""
    text = journals(cluster, "list", "-p")
    assert "│ acme/a │ broker-0   │" in text  # It was written to lately.
    assert "│ acme/b │ <none> <S> │" in text
    assert journals(cluster, "suspend", *ALL, "--force", "--log.level=info") == ""
    assert "│ acme/a │ broker-0 <S> │" in journals(cluster, "list", "-p", "-l", "name=acme/a")
    assert journals(cluster, "suspend", "-l", "name=acme/none") == ""


def test_reset_head_leaves_what_is_well(cluster: InProcessCluster) -> None:
    with connect(cluster.address) as client:
        client.append("acme/a", b"one\n")
    assert journals(cluster, "reset-head", *ALL) == ""
    assert heads(cluster) == {"acme/a": 4, "acme/b": 0}


def test_a_failed_reset_is_told(cluster: InProcessCluster) -> None:
    """gazctl ends with 0."""
    cluster.faults.refuse("Append", code="PERMISSION_DENIED", detail="not today", times=None)
    assert "not today" in journals(cluster, "reset-head", "-l", "name=acme/a", code=5)


def test_store_health(cluster: InProcessCluster) -> None:
    healthy = "Fragment store file:/// is healthy\n"
    assert journals(cluster, "store-health", "file:///") == healthy
    assert journals(cluster, "store-health", "--check-delete-prefix=", "file:///") == healthy
    cluster.faults.fail_store("put", detail="read-only today", times=None)
    told = journals(cluster, "store-health", "file:///sick/", code=8)
    assert "fragment store file:///sick/ is unhealthy" in told
    assert "read-only today" in told
    assert "STORE_URL" in journals(cluster, "store-health", code=2)
