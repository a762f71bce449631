"""Resolution: who serves a journal, as of which revision, and whether a request may go there.

Pure: a function of the mirrored key space.

Invariants:
    R1  The first Status which applies is the answer, in the order of `_status`.
    R2  A Status other than OK is answered by us: `process_id` is ours.
    R3  A journal which the caller may not see is indistinguishable from one which does not exist.

Source: gazette/core broker/resolver.go, resolve.
"""

from dataclasses import dataclass

from gazette_py.core.keyspace import Assignment, Item, KeySpace
from gazette_py.protocol.enums import Status, SuspendLevel
from gazette_py.protocol.journal import strip_meta
from gazette_py.protocol.labels import LabelSelector
from gazette_py.protocol.route import Header, ProcessID, Route

MISSING_MEMBER = ProcessID("local-BrokerSpec", "missing-from-Etcd")
"""Stands for this broker while its own member key is absent: it can still proxy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolveOptions:
    """What the request needs."""

    may_proxy: bool
    requires_primary: bool
    selector: LabelSelector = LabelSelector()  # Of the caller's claims; empty selects everything.


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """A journal as the key space has it at `header.etcd.revision`."""

    status: Status
    header: Header
    local_id: ProcessID
    journal: str  # Without `;meta`.
    item: Item | None
    assignments: tuple[Assignment, ...]

    @property
    def is_local(self) -> bool:
        """Tell whether this broker serves the request, or answers it with its Status."""
        return self.header.process_id == self.local_id

    @property
    def is_advertised(self) -> bool:
        """Tell whether every assignment shows the Route of this resolution."""
        return all(a.route.is_equivalent(self.header.route) for a in self.assignments)


def local_id(keyspace: KeySpace, self_id: ProcessID) -> ProcessID:
    """Return our ID, or its stand-in while our member key is absent."""
    return self_id if self_id in keyspace.members else MISSING_MEMBER


def unrouted_header(keyspace: KeySpace, self_id: ProcessID) -> Header:
    """Return the header of responses which concern no one journal."""
    known = self_id if self_id in keyspace.members else ProcessID()
    return Header(process_id=known, route=Route(), etcd=keyspace.header)


def resolve(
    keyspace: KeySpace, self_id: ProcessID, journal: str, options: ResolveOptions
) -> Resolution:
    """Resolve `journal`, which may carry `;meta`, against the key space as it is now."""
    name = strip_meta(journal)
    us = local_id(keyspace, self_id)
    item = keyspace.item(name)
    assignments, route = keyspace.assignments_of(name), keyspace.route_of(name)
    if item is not None and not options.selector.matches(item.spec.selectable_labels()):
        item, assignments, route = None, (), Route()
    target = _target(route, us, options)
    status = _status(item, route, target, us, options)
    return Resolution(
        status=status,
        header=Header(
            process_id=us if status is not Status.OK else target,
            route=route,
            etcd=keyspace.header,
        ),
        local_id=us,
        journal=name,
        item=item,
        assignments=assignments,
    )


def _target(route: Route, us: ProcessID, options: ResolveOptions) -> ProcessID:
    """Return the broker which shall serve; the zero ID if any member may, and we are none."""
    if options.requires_primary:
        return route.primary_id or ProcessID()
    return us if us in route.members else ProcessID()


def _status(
    item: Item | None, route: Route, target: ProcessID, us: ProcessID, options: ResolveOptions
) -> Status:
    if item is None:
        return Status.JOURNAL_NOT_FOUND
    if item.spec.suspend.level is SuspendLevel.FULL:
        return Status.SUSPENDED
    if options.requires_primary and route.primary < 0:
        return Status.NO_JOURNAL_PRIMARY_BROKER
    if not route.members:
        return Status.INSUFFICIENT_JOURNAL_BROKERS
    if not options.may_proxy and target != us:
        if options.requires_primary:
            return Status.NOT_JOURNAL_PRIMARY_BROKER
        return Status.NOT_JOURNAL_BROKER
    return Status.OK
