"""How long to wait before an attempt. Pure.

Source: gazette/core broker/client/reader.go and appender.go, which share the table.
"""

_TABLE_S = (0.05, 0.05, 0.1, 0.1, 1.0, 1.0)
_LONGEST_S = 5.0


def backoff_s(attempt: int) -> float:
    """Return the seconds to wait after failed `attempt`; -1 is one which made progress."""
    if attempt < 0:
        return 0.0
    return _TABLE_S[attempt] if attempt < len(_TABLE_S) else _LONGEST_S
