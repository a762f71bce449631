"""Answers of the byte gateway: a response of the protocol as HTTP status, headers and text. Pure.

Appends have statuses of their own, so that a client can tell what it may do about a refusal. With
`is_compat` all of them are 500, as in the reference. `X-Gazette-Status` names the Status itself.

Source: gazette/core broker/http_gateway.
"""

from dataclasses import dataclass
from email.utils import formatdate
from typing import Final
from urllib.parse import quote

from gazette_py.errors import RpcError
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.protocol import convert
from gazette_py.protocol.enums import Status
from gazette_py.protocol.fragment import content_name
from gazette_py.protocol.labels import LabelSelector
from gazette_py.protocol.route import ProcessID
from gazette_py.protocol.selector_text import format_selector

CLOSE_ERROR: Final = "x-close-error"
GAZETTE_STATUS: Final = "x-gazette-status"

_OFFSET_MAX: Final = (1 << 63) - 1

_READ_STATUSES: Final[dict[int, int]] = {
    Status.OK: 206,
    Status.JOURNAL_NOT_FOUND: 404,
    Status.INSUFFICIENT_JOURNAL_BROKERS: 503,
    Status.OFFSET_NOT_YET_AVAILABLE: 416,
}
_APPEND_STATUSES: Final[dict[int, int]] = {
    Status.OK: 204,
    Status.JOURNAL_NOT_FOUND: 404,
    Status.NOT_ALLOWED: 403,
    Status.WRONG_APPEND_OFFSET: 409,
    Status.REGISTER_MISMATCH: 409,
    Status.NO_JOURNAL_PRIMARY_BROKER: 503,
    Status.NOT_JOURNAL_PRIMARY_BROKER: 503,
    Status.INSUFFICIENT_JOURNAL_BROKERS: 503,
    Status.FRAGMENT_STORE_UNHEALTHY: 503,
}
_WAY_OUT: Final[dict[int, str]] = {
    Status.JOURNAL_NOT_FOUND: "there is no such journal: look at `journalctl list`",
    Status.NO_JOURNAL_PRIMARY_BROKER: "no broker is its primary yet: try again",
    Status.NOT_JOURNAL_PRIMARY_BROKER: "its primary has just changed: try again",
    Status.INSUFFICIENT_JOURNAL_BROKERS: (
        "it has fewer brokers than replicas: start brokers, or lower its replication"
    ),
    Status.NOT_ALLOWED: "the flags of its spec do not allow that",
    Status.WRONG_APPEND_OFFSET: "its write head is not at X-Append-Offset: read up to it first",
    Status.REGISTER_MISMATCH: "its registers are not those of X-Check-Registers",
    Status.INDEX_HAS_GREATER_OFFSET: (
        "its store holds content beyond its write head: see `journalctl reset-head`"
    ),
    Status.SUSPENDED: "it is suspended: `journalctl resume` it",
    Status.FRAGMENT_STORE_UNHEALTHY: "its fragment store cannot be used",
    Status.OFFSET_NOT_YET_AVAILABLE: "nothing is there yet: wait for it by block=true",
}


@dataclass(frozen=True, slots=True)
class Here:
    """This broker: its ID, and the URL of its HTTP port, without a slash at the end."""

    id: ProcessID
    url: str


def read_status(status: int) -> int:
    """Return the HTTP status of a Read's first response."""
    return _READ_STATUSES.get(status, 500)


def is_passing(status: int) -> bool:
    """Tell whether a follower may have content later: also if somebody appends, who resumes it."""
    return status in (Status.INSUFFICIENT_JOURNAL_BROKERS, Status.SUSPENDED)


def append_status(status: int, *, is_compat: bool) -> int:
    """Return the HTTP status of an append."""
    if is_compat and status != Status.OK:
        return 500
    return _APPEND_STATUSES.get(status, 500)


