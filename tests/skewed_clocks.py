"""Wall clocks of processes which differ from ours, or are set while they run.

By Debian's libfaketime. CLOCK_MONOTONIC goes on as it is, as it does on machines whose clocks are
set; and files get the times of this machine's kernel, as objects get those of their store.
"""

from pathlib import Path


def library() -> Path | None:
    """Return the library, None if it is not installed."""
    return next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


class SkewedClock:
    """The wall clock of a process."""

    def __init__(self, file: Path, minutes: float) -> None:
        self._file = file
        self.set(minutes)

    def set(self, minutes: float) -> None:
        """Set it so many minutes off. The process looks each second."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{minutes * 60:+.0f}\n")
        new.replace(self._file)

    def environment(self) -> dict[str, str]:
        """Return the environment of the process."""
        return {
            "LD_PRELOAD": str(library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }
