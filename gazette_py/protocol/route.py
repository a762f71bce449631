"""Processes, routes and headers: who serves a journal, as of which revision."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class ProcessID:
    """A process by failure zone and a suffix unique in the zone. The zero ID is "unspecified"."""

    zone: str = ""
    suffix: str = ""

    def __bool__(self) -> bool:
        return bool(self.zone or self.suffix)

    def __str__(self) -> str:
        return f"{self.zone}/{self.suffix}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSpec:
    """A member of the cluster, as it announces itself in etcd."""

    id: ProcessID
    endpoint: str  # Absolute URL: http, https or unix.
    journal_limit: int
    exiting: bool = False  # Asked to drain.


@dataclass(frozen=True, slots=True)
class Route:
    """Members which serve a journal, ascending, and which of them is primary."""

    members: tuple[ProcessID, ...] = ()
    primary: int = -1  # Index into members, or -1.
    endpoints: tuple[str, ...] = ()  # Empty, or one for each member ("" where it is unknown).

    def is_equivalent(self, other: "Route") -> bool:
        """Compare members and primary; endpoints play no part."""
        return self.members == other.members and self.primary == other.primary

    @property
    def primary_id(self) -> ProcessID | None:
        """The primary member, if there is one."""
        return self.members[self.primary] if self.primary >= 0 else None

    def without_endpoints(self) -> "Route":
        """Return the Route as it is stored in assignments."""
        return Route(self.members, self.primary)


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdHeader:
    """Position in the key space: the greatest modification revision seen below its prefix."""

    cluster_id: int
    member_id: int
    revision: int
    raft_term: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Who serves (or shall serve) a request, by which route, as of which revision."""

    process_id: ProcessID
    route: Route
    etcd: EtcdHeader
