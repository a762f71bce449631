"""Scenarios of an append, as transcripts: an outcome goes in, the next effect comes out.

A file of testdata/append holds paragraphs. `append` and `stream` begin a machine, `<` gives it an
outcome, `>` is what it answered. `pytest tests/scenario --rewrite` writes the answers anew; review
the difference.
"""

import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest

from gazette_py.core import append as fsm
from gazette_py.core.append_stream import AppendStream, RegisterChange
from gazette_py.protocol.enums import AppendSuspend, Status, SuspendLevel
from gazette_py.protocol.journal import Suspend
from gazette_py.protocol.labels import LabelSelector, LabelSet
from gazette_py.protocol.route import ProcessID, Route

TRANSCRIPTS = sorted((Path(__file__).parent / "testdata" / "append").glob("*.txt"))


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda p: p.stem)
def test_append_transcript(path: Path, request: pytest.FixtureRequest) -> None:
    played = play(path.read_text())
    if request.config.getoption("--rewrite"):
        path.write_text(played)
    assert path.read_text() == played


def test_there_are_transcripts() -> None:
    assert len(TRANSCRIPTS) >= 8


def play(text: str) -> str:
    machine: fsm.AppendFSM | AppendStream | None = None
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith(">"):
            continue
        lines.append(line)
        if line.startswith("append"):
            machine = fsm.AppendFSM(options(words(line)))
            lines.append(f"> {show(machine.pending)}")
        elif line.startswith("stream"):
            machine = content(words(line))
        elif line.startswith("< ") and isinstance(machine, fsm.AppendFSM):
            lines.append(f"> {show(machine.step(outcome(line[2:])))}")
        elif line.startswith("< ") and isinstance(machine, AppendStream):
            verb, _, length = line[2:].partition(" ")
            answer = machine.on_end() if verb == "end" else machine.on_content(int(length))
            lines.append(f"> {show(answer)}")
        else:
            assert not line or line.startswith("#"), line
    return "\n".join(lines) + "\n"


def words(line: str) -> dict[str, str]:
    pairs = (word.partition("=") for word in shlex.split(line)[1:])
    return {name: value for name, _, value in pairs}


def options(given: dict[str, str]) -> fsm.AppendOptions:
    check = LabelSelector(include=labels(given["check"])) if "check" in given else None
    return fsm.AppendOptions(
        offset=int(given.get("offset", 0)),
        check_registers=check,
        suspend=AppendSuspend[given.get("suspend", "RESUME")],
        min_revision=int(given.get("rev", 0)),
    )


def content(given: dict[str, str]) -> AppendStream:
    union = labels(given["union"]) if "union" in given else None
    return AppendStream(
        is_writable="readonly" not in given,
        suspend=AppendSuspend[given.get("suspend", "RESUME")],
        change=RegisterChange(union=union),
    )


def outcome(text: str) -> fsm.Outcome:
    given = words(text)
    match text.split()[0]:
        case "resolved":
            level, _, offset = given.get("suspend", "NONE@0").partition("@")
            return fsm.Resolved(
                status=Status[given.get("status", "OK")],
                revision=int(given["rev"]),
                route=route(given.get("route", "")),
                is_here="away" not in given,
                replica=int(given.get("replica", 1)),
                is_advertised="unadvertised" not in given,
                replication=int(given.get("R", 3)),
                is_writable="readonly" not in given,
                suspend=Suspend(SuspendLevel[level], int(offset)),
            )
        case "changed":
            return fsm.KeySpaceChanged()
        case "acquired":
            if "route" not in given:
                return fsm.PipelineAcquired()
            return fsm.PipelineAcquired(route(given["route"]), spool(given))
        case "agree":
            return fsm.PeersAgree(spool(given))
        case "ahead":
            registers = labels(given["registers"]) if "registers" in given else None
            return fsm.PeerAhead(int(given["end"]), registers)
        case "later":
            return fsm.PeerKnowsLaterRoute(int(given["rev"]))
        case "written":
            return fsm.Written(int(given["rev"]))
        case "ready":
            begin, end = extent(given["index"])
            return fsm.Ready(begin, end, "flushed" in given)
        case "unhealthy":
            return fsm.StoreUnhealthy(given["detail"])
        case "built":
            return fsm.PipelineBuilt()
        case "released":
            return fsm.PipelineReleased()
        case "invalidated":
            return fsm.Invalidated()
        case other:
            raise AssertionError(other)


def route(text: str) -> Route:
    names = text.split(",") if text else []
    primary = next((i for i, name in enumerate(names) if name.endswith("*")), -1)
    return Route(tuple(ProcessID("zone", name.strip("*")) for name in names), primary)


def spool(given: dict[str, str]) -> fsm.SpoolView:
    begin, end = extent(given["spool"])
    return fsm.SpoolView(begin, end, labels(given.get("registers", "")))


def extent(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"\[(\d+),(\d+)\)", text)
    assert found is not None, text
    return int(found[1]), int(found[2])


def labels(text: str) -> LabelSet:
    pairs = (pair.partition(":") for pair in text.split(",") if pair)
    return LabelSet.of(*((name, value) for name, _, value in pairs))


def show(step: object) -> str:
    shown = [f"{f.name}={plain(getattr(step, f.name))}" for f in fields(step)]  # type: ignore[arg-type]
    return " ".join([type(step).__name__, *shown])


def plain(value: object) -> str:
    if isinstance(value, LabelSet):
        return ",".join(f"{label.name}:{label.value}" for label in value) or "{}"
    if isinstance(value, Suspend):
        return f"{value.level.name}@{value.offset}"
    if isinstance(value, Status):
        return value.name
    return str(value)
