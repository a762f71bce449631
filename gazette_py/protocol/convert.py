"""Generated messages <-> values. The only module of `protocol` which touches `pb`.

Conversions from messages do not validate. Unknown enum numbers become the invalid or zero member of
journal specs and fragments, which validation then refuses; an unknown Status is `ValueError`.
Presence which carries meaning (registers, an empty proposal) is always written.

A duration which the reference cannot decode is a `DecodeError` here, too: a spec with one, once
written to etcd, would be a journal for our brokers alone.
"""

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError

from gazette_py.pb import protocol_pb2 as pb
from gazette_py.protocol.enums import CompressionCodec, SuspendLevel
from gazette_py.protocol.fragment import ZERO_SUM, Fragment
from gazette_py.protocol.journal import FragmentSpec, JournalSpec, Suspend
from gazette_py.protocol.labels import Label, LabelSelector, LabelSet
from gazette_py.protocol.route import BrokerSpec, EtcdHeader, Header, ProcessID, Route

_NS = 1_000_000_000


def labels_from_pb(message: pb.LabelSet) -> LabelSet:
    """Convert, keeping the order given."""
    return LabelSet(tuple(Label(m.name, m.value, m.prefix) for m in message.labels))


def labels_to_pb(labels: LabelSet) -> pb.LabelSet:
    """Convert, keeping the order given."""
    return pb.LabelSet(
        labels=[pb.Label(name=v.name, value=v.value, prefix=v.prefix) for v in labels]
    )


def selector_from_pb(message: pb.LabelSelector) -> LabelSelector:
    """Convert, keeping the order given."""
    return LabelSelector(labels_from_pb(message.include), labels_from_pb(message.exclude))


def selector_to_pb(selector: LabelSelector) -> pb.LabelSelector:
    """Convert, keeping the order given."""
    return pb.LabelSelector(
        include=labels_to_pb(selector.include), exclude=labels_to_pb(selector.exclude)
    )


def process_id_from_pb(message: pb.ProcessSpec.ID) -> ProcessID:
    """Convert; an absent message is the zero ID."""
    return ProcessID(message.zone, message.suffix)


def process_id_to_pb(process_id: ProcessID) -> pb.ProcessSpec.ID:
    """Convert."""
    return pb.ProcessSpec.ID(zone=process_id.zone, suffix=process_id.suffix)


def broker_from_pb(message: pb.BrokerSpec) -> BrokerSpec:
    """Convert."""
    return BrokerSpec(
        id=process_id_from_pb(message.process_spec.id),
        endpoint=message.process_spec.endpoint,
        journal_limit=message.journal_limit,
        exiting=message.exiting,
    )


def broker_to_pb(broker: BrokerSpec) -> pb.BrokerSpec:
    """Convert."""
    return pb.BrokerSpec(
        process_spec=pb.ProcessSpec(id=process_id_to_pb(broker.id), endpoint=broker.endpoint),
        journal_limit=broker.journal_limit,
        exiting=broker.exiting,
    )


def route_from_pb(message: pb.Route) -> Route:
    """Convert. A message which was absent has primary 0: callers check presence first."""
    return Route(
        tuple(process_id_from_pb(m) for m in message.members),
        message.primary,
        tuple(message.endpoints),
    )


def route_to_pb(route: Route) -> pb.Route:
    """Convert. The primary of an empty route is written as -1."""
    return pb.Route(
        members=[process_id_to_pb(m) for m in route.members],
        primary=route.primary,
        endpoints=route.endpoints,
    )


def header_from_pb(message: pb.Header) -> Header:
    """Convert."""
    return Header(
        process_id=process_id_from_pb(message.process_id),
        route=route_from_pb(message.route),
        etcd=EtcdHeader(
            cluster_id=message.etcd.cluster_id,
            member_id=message.etcd.member_id,
            revision=message.etcd.revision,
            raft_term=message.etcd.raft_term,
        ),
    )


def header_to_pb(header: Header) -> pb.Header:
    """Convert."""
    return pb.Header(
        process_id=process_id_to_pb(header.process_id),
        route=route_to_pb(header.route),
        etcd=pb.Header.Etcd(
            cluster_id=header.etcd.cluster_id,
            member_id=header.etcd.member_id,
            revision=header.etcd.revision,
            raft_term=header.etcd.raft_term,
        ),
    )


def sum_from_pb(message: pb.SHA1Sum) -> bytes:
    """Return the 20 bytes of the digest."""
    if not (message.part1 or message.part2 or message.part3):
        return ZERO_SUM
    return (
        message.part1.to_bytes(8, "big")
        + message.part2.to_bytes(8, "big")
        + message.part3.to_bytes(4, "big")
    )


