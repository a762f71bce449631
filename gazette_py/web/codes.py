"""gRPC's codes by name: their numbers, and the statuses of HTTP which gateways give them. Pure."""

from typing import Final

_CODES: Final = {
    "CANCELLED": (1, 408),
    "UNKNOWN": (2, 500),
    "INVALID_ARGUMENT": (3, 400),
    "DEADLINE_EXCEEDED": (4, 504),
    "NOT_FOUND": (5, 404),
    "ALREADY_EXISTS": (6, 409),
    "PERMISSION_DENIED": (7, 403),
    "RESOURCE_EXHAUSTED": (8, 429),
    "FAILED_PRECONDITION": (9, 400),
    "ABORTED": (10, 409),
    "OUT_OF_RANGE": (11, 400),
    "UNIMPLEMENTED": (12, 501),
    "INTERNAL": (13, 500),
    "UNAVAILABLE": (14, 503),
    "DATA_LOSS": (15, 500),
    "UNAUTHENTICATED": (16, 401),
}


def number_of(code: str) -> int:
    """Return a code's number."""
    return _CODES[code][0]


def http_status_of(code: str) -> int:
    """Return the HTTP status of a call which ended with a code."""
    return _CODES[code][1]
