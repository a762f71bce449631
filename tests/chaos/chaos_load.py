"""The load under which faults are made: that of all tests which kill."""

from acknowledged_load import (
    APPEND_TIMEOUT_S,
    GIVE_UP_S,
    RETRY_S,
    Acknowledged,
    Load,
    Run,
    check_content,
    stored_runs,
    stored_spans,
)

__all__ = [
    "APPEND_TIMEOUT_S",
    "GIVE_UP_S",
    "RETRY_S",
    "Acknowledged",
    "Load",
    "Run",
    "check_content",
    "stored_runs",
    "stored_spans",
]