def sum_to_pb(digest: bytes) -> pb.SHA1Sum:
    """Convert the 20 bytes of a digest."""
    return pb.SHA1Sum(
        part1=int.from_bytes(digest[0:8], "big"),
        part2=int.from_bytes(digest[8:16], "big"),
        part3=int.from_bytes(digest[16:20], "big"),
    )


def fragment_from_pb(message: pb.Fragment) -> Fragment:
    """Convert. Equal fragments give equal values, whether or not a zero sum was written."""
    return Fragment(
        journal=message.journal,
        begin=message.begin,
        end=message.end,
        sum=sum_from_pb(message.sum),
        compression_codec=codec_from_number(message.compression_codec),
        backing_store=message.backing_store,
        mod_time=message.mod_time,
        path_postfix=message.path_postfix,
    )


def fragment_to_pb(fragment: Fragment) -> pb.Fragment:
    """Convert."""
    return pb.Fragment(
        journal=fragment.journal,
        begin=fragment.begin,
        end=fragment.end,
        sum=sum_to_pb(fragment.sum),
        compression_codec=pb.CompressionCodec.ValueType(fragment.compression_codec),
        backing_store=fragment.backing_store,
        mod_time=fragment.mod_time,
        path_postfix=fragment.path_postfix,
    )


def codec_from_number(number: int) -> CompressionCodec:
    """Return the codec, INVALID for an unknown number."""
    try:
        return CompressionCodec(number)
    except ValueError:
        return CompressionCodec.INVALID


def journal_from_pb(message: pb.JournalSpec) -> JournalSpec:
    """Convert. An unknown suspend level is a `ValueError`, a bad duration a `DecodeError`."""
    fragment = message.fragment
    return JournalSpec(
        name=message.name,
        replication=message.replication,
        labels=labels_from_pb(message.labels),
        fragment=FragmentSpec(
            length=fragment.length,
            compression_codec=codec_from_number(fragment.compression_codec),
            stores=tuple(fragment.stores),
            refresh_interval_ns=duration_from_pb(fragment.refresh_interval),
            retention_ns=duration_from_pb(fragment.retention),
            flush_interval_ns=duration_from_pb(fragment.flush_interval),
            path_postfix_template=fragment.path_postfix_template,
        ),
        flags=message.flags,
        max_append_rate=message.max_append_rate,
        suspend=Suspend(SuspendLevel(message.suspend.level), message.suspend.offset),
    )


def journal_to_pb(spec: JournalSpec) -> pb.JournalSpec:
    """Convert. Suspend is written only where it is not zero."""
    message = pb.JournalSpec(
        name=spec.name,
        replication=spec.replication,
        labels=labels_to_pb(spec.labels),
        fragment=pb.JournalSpec.Fragment(
            length=spec.fragment.length,
            compression_codec=pb.CompressionCodec.ValueType(spec.fragment.compression_codec),
            stores=spec.fragment.stores,
            refresh_interval=duration_to_pb(spec.fragment.refresh_interval_ns),
            retention=duration_to_pb(spec.fragment.retention_ns),
            flush_interval=duration_to_pb(spec.fragment.flush_interval_ns),
            path_postfix_template=spec.fragment.path_postfix_template,
        ),
        flags=spec.flags,
        max_append_rate=spec.max_append_rate,
    )
    if spec.suspend != Suspend():
        message.suspend.CopyFrom(suspend_to_pb(spec.suspend))
    return message


def suspend_to_pb(suspend: Suspend) -> pb.JournalSpec.Suspend:
    """Convert."""
    return pb.JournalSpec.Suspend(
        level=pb.JournalSpec.Suspend.Level.ValueType(suspend.level), offset=suspend.offset
    )


def duration_from_pb(message: Duration) -> int:
    """Return nanoseconds.

    Raises:
        DecodeError: Its parts have different signs, or it is beyond some 292 years.
    """
    seconds, nanos = message.seconds, message.nanos
    total_ns = seconds * _NS + nanos
    if abs(nanos) >= _NS or seconds * nanos < 0 or not -(1 << 63) <= total_ns < 1 << 63:
        raise DecodeError(f"duration of {seconds} s and {nanos} ns is out of range")
    return total_ns


def duration_to_pb(duration_ns: int) -> Duration:
    """Convert nanoseconds; both fields take the sign."""
    sign = -1 if duration_ns < 0 else 1
    seconds, nanos = divmod(abs(duration_ns), _NS)
    return Duration(seconds=sign * seconds, nanos=sign * nanos)
