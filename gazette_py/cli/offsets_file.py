"""Files of offsets: a JSON object of the next offset to read, by journal.

A file appears whole or not at all. Who reads offsets from the file which they will be written to
moves it away first, so that a crash in between is seen as a missing file, not as old offsets.

Source: gazette/core cmd/gazctl/gazctlcmd/journals_read.go.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from gazette_py.cli.errors import usage


def load_offsets(path: Path) -> dict[str, int]:
    """Return the offsets in a file.

    Raises:
        CommandError: There is no such file, or it is something else.
    """
    try:
        offsets = json.loads(path.read_bytes())
    except FileNotFoundError as exc:
        raise usage(
            f"offsets {path}",
            "the file does not exist",
            "Begin with a file of '{}'. After a crash, the offsets before it are in"
            f" {_previous(path)}.",
        ) from exc
    except OSError as exc:
        raise usage(f"offsets {path}", f"it cannot be read: {exc.strerror}") from exc
    except ValueError as exc:
        raise usage(f"offsets {path}", f"it is no JSON: {exc}") from exc
    if not isinstance(offsets, dict) or not all(type(v) is int for v in offsets.values()):
        raise usage(
            f"offsets {path}",
            "it is no object of offsets by journal",
            'It is like {"acme/orders": 1234}.',
        )
    return offsets


def set_aside(path: Path) -> None:
    """Move a file which was read out of the way of the one which will be written."""
    path.rename(_previous(path))


def _previous(path: Path) -> Path:
    return path.with_name(f"{path.name}.previous")


def save_offsets(path: Path, offsets: Mapping[str, int]) -> None:
    """Write offsets durably, all at once."""
    temporary = path.with_name(f"{path.name}.temp")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(dict(sorted(offsets.items())), file, separators=(",", ":"))  # As gazctl does.
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
