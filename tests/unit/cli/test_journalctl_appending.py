"""Batches of records from an input, and their appends."""

import json
import os
from collections.abc import Iterable
from contextlib import aclosing
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from manual_clock import ManualClock

from gazette_py.cli.appending import Appending, Batching
from gazette_py.cli.byte_input import ByteInput, open_input
from gazette_py.cli.errors import CommandError, ExitCode
from gazette_py.cli.pace import Pace
from gazette_py.cli.routing import Router
from gazette_py.cli.stamping import Stamper, Stamps
from gazette_py.client.append import AppendResult
from gazette_py.clock import SYSTEM
from gazette_py.errors import JournalNotFoundError
from gazette_py.message.framing import LineSplitter
from gazette_py.message.framings import splitter_of
from gazette_py.message.serdes import serde_of
from gazette_py.message.uuids import clock_of, producer_of, time_ns_at
from gazette_py.protocol.fragment import Fragment
from gazette_py.protocol.labels import LabelSet
from gazette_py.protocol.route import EtcdHeader, Header, ProcessID, Route

HEADER = Header(
    process_id=ProcessID("z", "broker"),
    route=Route(),
    etcd=EtcdHeader(cluster_id=1, member_id=1, revision=1, raft_term=1),
)
EAGER = Batching(bytes_max=1 << 20, linger_s=0.0)


class RecordingClient:
    """Appends to lists of what was appended; journals named bad/... do not exist."""

    def __init__(self) -> None:
        self.journals: dict[str, list[bytes]] = {}
        self.options: dict[str, Any] = {}

    async def append(
        self, journal: str, content: Iterable[bytes] | bytes, *, timeout_s: float, **options: Any
    ) -> AppendResult:
        if journal.startswith("bad/"):
            raise JournalNotFoundError(journal, "JOURNAL_NOT_FOUND")
        self.options = options | {"timeout_s": timeout_s}
        data = content if isinstance(content, bytes) else b"".join(content)
        appends = self.journals.setdefault(journal, [])
        begin = sum(map(len, appends))
        appends.append(data)
        commit = Fragment(journal=journal, begin=begin, end=begin + len(data))
        return AppendResult(
            commit=commit, registers=LabelSet(), header=HEADER, total_chunks=1, delayed_chunks=0
        )


def _appending(client: RecordingClient, told: list[dict[str, Any]]) -> Appending:
    return Appending(client=client, timeout_s=30.0, tell=told.append)  # type: ignore[arg-type]  # It records.


def _router(*journals: str, mapping: str = "direct") -> Router:
    return Router(
        journals,
        mapping,
        splitter=LineSplitter(),
        serde=serde_of("lines"),
        pick=lambda _count: 0,
    )


async def _append(
    client: RecordingClient, data: bytes, router: Router, stamper: Stamper | None = None
) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = []
    work = _appending(client, told)
    work.stamper = stamper
    await work.records(ByteInput(BytesIO(data)), LineSplitter(), router, EAGER)
    return told


async def test_records_of_a_batch_share_an_append_of_each_journal() -> None:
    client = RecordingClient()

    told = await _append(client, b"a/b\n1\na/c\n2\na/b\n3\n", _router("a/b", "a/c"))

    assert client.journals == {"a/b": [b"1\n3\n"], "a/c": [b"2\n"]}
    assert [(item["journal"], item["begin"], item["end"], item["records"]) for item in told] == [
        ("a/b", 0, 4, 2),
        ("a/c", 0, 2, 1),
    ]


async def test_a_key_without_its_record_is_refused_after_the_others() -> None:
    client = RecordingClient()

    with pytest.raises(CommandError, match="a key without its record"):
        await _append(client, b"a/b\n1\na/b\n", _router("a/b"))

    assert client.journals == {"a/b": [b"1\n"]}


async def test_a_failure_beside_successes_is_a_partial_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(CommandError) as caught:
        await _append(RecordingClient(), b"a/b\n1\nbad/c\n2\n", _router("a/b", "bad/c"))

    assert caught.value.failure.code is ExitCode.PARTIAL
    error = capsys.readouterr().err
    assert "1 records were appended before or beside:" in error
    assert "error: journal bad/c (JOURNAL_NOT_FOUND)" in error


async def test_a_failure_alone_keeps_its_code() -> None:
    with pytest.raises(CommandError) as caught:
        await _append(RecordingClient(), b"1\n", _router("bad/c", mapping="random"))

    assert caught.value.failure.code is ExitCode.NO_MATCH


def _stamper() -> Stamper:
    serdes = {"a/b": serde_of("lines"), "a/c": serde_of("lines", "/m/id")}
    return Stamper(Stamps(SYSTEM), LineSplitter(), serdes)