def read_headers(response: pb.ReadResponse, path: str, here: Here) -> dict[str, str]:
    """Return the headers which tell of a Read's first response.

    Args:
        response: With its header.
        path: Of the request, decoded.
        here: Who answers.
    """
    headers = _route_headers(response.header, path, here)
    if response.HasField("fragment"):
        fragment = convert.fragment_from_pb(response.fragment)
        headers["x-fragment-name"] = content_name(fragment)
        if fragment.mod_time:
            headers["x-fragment-last-modified"] = formatdate(fragment.mod_time, usegmt=True)
        if response.fragment_url:
            headers["x-fragment-location"] = response.fragment_url
        headers["content-range"] = f"bytes {response.offset}-{_OFFSET_MAX}/{_OFFSET_MAX}"
    if response.write_head:
        headers["x-write-head"] = str(response.write_head)
    return headers


def append_headers(response: pb.AppendResponse, path: str, here: Here) -> dict[str, str]:
    """Return the headers which tell of an append. Arguments are those of `read_headers`."""
    headers = _route_headers(response.header, path, here)
    if response.HasField("commit"):
        commit = convert.fragment_from_pb(response.commit)
        headers["x-commit-begin"] = str(commit.begin)
        headers["x-commit-end"] = str(commit.end)
        headers["x-write-head"] = str(commit.end)
        headers["x-commit-sha1-sum"] = commit.sum.hex()
    return headers


def status_text(status: int, detail: str = "") -> str:
    """Return the text of a Status: its name, and on a line of its own what to do about it."""
    name = status_name(status)
    explained = [each for each in (_WAY_OUT.get(status, ""), detail) if each]
    return "\n".join([name, ": ".join(explained)]) if explained else name


def append_text(response: pb.AppendResponse) -> str:
    """Return the text of an append which was refused."""
    detail = response.store_health_error
    if response.status == pb.REGISTER_MISMATCH:
        registers = LabelSelector(include=convert.labels_from_pb(response.registers))
        detail = f"they are {format_selector(registers) or 'none'}"
    return status_text(response.status, detail)


def status_name(status: int) -> str:
    """Return the name of a Status; a newer peer's may be unknown to us."""
    return Status(status).name if status in set(Status) else str(status)


def refusal_headers(error: RpcError) -> dict[str, str]:
    """Return the headers which tell why a call failed."""
    headers = {GAZETTE_STATUS: error.code}
    if error.code == "UNAUTHENTICATED":
        headers["www-authenticate"] = "Bearer"
    return headers


def safe_content_type(label: str) -> str:
    """Return the Content-Type of a journal with that label, or without one."""
    is_sendable = label.isascii() and label.isprintable() and "/" in label
    return label if is_sendable else "application/octet-stream"


def header_text(text: str) -> str:
    """Return a text as the value of a header: on one line, and of printable ASCII."""
    return "".join(char if " " <= char <= "~" else "?" for char in " ".join(text.split()))


def route_token(route: pb.Route) -> str:
    """Return the route as the reference writes it: protobuf's text format of old, on one line."""
    parts = []
    for member in route.members:
        fields = _text_field("zone", member.zone) + _text_field("suffix", member.suffix)
        parts.append(f"members:<{fields}> ")
    if route.primary:
        parts.append(f"primary:{route.primary} ")
    parts += [_text_field("endpoints", endpoint) for endpoint in route.endpoints]
    return "".join(parts).rstrip()


def _text_field(name: str, value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{name}:"{escaped}" '


def _route_headers(header: pb.Header, path: str, here: Here) -> dict[str, str]:
    """Tell the route; and our own address, if we are the primary: we know no other's."""
    route = header.route
    if not route.members:
        return {}
    headers = {"x-route-token": route_token(route)}
    if 0 <= route.primary < len(route.members):
        primary = convert.process_id_from_pb(route.members[route.primary])
        if primary == here.id:
            headers["location"] = here.url + quote(path, safe="/=;%+._-")
    return headers
