"""Reading several journals into one stream. The brokers are scripts of chunks."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest
from manual_clock import ManualClock

from gazette_py.cli.errors import CommandError
from gazette_py.cli.printing import Window
from gazette_py.cli.reading import Reading, Start
from gazette_py.cli.record_formats import RecordFormat, envelope, hex_dump, raw
from gazette_py.cli.sinks import FileSink, RotatingSink, Rotation
from gazette_py.client.batches import Batch, Batches
from gazette_py.client.listing import ListedJournal
from gazette_py.errors import JournalNotFoundError, OffsetJumpError
from gazette_py.message.uuids import clock_at, make_uuid
from gazette_py.protocol.enums import SuspendLevel
from gazette_py.protocol.fragment import Fragment
from gazette_py.protocol.journal import JournalSpec, Suspend
from gazette_py.protocol.labels import LabelSelector, LabelSet
from gazette_py.protocol.route import Route

FRAME = bytes.fromhex("6633933603000000") + b"foo"


@dataclass(frozen=True)
class Chunk:
    """Content, and the end of the fragment it is of; a jump before it if it begins later."""

    data: bytes
    fragment_end: int
    begin: int | None = None
    stored_at: int = 0


class ScriptedReader:
    """Gives the chunks of a script, letting other tasks run between them."""

    def __init__(self, journal: str, offset: int, script: Sequence[Chunk | Exception]) -> None:
        self.journal = journal
        self.offset = offset
        self.lag_bytes = None
        self.write_head = -1
        self._script = list(script)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        pass

    def batches(self) -> Batches:
        return Batches(self._next_batch)

    async def _next_batch(self) -> Batch | None:
        await asyncio.sleep(0)
        if not self._script:
            return None
        step = self._script[0]
        if isinstance(step, Exception):
            raise step
        if step.begin is not None and step.begin > self.offset:
            jump = OffsetJumpError(self.journal, self.offset, step.begin)
            self.offset = step.begin
            raise jump
        self._script.pop(0)
        begin = self.offset
        self.offset += len(step.data)
        fragment = Fragment(
            journal=self.journal, begin=0, end=step.fragment_end, mod_time=step.stored_at
        )
        return Batch(begin=begin, pieces=(memoryview(step.data),), fragment=fragment)


class ScriptedClient:
    """Knows the content of journals, and what a watch will tell."""

    def __init__(
        self,
        scripts: dict[str, Sequence[Chunk | Exception]],
        snapshots: Sequence[Sequence[ListedJournal]] = (),
    ) -> None:
        self._scripts = scripts
        self._snapshots = snapshots
        self.reads: list[tuple[str, int]] = []

    def reader(
        self, journal: str, *, offset: int, block: bool, begin_mod_time: int
    ) -> ScriptedReader:
        self.reads.append((journal, offset))
        return ScriptedReader(journal, offset, self._scripts[journal])

    async def write_head(self, _journal: str) -> int:
        return 100

    async def watch(self, _selector: LabelSelector) -> AsyncGenerator[Any, None]:
        for journals in self._snapshots:
            yield _Snapshot(journals)
            for _ in range(20):  # Let reads run to their ends.
                await asyncio.sleep(0)


@dataclass
class _Snapshot:
    journals: Sequence[ListedJournal]


def _listed(
    name: str, level: SuspendLevel = SuspendLevel.NONE, labels: dict[str, str] | None = None
) -> ListedJournal:
    spec = JournalSpec(
        name=name, suspend=Suspend(level), labels=LabelSet.of(*(labels or {}).items())
    )
    return ListedJournal(spec=spec, mod_revision=1, create_revision=1, route=Route())


async def _read(
    client: ScriptedClient, tmp_path: Path, names: Sequence[str] = (), **options: Any
) -> bytes:
    """Run a reading of journals and return its output."""
    sink = FileSink(str(tmp_path / "out"))
    reading = Reading(client=client, sink=sink, **({"start": Start()} | options))  # type: ignore[arg-type]  # It is scripted.
    try:
        await reading.run(LabelSelector(), [_listed(name) for name in names])
    finally:
        sink.close()
    return (tmp_path / "out").read_bytes()


async def test_journals_take_turns_between_fragments_only(tmp_path: Path) -> None:
    client = ScriptedClient(
        {
            "a/a": [Chunk(b"A1", 6), Chunk(b"A2", 6), Chunk(b"A3", 6), Chunk(b"A4", 8)],
            "b/b": [Chunk(b"B1", 4), Chunk(b"B2", 4), Chunk(b"B3", 8), Chunk(b"B4", 8)],
        }
    )

    output = await _read(client, tmp_path, ["a/a", "b/b"])

    for fragment in (b"A1A2A3", b"A4", b"B1B2", b"B3B4"):
        assert fragment in output
    assert len(output) == 16


async def test_records_of_journals_are_written_whole(tmp_path: Path) -> None:
    client = ScriptedClient(
        {
            "a/a": [Chunk(b'{"a"', 9), Chunk(b":1}\n1\n", 9)],
            "b/b": [Chunk(b'{"b"', 9), Chunk(b":1}\n2\n", 9)],
        }
    )

    output = await _read(client, tmp_path, ["a/a", "b/b"], format_record=envelope)

    records = [json.loads(line) for line in output.splitlines()]
    assert sorted((r["journal"], r["offset"], r["end"]) for r in records) == [
        ("a/a", 0, 8),
        ("a/a", 8, 10),
        ("b/b", 0, 8),
        ("b/b", 8, 10),
    ]


async def test_a_jump_drops_the_record_which_it_cut(tmp_path: Path) -> None:
    client = ScriptedClient({"a/a": [Chunk(b"one\ntw", 6), Chunk(b"three\n", 26, begin=20)]})

    output = await _read(client, tmp_path, ["a/a"], format_record=envelope)

    records = [json.loads(line) for line in output.splitlines()]
    assert [(r["offset"], r["end"], r["value"]) for r in records] == [
        (0, 4, "one"),
        (20, 26, "three"),
    ]


async def test_rows_of_csv_are_found_with_their_offsets(tmp_path: Path) -> None:
    """Blank lines are of the row which follows, whichever chunk they came in."""
    client = ScriptedClient(
        {"a/a": [Chunk(b'1,"x\n', 18), Chunk(b'y"\n\n', 18), Chunk(b"2,z\n\n", 18)]}
    )

    output = await _read(client, tmp_path, ["a/a"], format_record=envelope, framing="csv")

    records = [json.loads(line) for line in output.splitlines()]
    assert [(r["offset"], r["end"], r["value"]) for r in records] == [
        (0, 8, ["1", "x\ny"]),
        (8, 13, ["2", "z"]),
    ]


async def test_a_label_tells_where_uuids_are(tmp_path: Path) -> None:
    line = b'{"m":{"id":"83fc2f95-cc5f-11e9-8000-0d04970419de"}}\n'
    client = ScriptedClient({"a/a": [Chunk(line, len(line))] * 2})
    listed = [
        _listed("a/a", labels={"gazette-py.dev/uuid-ptr": pointer}) for pointer in ("/m/id", "m")
    ]
    sink = FileSink(str(tmp_path / "out"))
    reading = Reading(client=client, sink=sink, start=Start(), format_record=envelope)  # type: ignore[arg-type]  # It is scripted.

    await reading.run(LabelSelector(), listed[:1])
    with pytest.raises(CommandError, match="a JSON pointer begins with"):
        await reading.run(LabelSelector(), listed[1:])
    sink.close()

    first = (tmp_path / "out").read_bytes().splitlines()[0]
    assert json.loads(first)["producer"] == "0d04970419de"


async def test_it_ends_after_as_many_records_as_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "at.json"
    client = ScriptedClient({"a/a": [Chunk(b"1\n2\n3\n4\n", 8)]})

    output = await _read(
        client, tmp_path, ["a/a"], format_record=raw, count_max=3, offsets_path=path
    )

    assert output == b"1\n2\n3\n"
    assert json.loads(path.read_text()) == {"a/a": 6}


async def test_the_offset_of_a_torn_record_is_its_begin(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "at.json"
    client = ScriptedClient({"a/a": [Chunk(b"1\ntorn", 6)]})

    await _read(client, tmp_path, ["a/a"], format_record=raw, offsets_path=path)

    assert json.loads(path.read_text()) == {"a/a": 2}
    assert "ends with 4 bytes of an incomplete record, at offset 2" in capsys.readouterr().err


async def test_stored_offsets_win_over_the_start(tmp_path: Path) -> None:
    client = ScriptedClient({"a/a": [], "b/b": []})

    await _read(client, tmp_path, ["a/a", "b/b"], start=Start(offset=-1), offsets={"a/a": 7})

    assert sorted(client.reads) == [("a/a", 7), ("b/b", -1)]


@pytest.mark.parametrize(("back", "expected"), [(30, 70), (500, 0)])
async def test_bytes_back_are_counted_from_the_write_head(
    tmp_path: Path, back: int, expected: int
) -> None:
    client = ScriptedClient({"a/a": []})

    await _read(client, tmp_path, ["a/a"], start=Start(bytes_back=back))

    assert client.reads == [("a/a", expected)]


@pytest.mark.parametrize(
    ("framing", "content", "expected"),
    [
        ("lines", b"rn\none\ntwo\n", [(72, "one"), (76, "two")]),
        ("lines", b"\none\n", [(70, "one")]),  # Just where a line begins.
        ("csv", b'rn"\none\n', [(73, ["one"])]),
        ("fixed", b"\0\0\0foo" + FRAME, [(75, "foo")]),
    ],
)
@pytest.mark.parametrize("size", [1, 100])
async def test_so_many_bytes_back_begin_with_a_whole_record(
    tmp_path: Path, framing: str, content: bytes, expected: list[tuple[int, Any]], size: int
) -> None:
    pieces = [content[at : at + size] for at in range(0, len(content), size)]
    client = ScriptedClient({"a/a": [Chunk(piece, 100) for piece in pieces]})

    output = await _read(
        client,
        tmp_path,
        ["a/a"],
        start=Start(bytes_back=30),
        framing=framing,
        format_record=envelope,
    )

    assert client.reads == [("a/a", 69)]
    records = [json.loads(line) for line in output.splitlines()]
    assert [(record["offset"], record["value"]) for record in records] == expected


def _line(n: int, unix_s: int | None) -> bytes:
    """Return a line, and if it has a time, with the UUID of it: sixty bytes then."""
    if unix_s is None:
        return b"%d\n" % n
    uuid = make_uuid(b"\1\0\0\0\0\0", clock_at(unix_s * 1_000_000_000), 0)
    return b'{"UUID":"%s","n":%12d}\n' % (str(uuid).encode(), n)


async def test_messages_are_in_a_window_by_their_clocks(tmp_path: Path) -> None:
    """Whatever fragments they are in, and whoever else wrote meanwhile."""
    lines = [_line(n, unix_s) for n, unix_s in enumerate((99, 100, 200, 199, 150))]
    length = sum(map(len, lines))
    client = ScriptedClient({"a/a": [Chunk(line, length, stored_at=500) for line in lines]})
    path = tmp_path / "at.json"

    output = await _read(
        client,
        tmp_path,
        ["a/a"],
        window=Window(since=100, until=200),
        format_record=raw,
        offsets_path=path,
    )

    assert output == lines[1] + lines[3] + lines[4]
    assert json.loads(path.read_text()) == {"a/a": length}


@pytest.mark.parametrize(("options", "begin"), [({}, 4), ({"format_record": raw}, 4)])
@pytest.mark.parametrize("stored_at", [200, 0])  # 0: not yet.
async def test_content_without_clocks_is_in_a_window_by_its_fragments(
    tmp_path: Path, options: dict[str, Any], begin: int, stored_at: int
) -> None:
    client = ScriptedClient(
        {
            "a/a": [
                Chunk(_line(1, None) * 2, 4, stored_at=199),
                Chunk(_line(2, None), 6, stored_at=stored_at),
                Chunk(_line(3, None), 8, stored_at=199),  # Not what is asked for any more.
            ],
            "b/b": [Chunk(_line(4, None), 2, stored_at=stored_at)],
        }
    )
    path = tmp_path / "at.json"

    output = await _read(
        client,
        tmp_path,
        ["a/a", "b/b"],
        window=Window(until=200),
        offsets_path=path,
        **options,
    )

    assert output == b"1\n1\n"
    assert json.loads(path.read_text()) == {"a/a": begin, "b/b": 0}


async def test_following_ends_when_its_time_has_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock()
    monkeypatch.setattr("gazette_py.cli.reading.SYSTEM", clock)
    client = ScriptedClient({"a/a": []}, snapshots=[[_listed("a/a")]])

    await _read(client, tmp_path, is_following=True, window=Window(until=1_000))

    assert clock.time == 1_000


async def test_journals_without_a_stored_offset_may_be_refused(tmp_path: Path) -> None:
    client = ScriptedClient({"a/a": []})

    with pytest.raises(CommandError, match="no offset of it is stored"):
        await _read(client, tmp_path, ["a/a"], start=Start(must_be_stored=True))


@pytest.mark.parametrize(
    ("format_record", "expected"),
    [(raw, [b"1\n2\n", b"3\n4\n", b"5\n"]), (None, [b"1\n2\n3\n", b"4\n5\n"])],
)
async def test_files_are_cut_between_records_or_fragments(
    tmp_path: Path, format_record: RecordFormat | None, expected: list[bytes]
) -> None:
    client = ScriptedClient({"a/a": [Chunk(b"1", 6), Chunk(b"\n2\n3\n", 6), Chunk(b"4\n5\n", 10)]})
    sink = RotatingSink(tmp_path / "out.txt", Rotation(bytes_max=4), ManualClock())
    reading = Reading(client=client, sink=sink, start=Start(), format_record=format_record)  # type: ignore[arg-type]  # It is scripted.

    await reading.run(LabelSelector(), [_listed("a/a")])
    sink.close()

    assert [path.read_bytes() for path in sorted(tmp_path.iterdir())] == expected


async def test_a_failure_is_raised_and_offsets_are_saved(tmp_path: Path) -> None:
    path = tmp_path / "at.json"
    failure = JournalNotFoundError("a/a", "JOURNAL_NOT_FOUND")
    client = ScriptedClient({"a/a": [Chunk(b"12", 2), failure]})

    with pytest.raises(JournalNotFoundError):
        await _read(client, tmp_path, ["a/a"], offsets_path=path)

    assert json.loads(path.read_text()) == {"a/a": 2}


async def test_bytes_which_are_no_frames_are_refused_with_their_offset(tmp_path: Path) -> None:
    client = ScriptedClient({"a/a": [Chunk(b"junk, not frames", 16)]})

    with pytest.raises(CommandError) as caught:
        await _read(
            client, tmp_path, ["a/a"], start=Start(offset=5), framing="fixed", format_record=raw
        )

    assert caught.value.failure.what == "journal a/a at offset 5"
    assert caught.value.failure.status == "DESYNC"


async def test_chunks_are_dumped_at_their_offsets(tmp_path: Path) -> None:
    client = ScriptedClient({"a/a": [Chunk(b"ab", 2), Chunk(b"c", 3)]})

    output = await _read(client, tmp_path, ["a/a"], format_chunk=hex_dump)

    offsets = [line.split()[0] for line in output.decode().splitlines()]
    assert offsets == ["0000000000000000", "0000000000000002"]


async def test_suspended_journals_are_left_out(tmp_path: Path) -> None:
    client = ScriptedClient({"a/a": [Chunk(b"x", 1)]})
    sink = FileSink(str(tmp_path / "out"))
    reading = Reading(client=client, sink=sink, start=Start())  # type: ignore[arg-type]  # It is scripted.

    await reading.run(LabelSelector(), [_listed("a/a"), _listed("b/b", SuspendLevel.FULL)])
    sink.close()

    assert client.reads == [("a/a", 0)]


async def test_following_begins_new_journals_and_goes_on_where_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = _listed("a/a"), _listed("b/b")
    deleted = JournalNotFoundError("b/b", "JOURNAL_NOT_FOUND")
    client = ScriptedClient(
        {"a/a": [Chunk(b"A", 1)], "b/b": [Chunk(b"B", 1), deleted]},
        snapshots=[[], [a], [a, b], [b], [a, b]],
    )

    output = await _read(client, tmp_path, is_following=True)

    assert client.reads == [("a/a", 0), ("b/b", 0), ("a/a", 1)]
    assert sorted(output) == sorted(b"ABA")
    assert capsys.readouterr().err == "No journal matches yet; waiting for one.\n"
