"""A listed journal as a plain mapping: what `list` and `describe` print of it. Pure."""

from typing import TYPE_CHECKING, Any

from gazette_py.cli.tree_fields import spec_fields
from gazette_py.protocol.enums import SuspendLevel

if TYPE_CHECKING:
    from gazette_py.client.listing import ListedJournal
    from gazette_py.protocol.route import Route


def journal_item(journal: "ListedJournal") -> dict[str, Any]:
    """Return the journal's spec, revisions, who serves it, and its status in a word."""
    spec, route = journal.spec, journal.route
    desired = spec.desired_replication(spec.replication)
    return {
        "name": spec.name,
        "spec": spec_fields(spec),
        "mod_revision": journal.mod_revision,
        "create_revision": journal.create_revision,
        "route": {
            "primary": str(route.primary_id) if route.primary_id else None,
            "members": _members(route),
        },
        "suspended": spec.suspend.level.name,
        "brokers_desired": desired,
        "brokers_actual": len(route.members),
        "status": _status(spec.suspend.level, route, desired),
    }


def _members(route: "Route") -> list[dict[str, str]]:
    endpoints = route.endpoints or ("",) * len(route.members)
    return [
        {"zone": member.zone, "suffix": member.suffix, "endpoint": endpoint}
        for member, endpoint in zip(route.members, endpoints, strict=True)
    ]


def _status(level: SuspendLevel, route: "Route", desired: int) -> str:
    if level is SuspendLevel.FULL:
        return "suspended:full"
    if route.primary < 0:
        return "no-primary"
    if len(route.members) < desired:
        return "under-replicated"
    return "suspended:partial" if level is SuspendLevel.PARTIAL else "ok"
