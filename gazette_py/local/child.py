"""Runs a command which ends when its parent does: `python -m gazette_py.local.child PARENT CMD...`.

The kernel is asked to send SIGTERM when the parent is gone, then the command takes this process
over. Only Linux can do that; elsewhere children of a parent which was killed stay.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(argv: list[str]) -> None:
    """Become the command `argv[1:]`, the child of the process `argv[0]`."""
    parent = int(argv[0])
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            sys.exit(1)  # It has gone already.
    os.execvp(argv[1], argv[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
