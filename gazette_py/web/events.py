"""Content of a journal as server-sent events. Pure.

    id: the offset after what the event tells, whence a reader resumes
    message   one line, without its end (LF or CRLF), of a journal of lines
    base64    bytes which such an event cannot hold: a line which is no UTF-8 or has a CR within,
              and any content of a journal which is not of lines
    piece     base64, too, of a line which is too long: what follows continues it
    jump      {"from": N, "to": M}: what lay between these offsets is gone

Invariants:
    EV1  Whoever joins what the events of consecutive ids tell has every byte of the journal.
    EV2  An id is the offset of a line's begin, but after a piece: who resumes misses nothing, and
         is told nothing twice.
    EV3  No more than `LINE_BYTES_MAX` and one chunk of content is held.

Source: WHATWG HTML, server-sent events.
"""

import base64
from typing import Final

LINE_BYTES_MAX: Final = 1 << 20

RETRY_MS: Final = 1000
"""When a client shall come back whose stream ended: brokers have changed by then."""

KEEP_ALIVE: Final = b": \n\n"
"""Says nothing, and keeps proxies from hanging up."""

_LINES: Final = frozenset(
    {"application/json", "application/x-ndjson", "application/jsonl", "application/ndjson"}
)


def is_of_lines(content_type: str) -> bool:
    """Tell whether a journal with that label holds lines."""
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type.startswith("text/") or media_type in _LINES


def try_again(reason: str) -> bytes:
    """Return a stream which tells a client to come back: another status would end it for good."""
    said = " ".join(reason.split())
    return f"retry: {3 * RETRY_MS}\n: {said}\n\n".encode()


class EventEncoder:
    """Turns content into events.

    Args:
        offset: Of the first byte.
        of_lines: Tell a line in each event; else whatever came at once, in base64.
    """

    def __init__(self, offset: int, *, of_lines: bool) -> None:
        self._offset = offset  # Of the first byte of `_rest`.
        self._of_lines = of_lines
        self._rest = b""

    def begin(self) -> bytes:
        """Return what comes first: whence to resume if nothing else arrives."""
        return f"retry: {RETRY_MS}\nid: {self._offset}\n\n".encode()

    def content(self, content: bytes) -> bytes:
        """Return the events of what comes next."""
        if not self._of_lines:
            return self._event("base64", base64.b64encode(content), len(content))
        *lines, self._rest = (self._rest + content).split(b"\n")
        events = [self._line(line) for line in lines]
        if len(self._rest) > LINE_BYTES_MAX:
            events.append(self._piece())
        return b"".join(events)

    def jump(self, offset: int) -> bytes:
        """Return the event of a gap up to an offset."""
        pieces = self._piece() if self._rest else b""
        told = f'{{"from": {self._offset}, "to": {offset}}}'.encode()
        return pieces + self._event("jump", told, offset - self._offset)

    def _line(self, line: bytes) -> bytes:
        text = line.removesuffix(b"\r")
        if b"\r" in text or not _is_utf8(text):
            return self._event("base64", base64.b64encode(line + b"\n"), len(line) + 1)
        return self._event("", text, len(line) + 1)

    def _piece(self) -> bytes:
        rest, self._rest = self._rest, b""
        return self._event("piece", base64.b64encode(rest), len(rest))

    def _event(self, name: str, data: bytes, length: int) -> bytes:
        """Return an event, and count the bytes which it tells."""
        self._offset += length
        named = f"event: {name}\n" if name else ""
        return f"{named}id: {self._offset}\ndata: ".encode() + data + b"\n\n"


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
