"""The key space of a cluster: a decoded, sorted mirror of one etcd prefix.

Pure. It is loaded once and then follows batches of events, each in time proportional to what
changed.

Invariants:
    KS1  `header.revision` is the greatest modification revision of any key below the root,
         decodable or not, deletions included. Progress moves `read_through` only.
    KS2  A value which does not decode never fails the mirror: a new key is ignored, a known one
         keeps its last good value and the revision of that.
    KS3  A batch is applied whole or, if it contradicts what we know, not at all.

Source: gazette/core keyspace/key_space.go, broker/key_space.go, allocator/allocator_key_space.go.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from google.protobuf.message import DecodeError

from gazette_py.errors import GazetteError, ValidationError
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.protocol import convert
from gazette_py.protocol.journal import JournalSpec
from gazette_py.protocol.journal_rules import validate_journal_spec
from gazette_py.protocol.keys import (
    AssignmentKey,
    ItemKey,
    MemberKey,
    ParsedKey,
    item_key,
    parse_key,
)
from gazette_py.protocol.route import (
    BrokerSpec,
    EtcdHeader,
    ProcessID,
    Route,
    validate_broker_spec,
    validate_route,
)


class KeySpaceInconsistentError(GazetteError):
    """What etcd sends contradicts what it sent before. The mirror must be loaded anew."""


class StoredKey(Protocol):
    """A key as etcd has it."""

    @property
    def key(self) -> bytes:
        """Return the key."""
        ...

    @property
    def value(self) -> bytes:
        """Return the value."""
        ...

    @property
    def create_revision(self) -> int:
        """Return the store revision at which the key came to be."""
        ...

    @property
    def mod_revision(self) -> int:
        """Return the store revision of its last change."""
        ...

    @property
    def lease(self) -> int:
        """Return the lease it ends with, or 0."""
        ...


class StoredEvent(Protocol):
    """A change of a key."""

    @property
    def kv(self) -> StoredKey:
        """Return the key as it is now; of a deletion only its name and revision."""
        ...

    @property
    def is_delete(self) -> bool:
        """Tell whether the key is gone."""
        ...


class StoreHeader(Protocol):
    """Who answered, at which store revision."""

    @property
    def cluster_id(self) -> int:
        """Return the cluster's ID."""
        ...

    @property
    def member_id(self) -> int:
        """Return the ID of the member which answered."""
        ...

    @property
    def revision(self) -> int:
        """Return the revision of the store."""
        ...

    @property
    def raft_term(self) -> int:
        """Return the term of the leader."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A journal."""

    name: str
    spec: JournalSpec
    value: bytes  # As stored: it may hold fields which we do not know.
    create_revision: int
    mod_revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A broker."""

    broker: BrokerSpec
    key: bytes
    create_revision: int
    mod_revision: int
    lease: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A journal's assignment to a broker, and the Route it last advertised."""

    journal: str
    member: ProcessID
    slot: int  # 0: primary.
    route: Route  # Of an empty value: without members.
    value: bytes
    key: bytes
    create_revision: int
    mod_revision: int
    lease: int


@dataclass(slots=True)
class Delta:
    """What a batch changed."""

    revision: int
    items: set[str] = field(default_factory=set)  # Journals whose item changed.
    members: set[ProcessID] = field(default_factory=set)
    journals: set[str] = field(default_factory=set)  # Journals whose assignments changed.
    advertised: dict[str, list[Route]] = field(default_factory=dict)  # Which assignments showed.
    undecodable: dict[bytes, str] = field(default_factory=dict)  # By key: what is wrong with it.
    is_reload: bool = False  # More may have happened than is told here.

    def __bool__(self) -> bool:
        return bool(self.items or self.members or self.journals)


@dataclass(frozen=True, slots=True)
class Holding:
    """What a mirror held at some time. It never changes, so that a thread may compare it."""

    root: str
    items: list[Item]
    members: list[Member]
    assignments: list[tuple[Assignment, ...]]
    undecodable: dict[bytes, int]  # Revisions of values which did not decode.

    def differing(self, listed: Mapping[bytes, int], revision: int) -> set[tuple[bytes, int]]:
        """Return the keys in which a listing of etcd differs from the mirror, which is as new.

        A key which was deleted since the listing may be among them.

        Args:
            listed: Modification revisions of all keys below the root.
            revision: Of the listing, at most the mirror's `read_through`.

        Returns:
            Each with its revision in the listing, 0 if it is not there.
        """
        held = dict(self.undecodable)
        for key, mod_revision in self._held():
            held[key] = max(mod_revision, held.get(key, 0))
        gone = {(key, 0) for key, mod in held.items() if mod <= revision and key not in listed}
        return gone | {
            (key, mod)
            for key, mod in listed.items()
            if held.get(key, 0) < mod and parse_key(self.root, key) is not None
        }

    def _held(self) -> Iterator[tuple[bytes, int]]:
        for item in self.items:
            yield item_key(self.root, item.name).encode(), item.mod_revision
        for member in self.members:
            yield member.key, member.mod_revision
        for assignments in self.assignments:
            for assignment in assignments:
                yield assignment.key, assignment.mod_revision


class KeySpace:
    """The mirror. Its mappings are for reading; `load` and `apply` change them."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.header = EtcdHeader(cluster_id=0, member_id=0, revision=0, raft_term=0)
        self.read_through = 0  # Everything up to here has been seen.
        self.items: dict[str, Item] = {}
        self.members: dict[ProcessID, Member] = {}
        self._item_names: list[str] = []  # Sorted.
        self._assignments: dict[str, dict[bytes, Assignment]] = {}
        self._sorted: dict[str, tuple[Assignment, ...]] = {}  # Cache, by journal.
        self._by_member: dict[ProcessID, dict[bytes, Assignment]] = {}
        self._undecodable: dict[bytes, int] = {}  # Revisions of values which did not decode.

    # Reading.

    def item(self, name: str) -> Item | None:
        """Return a journal."""
        return self.items.get(name)

    def items_sorted(self) -> list[Item]:
        """Return all journals, by name."""
        return [self.items[name] for name in self._item_names]

    def assignments_of(self, journal: str) -> tuple[Assignment, ...]:
        """Return a journal's assignments in the order of their keys."""
        found = self._sorted.get(journal)
        if found is None:
            keyed = self._assignments.get(journal, {})
            found = self._sorted[journal] = tuple(keyed[key] for key in sorted(keyed))
        return found

    def assigned_journals(self) -> Iterable[str]:
        """Return the names which have assignments, whether or not an item exists."""
        return self._assignments.keys()

    def assignments_by_member(self, member: ProcessID) -> list[Assignment]:
        """Return a broker's assignments, in no particular order."""
        return list(self._by_member.get(member, {}).values())

    def route_of(self, journal: str) -> Route:
        """Return the Route which the journal's assignments make, with endpoints."""
        assignments = self.assignments_of(journal)
        if not assignments:
            return Route()
        members = tuple(a.member for a in assignments)
        primary = next((i for i, a in enumerate(assignments) if a.slot == 0), -1)
        return Route(members, primary, tuple(self._endpoint(member) for member in members))

    def _endpoint(self, member: ProcessID) -> str:
        known = self.members.get(member)
        return known.broker.endpoint if known is not None else ""

    def is_consistent(self, journal: str) -> bool:
        """Tell whether every assignment advertises the Route which they make."""
        route = self.route_of(journal)
        return all(a.route.is_equivalent(route) for a in self.assignments_of(journal))

    def holding(self) -> "Holding":
        """Return what the mirror holds now, to be compared while it goes on."""
        return Holding(
            self.root,
            list(self.items.values()),
            list(self.members.values()),
            [tuple(assignments.values()) for assignments in self._assignments.values()],
            dict(self._undecodable),
        )

    # Changing.

    def load(self, header: StoreHeader, kvs: Iterable[StoredKey], revision: int) -> Delta:
        """Replace all by a listing taken at `revision`; return what is there now."""
        self.items.clear()
        self.members.clear()
        for mapping in (self._assignments, self._sorted, self._by_member, self._undecodable):
            mapping.clear()
        self._item_names = []
        delta = Delta(revision)
        for kv in kvs:
            self._put(kv, delta)
        self.header = EtcdHeader(
            cluster_id=header.cluster_id,
            member_id=header.member_id,
            revision=revision,
            raft_term=header.raft_term,
        )
        self.read_through = revision
        return delta

    def become(self, other: "KeySpace") -> None:
        """Take over all that another mirror of the same root holds. It must not be used again."""
        self.__dict__.update(other.__dict__)

    def apply(self, batches: Sequence[tuple[StoreHeader, Sequence[StoredEvent]]]) -> Delta:
        """Apply batches in order. A batch without events is progress up to its header's revision.

        Raises:
            KeySpaceInconsistentError: A batch is of another cluster, or older than what we have.
        """
        self._check(batches)
        delta = Delta(self.header.revision)
        for header, events in batches:
            for event in events:
                if event.is_delete:
                    self._delete(event.kv.key, delta)
                else:
                    self._put(event.kv, delta)
            revision = events[-1].kv.mod_revision if events else 0
            self.header = replace(
                self.header,
                member_id=header.member_id,
                raft_term=header.raft_term,
                revision=max(self.header.revision, revision),
            )
            # Of a response with events, the header may be ahead of what it brings.
            seen = self.header.revision if events else header.revision
            self.read_through = max(self.read_through, seen)
        delta.revision = self.header.revision
        return delta

    def _check(self, batches: Sequence[tuple[StoreHeader, Sequence[StoredEvent]]]) -> None:
        last = self.header.revision
        for header, events in batches:
            if header.cluster_id != self.header.cluster_id:
                raise KeySpaceInconsistentError(
                    f"etcd cluster changed from {self.header.cluster_id:x} to {header.cluster_id:x}"
                )
            # Progress may be late: events have another queue in etcd, and may overtake it; and whom
            # we watch anew may be behind. It then tells nothing, and contradicts nothing.
            if events and header.revision < last:
                raise KeySpaceInconsistentError(
                    f"etcd answers at revision {header.revision}, after {last}"
                )
            if events:
                if events[0].kv.mod_revision <= last:
                    raise KeySpaceInconsistentError(
                        f"etcd sends an event of revision {events[0].kv.mod_revision}, after {last}"
                    )
                last = events[-1].kv.mod_revision

    def _put(self, kv: StoredKey, delta: Delta) -> None:
        key = parse_key(self.root, kv.key)
        try:
            match key:
                case ItemKey(journal):
                    self._put_item(journal, kv)
                    delta.items.add(journal)
                case MemberKey(member):
                    self._put_member(member, kv)
                    delta.members.add(member)
                case AssignmentKey():
                    route = self._put_assignment(key, kv)
                    delta.journals.add(key.journal)
                    if route.members:
                        delta.advertised.setdefault(key.journal, []).append(route)
                case None:
                    return
            self._undecodable.pop(kv.key, None)
        except (DecodeError, ValidationError, ValueError) as exc:
            self._undecodable[kv.key] = kv.mod_revision  # KS2
            delta.undecodable[kv.key] = str(exc)

    def _put_item(self, journal: str, kv: StoredKey) -> None:
        spec = convert.journal_from_pb(pb.JournalSpec.FromString(kv.value))
        validate_journal_spec(spec)
        _require_equal("Name", spec.name, journal)
        if journal not in self.items:
            insort(self._item_names, journal)
        self.items[journal] = Item(
            name=journal,
            spec=spec,
            value=kv.value,
            create_revision=kv.create_revision,
            mod_revision=kv.mod_revision,
        )

    def _put_member(self, member: ProcessID, kv: StoredKey) -> None:
        broker = convert.broker_from_pb(pb.BrokerSpec.FromString(kv.value))
        validate_broker_spec(broker)
        _require_equal("Id", str(broker.id), str(member))
        self.members[member] = Member(
            broker=broker,
            key=kv.key,
            create_revision=kv.create_revision,
            mod_revision=kv.mod_revision,
            lease=kv.lease,
        )

    def _put_assignment(self, key: AssignmentKey, kv: StoredKey) -> Route:
        route = Route()
        if kv.value:
            route = convert.route_from_pb(pb.Route.FromString(kv.value))
            validate_route(route)
        assignment = Assignment(
            journal=key.journal,
            member=key.member,
            slot=key.slot,
            route=route,
            value=kv.value,
            key=kv.key,
            create_revision=kv.create_revision,
            mod_revision=kv.mod_revision,
            lease=kv.lease,
        )
        self._assignments.setdefault(key.journal, {})[kv.key] = assignment
        self._by_member.setdefault(key.member, {})[kv.key] = assignment
        self._sorted.pop(key.journal, None)
        return route

    def _delete(self, raw: bytes, delta: Delta) -> None:
        key: ParsedKey | None = parse_key(self.root, raw)
        self._undecodable.pop(raw, None)
        match key:
            case ItemKey(journal):
                if self.items.pop(journal, None) is not None:
                    del self._item_names[bisect_left(self._item_names, journal)]
                    delta.items.add(journal)
            case MemberKey(member):
                if self.members.pop(member, None) is not None:
                    delta.members.add(member)
            case AssignmentKey(journal, member):
                self._delete_assignment(journal, member, raw, delta)
            case None:
                return

    def _delete_assignment(self, journal: str, member: ProcessID, raw: bytes, delta: Delta) -> None:
        keyed = self._assignments.get(journal, {})
        if keyed.pop(raw, None) is None:
            return
        if not keyed:
            del self._assignments[journal]
        ours = self._by_member[member]
        del ours[raw]
        if not ours:
            del self._by_member[member]
        self._sorted.pop(journal, None)
        delta.journals.add(journal)


def _require_equal(path: str, value: str, wanted: str) -> None:
    if value != wanted:
        raise ValidationError(path, f"must equal the key's ({value}; expected {wanted})")
