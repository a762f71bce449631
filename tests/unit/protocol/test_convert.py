"""Messages and values, against the golden bytes of the wire."""

import hashlib

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError

from gazette_py.pb import protocol_pb2 as pb
from gazette_py.protocol import convert
from gazette_py.protocol.enums import CompressionCodec, Status, SuspendLevel
from gazette_py.protocol.fragment import ZERO_SUM, Fragment
from gazette_py.protocol.journal import FragmentSpec, JournalSpec, Suspend
from gazette_py.protocol.labels import Label, LabelSelector, LabelSet
from gazette_py.protocol.route import BrokerSpec, EtcdHeader, Header, ProcessID, Route

TWO = Route((ProcessID("zone-a", "broker-1"), ProcessID("zone-b", "broker-2")), 0)
TWO_BYTES = "0a120a067a6f6e652d61120862726f6b65722d310a120a067a6f6e652d62120862726f6b65722d32"


@pytest.mark.parametrize(
    ("route", "golden"),
    [
        (Route(), "10ffffffffffffffffff01"),
        (TWO, TWO_BYTES),
        (Route(TWO.members, 1), TWO_BYTES + "1001"),
    ],
)
def test_routes_by_their_bytes(route: Route, golden: str) -> None:
    assert convert.route_to_pb(route).SerializeToString().hex() == golden
    assert convert.route_from_pb(pb.Route.FromString(bytes.fromhex(golden))) == route


def test_a_sum_by_its_bytes() -> None:
    digest = hashlib.sha1(b"foobar").digest()
    message = convert.sum_to_pb(digest)
    assert (message.part1, message.part2, message.part3) == (
        0x8843D7F92416211D,
        0xE9EBB963FF4CE281,
        0x25932878,
    )
    golden = "091d211624f9d743881181e24cff63b9ebe91d78289325"
    assert message.SerializeToString().hex() == golden
    assert convert.sum_from_pb(message) == digest
    assert convert.sum_from_pb(pb.SHA1Sum()) == ZERO_SUM


def test_a_draining_member_gains_two_bytes() -> None:
    broker = BrokerSpec(id=TWO.members[0], endpoint="http://one", journal_limit=5)
    plain = convert.broker_to_pb(broker).SerializeToString()
    broker = BrokerSpec(id=broker.id, endpoint="http://one", journal_limit=5, exiting=True)
    message = convert.broker_to_pb(broker)
    assert message.SerializeToString() == plain + b"\x18\x01"
    assert convert.broker_from_pb(message) == broker


def test_headers_and_selectors_round_trip() -> None:
    header = Header(
        process_id=TWO.members[0],
        route=TWO,
        etcd=EtcdHeader(cluster_id=(1 << 64) - 1, member_id=2, revision=3, raft_term=4),
    )
    assert convert.header_from_pb(convert.header_to_pb(header)) == header
    selector = LabelSelector(LabelSet((Label("aa", "x", prefix=True),)), LabelSet.of(("bb", "y")))
    assert convert.selector_from_pb(convert.selector_to_pb(selector)) == selector


def test_specs_round_trip_with_every_field() -> None:
    spec = JournalSpec(
        name="a/journal",
        replication=3,
        labels=LabelSet.of(("aa", "1")),
        fragment=FragmentSpec(
            length=1024,
            compression_codec=CompressionCodec.SNAPPY,
            stores=("s3://a/", "s3://b/"),
            refresh_interval_ns=1_500_000_000,
            retention_ns=-1,
            flush_interval_ns=60_000_000_000,
            path_postfix_template="x",
        ),
        flags=4,
        max_append_rate=7,
        suspend=Suspend(SuspendLevel.PARTIAL, 99),
    )
    assert convert.journal_from_pb(convert.journal_to_pb(spec)) == spec
    assert not convert.journal_to_pb(JournalSpec()).HasField("suspend")


def test_fragments_round_trip() -> None:
    fragment = Fragment(
        journal="a/journal",
        begin=1,
        end=2,
        sum=hashlib.sha1(b"x").digest(),
        compression_codec=CompressionCodec.ZSTANDARD,
        backing_store="s3://b/",
        mod_time=3,
        path_postfix="p",
    )
    assert convert.fragment_from_pb(convert.fragment_to_pb(fragment)) == fragment
    # A sum which was left out equals one which is all zero.
    bare = pb.Fragment(journal="a/journal", compression_codec=pb.NONE)
    assert convert.fragment_from_pb(bare) == Fragment(journal="a/journal")


def test_unknown_numbers_of_newer_peers() -> None:
    assert convert.codec_from_number(99) is CompressionCodec.INVALID
    with pytest.raises(ValueError, match="9"):
        convert.journal_from_pb(pb.JournalSpec(suspend=pb.JournalSpec.Suspend(level=9)))  # type: ignore[arg-type]


@pytest.mark.parametrize("duration_ns", [0, 1, -1, 1_500_000_000, -1_500_000_000, 1 << 62])
def test_durations_round_trip(duration_ns: int) -> None:
    message = convert.duration_to_pb(duration_ns)
    assert convert.duration_from_pb(message) == duration_ns
    assert message.seconds * message.nanos >= 0  # Both take the sign.


@pytest.mark.parametrize(
    ("seconds", "nanos", "duration_ns"),
    [
        (9_223_372_036, 854_775_807, (1 << 63) - 1),
        (-9_223_372_036, -854_775_808, -(1 << 63)),
        (0, 999_999_999, 999_999_999),
        (0, -999_999_999, -999_999_999),
    ],
)
def test_durations_at_their_bounds(seconds: int, nanos: int, duration_ns: int) -> None:
    assert convert.duration_from_pb(Duration(seconds=seconds, nanos=nanos)) == duration_ns


@pytest.mark.parametrize(
    ("seconds", "nanos"),
    [
        (9_223_372_036, 854_775_808),
        (-9_223_372_036, -854_775_809),
        (315_576_000_000, 0),
        ((1 << 63) - 1, 0),
        (-(1 << 63), 0),
        (1, -1),
        (-1, 1),
        (1, 1_000_000_000),
        (0, -1_000_000_000),
    ],
)
def test_durations_which_are_none(seconds: int, nanos: int) -> None:
    with pytest.raises(DecodeError):
        convert.duration_from_pb(Duration(seconds=seconds, nanos=nanos))


def test_numbers_of_statuses_are_the_wire_s() -> None:
    assert {status.name: int(status) for status in Status} == dict(pb.Status.items())
    assert {c.name: int(c) for c in CompressionCodec} == dict(pb.CompressionCodec.items())
