"""Files which appear whole, or not at all."""

import os
from pathlib import Path

from gazette_py.cli.errors import usage


def write_whole(path: Path, text: str) -> None:
    """Write a file durably, in place of the one there is: a reader finds either.

    Raises:
        CommandError: It cannot be written; the one there was stays.
    """
    try:
        _write(path, text)
    except OSError as exc:
        raise usage(str(path), f"it cannot be written: {exc.strerror}") from exc


def _write(path: Path, text: str) -> None:
    # Beside it, since a rename holds within one file system only; of a name of its own, since two
    # may write at once.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.temp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
