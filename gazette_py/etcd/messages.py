"""Between the values of `etcd.base` and etcd's messages. Pure."""

from typing import Final

from gazette_py.etcd.base import Compare, Event, KeyValue, Op, Put, ResponseHeader, Target
from gazette_py.pb import etcd_pb2 as pb

_COMPARED_FIELDS: Final = {
    Target.VERSION: "version",
    Target.CREATE: "create_revision",
    Target.MOD: "mod_revision",
    Target.LEASE: "lease",
}


def key_range(prefix: bytes) -> tuple[bytes, bytes]:
    """Return the keys [first, end) which begin with `prefix`. etcd writes "no end" as a zero."""
    stripped = prefix.rstrip(b"\xff")
    end = stripped[:-1] + bytes([stripped[-1] + 1]) if stripped else b"\0"
    return prefix or b"\0", end  # No key is empty, and etcd refuses to look for one.


def header_of(message: pb.ResponseHeader) -> ResponseHeader:
    """Return the header of a response."""
    return ResponseHeader(
        cluster_id=message.cluster_id,
        member_id=message.member_id,
        revision=message.revision,
        raft_term=message.raft_term,
    )


def key_value(message: pb.KeyValue) -> KeyValue:
    """Return a key as etcd sent it."""
    return KeyValue(
        key=message.key,
        value=message.value,
        create_revision=message.create_revision,
        mod_revision=message.mod_revision,
        version=message.version,
        lease=message.lease,
    )


def event_of(message: pb.Event) -> Event:
    """Return an event of a watch."""
    return Event(key_value(message.kv), message.type == pb.Event.DELETE)


def compare_message(compare: Compare) -> pb.Compare:
    """Return the guard as etcd wants it."""
    message = pb.Compare(
        key=compare.key,
        target=pb.Compare.CompareTarget.ValueType(compare.target.value),
        result=pb.Compare.EQUAL,
    )
    setattr(message, _COMPARED_FIELDS[compare.target], compare.equals)
    return message


def op_message(op: Op) -> pb.RequestOp:
    """Return the operation as etcd wants it."""
    if isinstance(op, Put):
        put = pb.PutRequest(
            key=op.key, value=op.value, lease=op.lease, ignore_lease=op.ignore_lease
        )
        return pb.RequestOp(request_put=put)
    return pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=op.key))
