"""What `journalctl doctor` looks at: values, gathered by `examination`, judged by `diagnosis`.

Units: bytes; seconds, of the wall clock where it is a moment.
"""

from dataclasses import dataclass, field

from gazette_py.protocol.journal import JournalSpec
from gazette_py.protocol.route import ProcessID, Route


@dataclass(frozen=True, slots=True)
class Trouble:
    """How a call failed."""

    status: str  # Name of a Status of the protocol, or of a gRPC code.
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """By what we ask to be let in."""

    kind: str = "none"  # Or "keys", or "token".
    issued_at: float | None = None  # Of a token which tells.
    expires_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerFacts:
    """One broker, asked at its own endpoint."""

    id: ProcessID
    endpoint: str
    refusal: str = ""  # Why it did not answer.
    is_exiting: bool | None = None  # None: it is not known.
    is_untold: bool = False  # It answers, and tells nothing of what follows: it is not ours.
    clock_ahead_s: float = 0.0
    clock_error_s: float = 0.0
    spool_used_bytes: int = 0
    spool_max_bytes: int = 1
    disk_free_bytes: int = 1 << 40


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFacts:
    """One fragment store, as a broker found it."""

    url: str
    journals: tuple[str, ...]  # Which name it, of those looked at.
    error: str = ""
    delete_error: str = ""  # Of a probe which was written and could not be deleted.


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalFacts:
    """One journal. What was not tried has no trouble."""

    name: str
    spec: JournalSpec | None = None  # None: it does not exist, or is not visible to us.
    near: tuple[str, ...] = ()  # Names like it, if it does not exist.
    route: Route = Route()
    is_tried: bool = False  # Or it was only listed.
    append: Trouble | None = None  # Of an append without content.
    read: Trouble | None = None  # Of its write head, and of its first byte.
    stored_end: int | None = None  # End of what is known, which readers are told.
    limit: str = ""  # What keeps it from its replicas: members, limits or zones.
    limit_reason: str = ""
    listing_errors: tuple[tuple[str, str], ...] = ()  # By broker: why it cannot list the stores.


@dataclass(frozen=True, slots=True)
class Shadow:
    """Our `journalctl` is found before systemd's."""

    whose: str  # "this user" or "root".
    path: str
    system: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that was looked at."""

    address: str
    now: float
    trouble: Trouble | None = None  # Of the first call to the brokers.
    credentials: Credentials = Credentials()
    etcd_error: str = ""
    known_endpoints: tuple[str, ...] = ()  # Of brokers, by etcd.
    max_replication: int = 0  # By which brokers bound that of journals; 0: it is not known.
    brokers: tuple[BrokerFacts, ...] = ()
    stores: tuple[StoreFacts, ...] = ()
    journals: tuple[JournalFacts, ...] = ()
    shadows: tuple[Shadow, ...] = field(default=())
