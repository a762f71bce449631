"""Golden sequences of the protocol, by generated code alone: `wire_client.py STUBS ADDRESS`.

Nothing of gazette_py is imported here.
"""

import hashlib
import sys
import time

sys.path.insert(0, sys.argv[1])

import grpc
import protocol_pb2 as pb
import protocol_pb2_grpc

ADDRESS = sys.argv[2].removeprefix("http://")
JOURNAL = "golden/journal"


def labels(**values: str) -> pb.LabelSet:
    return pb.LabelSet(labels=[pb.Label(name=k, value=v) for k, v in sorted(values.items())])


def append(stub, *contents: bytes, **fields: object):
    def messages():
        yield pb.AppendRequest(journal=JOURNAL, **fields)
        for content in contents:
            yield pb.AppendRequest(content=content)
        yield pb.AppendRequest()

    return stub.Append(messages(), timeout=30)


def create(stub) -> None:
    spec = pb.JournalSpec(
        name=JOURNAL,
        replication=3,
        fragment=pb.JournalSpec.Fragment(
            length=1 << 20, compression_codec=pb.SNAPPY, stores=["file:///"]
        ),
    )
    spec.fragment.refresh_interval.seconds = 1
    change = pb.ApplyRequest.Change(upsert=spec, expect_mod_revision=0)
    answer = stub.Apply(pb.ApplyRequest(changes=[change]))
    assert answer.status == pb.OK
    assert answer.header.route.primary == -1
    assert answer.header.etcd.cluster_id
    again = stub.Apply(pb.ApplyRequest(changes=[change]))
    assert again.status == pb.ETCD_TRANSACTION_FAILED


def wait_served(stub) -> None:
    deadline = time.monotonic() + 30
    while (answer := append(stub)).status != pb.OK:
        assert answer.status in (
            pb.NO_JOURNAL_PRIMARY_BROKER,
            pb.INSUFFICIENT_JOURNAL_BROKERS,
            pb.NOT_JOURNAL_PRIMARY_BROKER,
        )
        assert time.monotonic() < deadline
        time.sleep(0.05)


def empty_append(stub) -> None:
    answer = append(stub)
    assert answer.total_chunks == 1
    assert (answer.commit.begin, answer.commit.end) == (0, 0)
    assert answer.HasField("registers")
    # Of an empty append the sum is SHA-1 of nothing, not the zero sum.
    digest = hashlib.sha1(b"").digest()
    assert answer.commit.sum.part1 == int.from_bytes(digest[:8], "big")


def first_append(stub) -> None:
    answer = append(stub, b"foo", b"bar")
    assert answer.status == pb.OK
    assert (answer.commit.begin, answer.commit.end, answer.total_chunks) == (0, 6, 3)
    assert answer.commit.sum == pb.SHA1Sum(
        part1=0x8843D7F92416211D, part2=0xE9EBB963FF4CE281, part3=0x25932878
    )
    route = answer.header.route
    assert len(route.members) == len(route.endpoints) == 3
    assert all(route.endpoints)
    assert answer.header.process_id == route.members[route.primary]


def registers(stub) -> None:
    steps = [
        (None, None, labels(AA="11", BB="22"), pb.OK, labels(AA="11", BB="22")),
        (
            pb.LabelSelector(include=labels(AA="11", BB="")),
            labels(AA="11", BB="XYZ"),
            labels(CC="33"),
            pb.OK,
            labels(BB="22", CC="33"),
        ),
        (
            pb.LabelSelector(include=labels(CC=""), exclude=labels(AA="")),
            labels(CC="33"),
            labels(AA="44"),
            pb.OK,
            labels(AA="44", BB="22"),
        ),
        (
            pb.LabelSelector(include=labels(AA="55")),
            None,
            labels(ZZZ=""),
            pb.REGISTER_MISMATCH,
            labels(AA="44", BB="22"),
        ),
    ]
    for check, subtract, union, status, expected in steps:
        answer = append(
            stub,
            b"content",
            check_registers=check,
            subtract_registers=subtract,
            union_registers=union,
        )
        assert answer.status == status, answer
        assert answer.registers == expected, answer
        if status != pb.OK:
            assert answer.total_chunks == 0


def wrong_offset(stub) -> None:
    answer = append(stub, b"x", offset=1)
    assert answer.status == pb.WRONG_APPEND_OFFSET
    assert append(stub, b"x", offset=27).commit.begin == 27


def reads(stub) -> None:
    messages = list(stub.Read(pb.ReadRequest(journal=JOURNAL, end_offset=9), timeout=30))
    assert messages[0].HasField("header")
    assert not any(message.HasField("header") for message in messages[1:])
    content = b"".join(message.content for message in messages)
    assert content == b"foobarcon"
    for message in messages:
        if message.content:
            assert not message.HasField("fragment")
            assert message.write_head == 0
        else:
            fragment = message.fragment
            assert fragment.begin <= message.offset < fragment.end <= message.write_head
    (head,) = stub.Read(pb.ReadRequest(journal=JOURNAL, offset=-1, metadata_only=True), timeout=30)
    assert head.status == pb.OFFSET_NOT_YET_AVAILABLE
    assert (head.offset, head.write_head) == (28, 28)
    (missing,) = stub.Read(pb.ReadRequest(journal="golden/none"), timeout=30)
    assert missing.status == pb.JOURNAL_NOT_FOUND
    assert missing.header.route.primary == -1


def listing(stub) -> None:
    selector = pb.LabelSelector(
        include=pb.LabelSet(labels=[pb.Label(name="name", value="golden/", prefix=True)])
    )
    (answer,) = stub.List(pb.ListRequest(selector=selector), timeout=30)
    (journal,) = answer.journals
    assert journal.spec.name == JOURNAL
    assert journal.mod_revision >= journal.create_revision > 0
    assert len(journal.route.members) == len(journal.route.endpoints) == 3
    watch = stub.List(pb.ListRequest(selector=selector, watch=True), timeout=30)
    assert len(next(watch).journals) == 1
    assert len(next(watch).journals) == 0  # Ends the snapshot.
    watch.cancel()


def fragments(stub) -> None:
    answer = stub.ListFragments(pb.FragmentsRequest(journal=JOURNAL), timeout=30)
    assert answer.status == pb.OK
    assert answer.fragments[0].spec.begin == 0
    assert answer.fragments[-1].spec.end == 28
    health = pb.FragmentStoreHealthRequest(fragment_store="file:///")
    assert stub.FragmentStoreHealth(health, timeout=30).status == pb.OK


def deletion(stub) -> None:
    change = pb.ApplyRequest.Change(delete=JOURNAL, expect_mod_revision=-1)
    assert stub.Apply(pb.ApplyRequest(changes=[change])).status == pb.OK
    assert append(stub, b"x").status == pb.JOURNAL_NOT_FOUND


def main() -> None:
    with grpc.insecure_channel(ADDRESS) as channel:
        stub = protocol_pb2_grpc.JournalStub(channel)
        for step in (
            create,
            wait_served,
            empty_append,
            first_append,
            registers,
            wrong_offset,
            reads,
            listing,
            fragments,
            deletion,
        ):
            step(stub)
            print(step.__name__, "passed")
    print("all steps passed")


main()
