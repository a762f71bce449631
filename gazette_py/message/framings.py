"""Framings by their names, and by the content types of journals. Pure.

Source: gazette/core message/routines.go and labels/labels.go, where other content types are
refused; here their records are lines, for people who look.
"""

from collections.abc import Callable
from typing import Final

from gazette_py.message.csv_rows import CSVSplitter
from gazette_py.message.framing import FixedSplitter, LineSplitter, Splitter
from gazette_py.protocol.labels import LabelSet

_SPLITTERS: Final[dict[str, Callable[[], Splitter]]] = {
    "lines": LineSplitter,
    "csv": CSVSplitter,
    "fixed": FixedSplitter,
}
FRAMINGS: Final = tuple(_SPLITTERS)
"""Names of framings."""

_BY_CONTENT_TYPE: Final = {
    "application/x-protobuf-fixed": "fixed",
    "application/x-gazette-recoverylog": "fixed",
    "text/csv": "csv",
}


def splitter_of(framing: str) -> Splitter:
    """Return a new splitter for one of `FRAMINGS`."""
    return _SPLITTERS[framing]()


def framing_of(labels: LabelSet) -> str:
    """Return the framing which the content type of a journal tells."""
    return _BY_CONTENT_TYPE.get(labels.value_of("content-type"), "lines")
