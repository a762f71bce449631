"""Where printed content goes."""

import os
import sys
from pathlib import Path
from typing import IO


class Sink:
    """Where content goes."""

    def __init__(self, path: str = "") -> None:
        # Closed by `close`.
        self._file: IO[bytes] = Path(path).open("wb") if path else sys.stdout.buffer  # noqa: SIM115
        self._is_ours = bool(path)

    def write(self, data: bytes) -> None:
        """Write, without regard to when it arrives."""
        self._file.write(data)

    def flush(self) -> None:
        """Have what was written arrive."""
        self._file.flush()

    def sync(self) -> None:
        """Have what was written stay, if it is a file's."""
        self._file.flush()
        if self._is_ours:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close a file."""
        if self._is_ours:
            self._file.close()
