"""Paths below a file root, which no path may leave."""

import posixpath


def join_below(root: str, path: str) -> str | None:
    """Return the absolute path of `path` below the absolute `root`, or None if it leads outside.

    Symbolic links are not looked at: who may make them below the root may as well read there.
    """
    joined = posixpath.normpath(posixpath.join(root, path.lstrip("/")))
    is_below = joined == root or joined.startswith(root.rstrip("/") + "/")
    return joined if is_below else None
