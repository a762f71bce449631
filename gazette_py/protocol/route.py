"""Processes, routes and headers: who serves a journal, as of which revision.

Source: gazette/core broker/protocol/{broker_spec,route,header}_extensions.go and endpoint.go.
"""

from dataclasses import dataclass
from typing import Final

from gazette_py.errors import ValidationError
from gazette_py.protocol.go_url import MalformedURLError, parse_url
from gazette_py.protocol.text import field_path, validate_token

JOURNAL_LIMIT_MAX: Final = 1 << 17
"""Journals which one broker may be assigned at most."""


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


def validate_process_id(process_id: ProcessID, path: str) -> None:
    """Refuse a zone or suffix of other characters or lengths than allowed.

    Raises:
        ValidationError: The path leads to the faulty field.
    """
    validate_token(process_id.zone, field_path(path, "Zone"), 1, 32)
    validate_token(process_id.suffix, field_path(path, "Suffix"), 4, 128)


def validate_endpoint(endpoint: str, path: str) -> None:
    """Refuse an endpoint which is no absolute URL with a host.

    Raises:
        ValidationError: With `path`.
    """
    try:
        url = parse_url(endpoint)
    except MalformedURLError as exc:
        raise ValidationError(path, f"not a URL: {endpoint} ({exc})") from exc
    if not url.scheme:
        raise ValidationError(path, f"not absolute: {endpoint}")
    if not url.host:
        raise ValidationError(path, f"missing host: {endpoint}")


def validate_broker_spec(broker: BrokerSpec, path: str = "") -> None:
    """Refuse a broker with a bad ID, endpoint or limit.

    Raises:
        ValidationError: The path leads to the faulty field.
    """
    validate_process_id(broker.id, field_path(path, "ProcessSpec.Id"))
    validate_endpoint(broker.endpoint, field_path(path, "ProcessSpec.Endpoint"))
    if not 0 <= broker.journal_limit <= JOURNAL_LIMIT_MAX:
        raise ValidationError(
            path,
            f"invalid JournalLimit ({broker.journal_limit}; expected 0 <= JournalLimit <="
            f" {JOURNAL_LIMIT_MAX})",
        )


def validate_route(route: Route, path: str = "") -> None:
    """Refuse members out of order, a primary which is none of them, or too few endpoints.

    Raises:
        ValidationError: The path leads to the faulty field.
    """
    for i, member in enumerate(route.members):
        validate_process_id(member, field_path(path, f"Members[{i}]"))
        if i and member <= route.members[i - 1]:
            raise ValidationError(
                path, f"Members not in unique, sorted order (index {i}; {member})"
            )
    if not -1 <= route.primary < len(route.members):
        raise ValidationError(
            path,
            f"invalid Primary ({route.primary}; expected -1 <= Primary < {len(route.members)})",
        )
    if route.endpoints and len(route.endpoints) != len(route.members):
        raise ValidationError(
            path,
            f"len(Endpoints) != 0, and != len(Members) ({len(route.endpoints)} vs"
            f" {len(route.members)})",
        )
    for i, endpoint in enumerate(route.endpoints):
        if endpoint:
            validate_endpoint(endpoint, field_path(path, f"Endpoints[{i}]"))


def validate_header(header: Header, path: str) -> None:
    """Refuse a header with a bad ID or Route, or without an etcd position.

    Raises:
        ValidationError: The path leads to the faulty field.
    """
    if header.process_id:
        validate_process_id(header.process_id, field_path(path, "ProcessId"))
    validate_route(header.route, field_path(path, "Route"))
    for field, value in (
        ("ClusterId", header.etcd.cluster_id),
        ("MemberId", header.etcd.member_id),
        ("RaftTerm", header.etcd.raft_term),
    ):
        if value == 0:
            raise ValidationError(field_path(path, "Etcd"), f"invalid {field} (expected != 0)")
    if header.etcd.revision <= 0:
        raise ValidationError(
            field_path(path, "Etcd"),
            f"invalid Revision ({header.etcd.revision}; expected 0 < revision)",
        )
