"""Requests of the byte gateway: what their path, query and headers ask of the protocol. Pure.

    GET, HEAD    offset=N (-1: the write head), block=BOOL; Range, Accept, Last-Event-ID
    PUT, POST    no query; X-Append-Offset, X-Check-Registers, X-Union-Registers

The query is strict: a misspelt `blok=true` would otherwise read the whole journal.

Units: offsets are journal byte offsets.
Source: gazette/core broker/http_gateway. Ranges, events and the headers of appends are ours.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_plus

from gazette_py.errors import ValidationError
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.protocol import convert
from gazette_py.protocol.labels import LabelSet
from gazette_py.protocol.requests import validate_append_first, validate_read_request
from gazette_py.protocol.selector_text import parse_selector
from gazette_py.web.refusal import RefusedError

EVENT_STREAM: Final = "text/event-stream"

_INTEGER: Final = re.compile(r"[+-]?[0-9]+")
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9a-fA-F]{2})")
_RANGE: Final = re.compile(r"bytes=([0-9]+)-([0-9]*)", re.IGNORECASE)
_OFFSET_MAX: Final = (1 << 63) - 1
_BOOLS: Final = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True", "on"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}


@dataclass(frozen=True, slots=True)
class ReadAsked:
    """A read, and how its content is to be told."""

    request: pb.ReadRequest
    is_range: bool = False  # A Range header asks for it.
    as_events: bool = False


def parse_read(method: str, path: str, query: str, headers: Mapping[str, str]) -> ReadAsked:
    """Return what a GET or HEAD asks for.

    Args:
        method: Either of them.
        path: Decoded, with its leading slash.
        query: As it came.
        headers: By lower-case names.

    Raises:
        RefusedError: It is no such request.
    """
    values = _parse_query(query, ("offset", "block"))
    request = pb.ReadRequest(
        journal=path.removeprefix("/"),
        offset=_integer("offset", values.get("offset") or "0"),
        block=_bool("block", values.get("block") or "false"),
        metadata_only=method == "HEAD",
    )
    as_events = method == "GET" and _accepts_events(headers.get("accept", ""))
    if as_events:
        _ask_for_events(request, headers)
    is_range = "range" in headers and not as_events
    if is_range:
        if values.get("offset") or request.block:
            raise RefusedError(
                400, "a Range header is given with offset or block: give either, as ranges end"
            )
        request.offset, request.end_offset = _parse_range(headers["range"])
    try:
        validate_read_request(request)
    except ValidationError as exc:
        raise _invalid(request.journal, exc) from exc
    return ReadAsked(request, is_range, as_events)


def _ask_for_events(request: pb.ReadRequest, headers: Mapping[str, str]) -> None:
    if not request.block:
        raise RefusedError(
            406, "server-sent events follow a journal: add block=true, or accept another type"
        )
    if last := headers.get("last-event-id"):
        request.offset = _integer("Last-Event-ID", last)


def _accepts_events(accept: str) -> bool:
    """Tell whether events are asked for by name: `*/*` is said by everybody."""
    types = (each.partition(";")[0].strip().lower() for each in accept.split(","))
    return EVENT_STREAM in types


def _parse_range(text: str) -> tuple[int, int]:
    """Return [begin, end) of a Range header; an end of 0 stands for none."""
    match = _RANGE.fullmatch(text.strip())
    if match is None:
        raise RefusedError(
            416,
            f"Range: {text} is not served: give one range, as bytes=BEGIN-LAST or bytes=BEGIN-",
        )
    begin = _bounded("Range", int(match[1]))
    last = _bounded("Range", int(match[2])) if match[2] else _OFFSET_MAX
    if last < begin:
        raise RefusedError(416, f"Range: {text} ends before it begins")
    return begin, 0 if last == _OFFSET_MAX else last + 1


def parse_append(path: str, query: str, headers: Mapping[str, str]) -> pb.AppendRequest:
    """Return the first message of an append.

    Args:
        path: Decoded, with its leading slash.
        query: As it came.
        headers: By lower-case names.

    Raises:
        RefusedError: It is no such request.
    """
    _parse_query(query, ())
    request = pb.AppendRequest(journal=path.removeprefix("/"))
    if not request.journal:
        raise RefusedError(
            400, "the path names no journal: append to /JOURNAL, such as PUT /examples/hello"
        )
    if offset := headers.get("x-append-offset"):
        request.offset = _integer("X-Append-Offset", offset)
    try:
        if (check := headers.get("x-check-registers")) is not None:
            request.check_registers.CopyFrom(convert.selector_to_pb(parse_selector(check)))
        if (union := headers.get("x-union-registers")) is not None:
            request.union_registers.CopyFrom(convert.labels_to_pb(_parse_labels(union)))
        validate_append_first(request)
    except ValidationError as exc:
        raise _invalid(request.journal, exc) from exc
    return request


def _parse_labels(text: str) -> LabelSet:
    """Return labels which are written as a selector of them: `NAME = VALUE, ...`."""
    selector = parse_selector(text)
    if selector.exclude or any(label.prefix for label in selector.include):
        raise ValidationError(
            "X-Union-Registers", f"{text!r} are no labels: give NAME = VALUE, with commas between"
        )
    return selector.include


def _invalid(journal: str, exc: ValidationError) -> RefusedError:
    if not journal:
        return RefusedError(
            400,
            f"{exc}\nThe path names no journal: read one, such as GET /examples/hello?offset=0",
        )
    return RefusedError(400, str(exc))


def _parse_query(query: str, known: tuple[str, ...]) -> dict[str, str]:
    """Return the values of a query, the last one where a name repeats; names know no case."""
    values = {}
    for part in filter(None, query.split("&")):
        if ";" in part:
            raise RefusedError(400, "the query has a semicolon: its parts are joined by &")
        if bad := _BAD_ESCAPE.search(part):
            raise RefusedError(400, f"the query has a bad escape: {part[bad.start() :][:3]}")
        name, _, value = part.partition("=")
        name = unquote_plus(name).lower()
        if name not in known:
            expected = f"known are {' and '.join(known)}" if known else "appends take none"
            raise RefusedError(400, f"unknown parameter {name!r} in the query: {expected}")
        values[name] = unquote_plus(value)
    return values


def _integer(name: str, text: str) -> int:
    if _INTEGER.fullmatch(text) is None:
        raise RefusedError(400, f"{name}: {text!r} is no offset: give a number of bytes")
    return _bounded(name, int(text))


def _bounded(name: str, offset: int) -> int:
    if not -_OFFSET_MAX <= offset <= _OFFSET_MAX:
        raise RefusedError(400, f"{name}: {offset} is beyond all offsets, which have 63 bits")
    return offset


def _bool(name: str, text: str) -> bool:
    if text not in _BOOLS:
        raise RefusedError(400, f"{name}: {text!r} is neither true nor false")
    return _BOOLS[text]
