"""Leaves `journalctl` to systemd where its log viewer is meant.

systemd's tool takes options, `FIELD=value` and absolute paths, but never a bare word first; ours
always begins with a command. So the first argument tells who is meant, and ours need not be in the
way on a host where both are on the PATH.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

SHORT_NAME = "journalctl"
LONG_NAME = "gazette-journalctl"
PASSTHROUGH_ENV = "GAZETTE_JOURNALCTL_PASSTHROUGH"

_OURS = frozenset({"-h", "--help", "--version", "--context", "--config"})
SYSTEM_DIRECTORIES = ("/usr/bin", "/bin", "/run/current-system/sw/bin")


def is_meant_for_systemd(program: str, args: Sequence[str], env: Mapping[str, str]) -> bool:
    """Tell whether the call of `program`, a path, is one of systemd's tool."""
    if Path(program).name != SHORT_NAME or env.get(PASSTHROUGH_ENV) == "0":
        return False
    if not args:
        return True
    first = args[0]
    if first.partition("=")[0] in _OURS:
        return False
    return first.startswith(("-", "/")) or "=" in first


def find_system_journalctl(program: str, directories: Iterable[str] | None = None) -> str | None:
    """Return the path of another executable `journalctl` than `program`, if there is one."""
    ours = _identity(program)
    for directory in SYSTEM_DIRECTORIES if directories is None else directories:
        candidate = f"{directory}/{SHORT_NAME}"
        identity = _identity(candidate)
        if identity is not None and identity != ours and os.access(candidate, os.X_OK):
            return candidate
    return None


def _identity(path: str) -> tuple[int, int] | None:
    """Return device and inode of the file, links followed."""
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
