"""Whether the short name `journalctl` is ours where systemd's is meant: for this user, or for root.

Reads directories of the PATH, and the first bytes of a script.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from gazette_py.cli.doctor_facts import Shadow
from gazette_py.cli.handover import SHORT_NAME, find_system_journalctl

ROOT_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
"""Root's on Debian and its like, and what sudo sets it to."""

_SCRIPT_BYTES_MAX = 4096
_OURS = b"gazette_py.cli.journalctl"


def shadows(
    path: str, root_path: Sequence[str] = ROOT_PATH, system: Sequence[str] | None = None
) -> tuple[Shadow, ...]:
    """Return where our `journalctl` is found before another one.

    Args:
        path: PATH of this user.
        root_path: Directories of root's.
        system: Where systemd's may be; None: where it usually is.
    """
    found = []
    for whose, directories in (("this user", path.split(os.pathsep)), ("root", root_path)):
        first = _first(directories)
        if first is None or not _is_ours(first):
            continue
        other = find_system_journalctl(first, system)
        if other is not None:
            found.append(Shadow(whose, first, other))
    return tuple(found)


def _first(directories: Sequence[str]) -> str | None:
    candidates = (f"{directory or '.'}/{SHORT_NAME}" for directory in directories)
    return next((c for c in candidates if Path(c).is_file() and os.access(c, os.X_OK)), None)


def _is_ours(path: str) -> bool:
    """Tell whether it is the script of our entry point."""
    try:
        with open(path, "rb") as file:
            return _OURS in file.read(_SCRIPT_BYTES_MAX)
    except OSError:
        return False
