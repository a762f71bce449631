"""Key spaces of tests, made of the keys and values which etcd would have."""

from dataclasses import dataclass, field
from typing import Any

from gazette_py.core.keyspace import KeySpace
from gazette_py.etcd.base import KeyValue, ResponseHeader
from gazette_py.protocol import convert, keys
from gazette_py.protocol.enums import CompressionCodec
from gazette_py.protocol.journal import FragmentSpec, JournalSpec
from gazette_py.protocol.route import BrokerSpec, ProcessID, Route

ROOT = "/gazette/cluster"


def header(revision: int, cluster_id: int = 1) -> ResponseHeader:
    return ResponseHeader(cluster_id=cluster_id, member_id=2, revision=revision, raft_term=3)


def process(text: str) -> ProcessID:
    """Return the ID of `zone/suffix`."""
    zone, _, suffix = text.partition("/")
    return ProcessID(zone, suffix)


def spec(name: str, replication: int = 3, **more: Any) -> JournalSpec:
    return JournalSpec(
        name=name,
        replication=replication,
        fragment=FragmentSpec(
            length=1024,
            compression_codec=CompressionCodec.NONE,
            refresh_interval_ns=1_000_000_000,
        ),
        **more,
    )


@dataclass
class Maker:
    """Makes keys, each at a revision of its own."""

    revision: int = 10
    kvs: dict[bytes, KeyValue] = field(default_factory=dict)
    good: dict[bytes, KeyValue] = field(default_factory=dict)  # The last which decoded.

    def put(self, key: str, value: bytes, lease: int = 0) -> KeyValue:
        self.revision += 1
        before = self.kvs.get(key.encode())
        kv = KeyValue(
            key=key.encode(),
            value=value,
            create_revision=before.create_revision if before else self.revision,
            mod_revision=self.revision,
            version=1,
            lease=lease,
        )
        self.kvs[kv.key] = self.good[kv.key] = kv
        return kv

    def broken_item(self, name: str) -> KeyValue:
        """Store what is no spec under an item's key."""
        good = self.good.get(keys.item_key(ROOT, name).encode())
        kv = self.put(keys.item_key(ROOT, name), b"\xff")
        del self.good[kv.key]
        if good is not None:
            self.good[kv.key] = good
        return kv

    def item(self, name: str, replication: int = 3, **more: Any) -> KeyValue:
        value = convert.journal_to_pb(spec(name, replication, **more)).SerializeToString()
        return self.put(keys.item_key(ROOT, name), value)

    def member(self, text: str, limit: int = 10, *, exiting: bool = False) -> KeyValue:
        broker = BrokerSpec(
            id=process(text), endpoint=f"http://{text}", journal_limit=limit, exiting=exiting
        )
        value = convert.broker_to_pb(broker).SerializeToString()
        return self.put(keys.member_key(ROOT, broker.id), value, lease=self.revision + 1)

    def assign(self, journal: str, member: str, slot: int, route: Route | None = None) -> KeyValue:
        key = keys.assignment_key(ROOT, journal, process(member), slot)
        value = b"" if route is None else convert.route_to_pb(route).SerializeToString()
        return self.put(key, value, lease=99)

    def assign_all(self, journal: str, *members: str, consistent: bool = True) -> None:
        """Assign to members, the first as primary, all of which advertise the Route."""
        ids = sorted(process(member) for member in members)
        route = Route(tuple(ids), ids.index(process(members[0])))
        for slot, member in enumerate(members):
            self.assign(journal, member, slot, route if consistent else None)

    def delete(self, key: bytes) -> KeyValue:
        self.revision += 1
        del self.kvs[key]
        self.good.pop(key, None)
        return KeyValue(key=key, mod_revision=self.revision)

    def keyspace(self, *, last_good: bool = False) -> KeySpace:
        """Load what is stored, or what was last stored of each key that decoded."""
        loaded = KeySpace(ROOT)
        of = self.good if last_good else self.kvs
        kvs = [of[key] for key in sorted(of)]
        loaded.load(header(self.revision), kvs, self.revision)
        return loaded
