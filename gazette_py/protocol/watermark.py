"""Completeness watermarks: small files which say up to where a journal is whole in its store.

    _watermarks/JOURNAL/2026-11-26T000000Z.json

says that every byte which was appended to the journal before that time, by the clocks of its
brokers, is below the offset that the file names, and that every byte below that offset is in the
stores. It lies beside the directories of journals, where nobody who reads those files finds it.

The format is ours: the reference neither writes nor reads it.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Self

from gazette_py.errors import ValidationError

DIRECTORY: Final = "_watermarks"
_SUFFIX: Final = ".json"
_LAYOUT: Final = "%Y-%m-%dT%H%M%SZ"  # No colons, which Hadoop's file systems do not take.


@dataclass(frozen=True, slots=True, kw_only=True)
class Watermark:
    """One statement. It stays true for ever."""

    journal: str
    time: int  # Unix seconds.
    offset: int  # Bytes of the journal below it are in its stores, but for `missing`.
    missing: tuple[tuple[int, int], ...] = ()  # Spans which readers pass over: lost, or deleted.
    broker: str = ""  # Who wrote it.

    @property
    def path(self) -> str:
        """Where it lies in the store."""
        return path_of(self.journal, self.time)

    def to_json(self) -> bytes:
        """Return the file's content."""
        fields = {
            "journal": self.journal,
            "time": datetime.fromtimestamp(self.time, UTC).isoformat().replace("+00:00", "Z"),
            "complete_through": self.offset,
            "missing": self.missing,
            "broker": self.broker,
        }
        return json.dumps(fields).encode() + b"\n"

    @classmethod
    def from_json(cls, content: bytes) -> Self:
        """Read a file's content. Fields which we do not know are left out.

        Raises:
            ValidationError: It is no watermark.
        """
        try:
            fields = json.loads(content)
            return cls(
                journal=str(fields["journal"]),
                time=int(datetime.fromisoformat(fields["time"]).timestamp()),
                offset=int(fields["complete_through"]),
                missing=tuple((int(begin), int(end)) for begin, end in fields["missing"]),
                broker=str(fields["broker"]),
            )
        except (ValueError, TypeError, KeyError) as exc:
            raise ValidationError("Watermark", f"is none: {exc!r}") from exc


def directory_of(journal: str) -> str:
    """Return the directory of a journal's watermarks, which ends in a slash."""
    return f"{DIRECTORY}/{journal}/"


def path_of(journal: str, time: int) -> str:
    """Return the path of the watermark of a time, in Unix seconds."""
    stamp = datetime.fromtimestamp(time, UTC).strftime(_LAYOUT)
    return f"{directory_of(journal)}{stamp}{_SUFFIX}"


def time_of(name: str) -> int | None:
    """Return the time which a file's name in the directory has; None if it is no watermark's."""
    try:
        parsed = datetime.strptime(name.removesuffix(_SUFFIX), _LAYOUT)  # noqa: DTZ007  # Below.
    except ValueError:
        return None
    return int(parsed.replace(tzinfo=UTC).timestamp()) if name.endswith(_SUFFIX) else None