async def test_records_are_given_uuids_in_the_order_of_their_journals() -> None:
    client = RecordingClient()
    data = b"".join(b'a/%s\n{"n": %d}\n' % (b"bc"[n % 2 :][:1], n) for n in range(6))

    await _append(client, data, _router("a/b", "a/c"), _stamper())

    found = {
        name: [json.loads(line) for line in b"".join(appends).splitlines()]
        for name, appends in client.journals.items()
    }
    assert [line["n"] for line in found["a/b"]] == [0, 2, 4]
    uuids = [UUID(line["UUID"]) for line in found["a/b"]]
    uuids += [UUID(line["m"]["id"]) for line in found["a/c"]]
    assert len({producer_of(uuid) for uuid in uuids}) == 1
    clocks = [clock_of(uuid) for uuid in uuids]
    assert clocks[:3] == sorted(set(clocks[:3]))
    assert clocks[3:] == sorted(set(clocks[3:]))
    assert abs(time_ns_at(clocks[0]) / 1e9 - SYSTEM.now()) < 60


async def test_a_record_which_cannot_bear_a_uuid_is_named() -> None:
    client = RecordingClient()
    with pytest.raises(CommandError) as caught:
        await _append(client, b"a/b\n{}\na/b\n[]\n", _router("a/b"), _stamper())
    assert caught.value.failure.what == "record 2"
    assert client.journals == {}


async def test_the_whole_input_is_one_append_with_time_for_its_length() -> None:
    client, told = RecordingClient(), []
    data = bytes(3 << 20)

    await _appending(client, told).whole("a/b", ByteInput(BytesIO(data)))

    assert client.journals == {"a/b": [data]}
    assert client.options["timeout_s"] == 30.0 + 48.0  # At the least rate, 64 KiB/s.
    assert told[0]["end"] == 3 << 20


async def test_appends_are_paced() -> None:
    """Each batch waits for the one before it to have had its time, whatever came of it."""
    clock, client = ManualClock(), RecordingClient()
    times: list[float] = []
    work = Appending(
        client=client,  # type: ignore[arg-type]  # It records.
        timeout_s=1.0,
        tell=lambda _item: times.append(clock.time),
        pace=Pace(clock, 1 << 16),
    )
    line = b"x" * 1023 + b"\n"

    await work.records(
        ByteInput(BytesIO(line * 192)),
        LineSplitter(),
        _router("a/b", mapping="random"),
        Batching(bytes_max=1, linger_s=0.0),
    )

    assert times == [100.0, 101.0, 102.0]
    assert b"".join(client.journals["a/b"]) == line * 192


async def _batches(batching: Batching, source: ByteInput, framing: str) -> list[list[bytes]]:
    async with aclosing(batching.batches(source, splitter_of(framing))) as batches:
        return [batch async for batch in batches]


@pytest.mark.parametrize(
    ("partial", "expected"), [("drop", [[b"1\n"]]), ("append", [[b"1\n"], [b"2\n"]])]
)
@pytest.mark.parametrize("framing", ["lines", "csv"])
async def test_a_line_without_its_end(
    framing: str, partial: str, expected: list[list[bytes]]
) -> None:
    batching = Batching(bytes_max=100, linger_s=0.0, partial=partial)

    assert await _batches(batching, ByteInput(BytesIO(b"1\n2")), framing) == expected


@pytest.mark.parametrize(
    ("framing", "data", "partial"),
    [
        ("lines", b"1\n2", "reject"),
        ("fixed", bytes.fromhex("663393360300"), "reject"),
        ("fixed", bytes.fromhex("663393360300"), "append"),
        ("csv", b'1\n"2', "append"),
    ],
)
async def test_a_record_without_its_end_is_refused(framing: str, data: bytes, partial: str) -> None:
    batching = Batching(bytes_max=100, linger_s=0.0, partial=partial)

    with pytest.raises(CommandError, match="its end is missing"):
        await _batches(batching, ByteInput(BytesIO(data)), framing)


async def test_input_of_another_framing_is_refused() -> None:
    with pytest.raises(CommandError, match="expected the header of a frame"):
        await _batches(EAGER, ByteInput(BytesIO(b"lines\n")), "fixed")


async def test_a_batch_does_not_wait_for_a_slow_writer() -> None:
    read_fd, write_fd = os.pipe()
    with open(read_fd, "rb") as reading, open(write_fd, "wb", buffering=0) as writing:
        batching = Batching(bytes_max=1 << 20, linger_s=0.01)
        async with aclosing(batching.batches(ByteInput(reading), LineSplitter())) as batches:
            writing.write(b"1\n2\nto")
            first = await anext(batches)
            writing.write(b"rn\n")
            writing.close()
            rest = [batch async for batch in batches]

    assert first == [b"1\n", b"2\n"]
    assert rest == [[b"torn\n"]]


async def test_a_batch_is_cut_at_its_size(tmp_path: Path) -> None:
    path = tmp_path / "in"
    path.write_bytes(b"x" * 9 + b"\n" + (b"x" * 99 + b"\n") * 2000)
    batching = Batching(bytes_max=1000, linger_s=60.0)

    with open_input(str(path)) as source:
        batches = await _batches(batching, source, "lines")

    assert sum(map(len, batches)) == 2001
    # A file is read in pieces of 64 KiB, each more than a batch.
    assert len(batches) == 4


async def test_input_may_be_the_null_device() -> None:
    with open_input(os.devnull) as source:
        assert await source.read() == b""
