"""What a client counts, as plain numbers: `client.metrics` shows them to Prometheus.

The event loop of the client is the only writer. A scrape reads from another thread, so each number
may be of another moment than its neighbour, but none is lost, and counting takes no lock.

Units: bytes before compression; seconds of the client's clock.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from gazette_py.errors import GazetteError

if TYPE_CHECKING:
    from gazette_py.client.append_service import AppendService
    from gazette_py.client.reader import Reader

OK: Final = "ok"
CANCELLED: Final = "cancelled"
OTHER: Final = "other"
"""Raised by the content which a caller gave, or a bug: none of our errors."""


class Counts:
    """The numbers of one client. Each only grows, and is to be read by anyone."""

    __slots__ = (
        "append_bytes",
        "append_calls",
        "corrupt_fragments",
        "fetches",
        "jumped_bytes",
        "jumps",
        "read_bytes",
        "readers",
        "retries",
        "room_wait_s",
        "room_waits",
        "routes_known",
        "routes_unknown",
        "service_appends",
        "services",
    )

    def __init__(self) -> None:
        self.append_calls: Counter[str] = Counter()  # By outcome; one may take several attempts.
        self.append_bytes = 0  # Committed.
        self.service_appends: Counter[str] = Counter()  # By outcome.
        self.retries: Counter[str] = Counter()  # By operation.
        self.room_waits = 0  # Appends which were not accepted at once,
        self.room_wait_s = 0.0  # and for how long, once they were.
        self.read_bytes: Counter[str] = Counter()  # By source.
        self.fetches: Counter[str] = Counter()  # Of files, by outcome.
        self.jumps = 0
        self.jumped_bytes = 0
        self.corrupt_fragments = 0
        self.routes_known = 0  # Calls which found their journal's route in the cache,
        self.routes_unknown = 0  # and calls which did not.
        # What there is now. As dictionaries, of which another thread can take a copy in one step.
        self.readers: WeakValueDictionary[int, Reader] = WeakValueDictionary()
        self.services: WeakValueDictionary[int, AppendService] = WeakValueDictionary()

    @contextmanager
    def outcome_of(self, outcomes: "Counter[str]") -> Iterator[None]:
        """Count how a block ends."""
        try:
            yield
        except BaseException as exc:
            outcomes[outcome_of(exc)] += 1
            raise
        outcomes[OK] += 1


def outcome_of(error: BaseException) -> str:
    """Return the name of an error of ours: there are as many as `errors` has, and two more."""
    if isinstance(error, GazetteError):
        return type(error).__name__
    return OTHER if isinstance(error, Exception) else CANCELLED
