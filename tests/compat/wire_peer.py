"""A broker's peer, by generated code alone: `wire_peer.py STUBS BROKER OWN_PORT`.

It is a replica of one journal, and the primary of others, as its tests arranged in etcd. Nothing of
gazette_py is imported here.
"""

import hashlib
import sys
import threading
import time
from concurrent import futures

sys.path.insert(0, sys.argv[1])

import grpc
import protocol_pb2 as pb
import protocol_pb2_grpc

BROKER = sys.argv[2].removeprefix("http://")
OWN_PORT = sys.argv[3]

US = pb.ProcessSpec.ID(zone="wire", suffix="peer")
BROKER_ID = pb.ProcessSpec.ID(zone="a", suffix="broker-0")
AHEAD = 100
"""Where our spool of the journal is of which the broker is primary."""


def sha1(content: bytes) -> pb.SHA1Sum:
    digest = hashlib.sha1(content).digest()
    part1, part2, part3 = (int.from_bytes(digest[i : i + 8], "big") for i in (0, 8, 16))
    return pb.SHA1Sum(part1=part1, part2=part2, part3=part3)


def empty_fragment(journal: str, offset: int) -> pb.Fragment:
    """Return an empty fragment as the reference writes it: its zero sum is there, and empty."""
    fragment = pb.Fragment(
        journal=journal, begin=offset, end=offset, compression_codec=pb.NONE, sum=pb.SHA1Sum()
    )
    assert fragment.HasField("sum")
    return fragment


def labels(**values: str) -> pb.LabelSet:
    return pb.LabelSet(labels=[pb.Label(name=k, value=v) for k, v in sorted(values.items())])


class Replica(protocol_pb2_grpc.JournalServicer):
    """A replica which is ahead of its primary, and otherwise agrees. It notes what it is sent."""

    def __init__(self) -> None:
        self.streams: list[list[pb.ReplicateRequest]] = []
        self.wrote = threading.Condition()

    def Replicate(self, requests, context):  # noqa: N802  # The name of the call.
        received: list[pb.ReplicateRequest] = []
        with self.wrote:
            self.streams.append(received)
        for request in requests:
            with self.wrote:
                received.append(request)
                self.wrote.notify_all()
            if not request.acknowledge:
                continue
            header = received[0].header if len(received) == 1 else None
            if request.proposal.end < AHEAD:
                empty = empty_fragment(request.proposal.journal, AHEAD)
                yield pb.ReplicateResponse(
                    status=pb.PROPOSAL_MISMATCH,
                    header=header,
                    fragment=empty,
                    registers=labels(owner="peer"),
                )
            else:
                yield pb.ReplicateResponse(status=pb.OK, header=header)


def header_of(stub) -> pb.Header:
    """Return the header by which the primary of a journal, us, addresses the broker."""
    (listed,) = stub.List(pb.ListRequest())
    route = pb.Route(members=[BROKER_ID, US], primary=1, endpoints=["http://b", "http://p"])
    return pb.Header(process_id=BROKER_ID, route=route, etcd=listed.header.etcd)


def as_replica(stub, replica: Replica) -> None:
    """The broker adopts what we have, and replicates an append to us by the rules."""

    def messages():
        yield pb.AppendRequest(journal="golden/ours")
        yield pb.AppendRequest(content=b"foo")
        yield pb.AppendRequest(content=b"bar")
        yield pb.AppendRequest()

    def is_done() -> bool:
        nonlocal answer
        try:
            answer = stub.Append(messages(), timeout=30)
        except grpc.RpcError as exc:
            # It called us before we listened. The code of its peer is what tells us to try again.
            if exc.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            return False
        return answer.status == pb.OK

    answer = pb.AppendResponse()
    deadline = time.monotonic() + 30
    while not is_done():
        assert time.monotonic() < deadline, answer
        time.sleep(0.05)
    # It rolled forward to our offset, with our registers.
    assert (answer.commit.begin, answer.commit.end) == (AHEAD, AHEAD + 6), answer
    assert answer.commit.sum == sha1(b"foobar")
    assert answer.registers == labels(owner="peer")

    with replica.wrote:
        streams = [list(stream) for stream in replica.streams]
    for stream in streams:
        check_stream(stream)
    # The stream of this append: what was proposed, its content, and the commit.
    sent = streams[-1]
    proposed = [message for message in sent if message.HasField("proposal")]
    opening = empty_fragment("golden/ours", 0)
    opening.compression_codec = pb.SNAPPY  # An empty spool takes the codec of the spec.
    assert proposed[0].proposal == opening, proposed
    content = [message for message in sent if message.content]
    assert [(message.content_delta, message.content) for message in content] in (
        [(0, b"foo"), (3, b"bar")],
        [(0, b"foobar")],
    )
    commit = sent[-1]
    assert commit.acknowledge
    assert commit.registers == labels(owner="peer")
    assert commit.proposal == pb.Fragment(
        journal="golden/ours",
        begin=AHEAD,
        end=AHEAD + 6,
        sum=sha1(b"foobar"),
        compression_codec=pb.SNAPPY,
    )


def check_stream(messages: list[pb.ReplicateRequest]) -> None:
    """What holds of every stream of Replicate which a primary opens."""
    header = messages[0].header
    assert header.process_id == US  # The receiver, not the sender.
    assert list(header.route.members) == [BROKER_ID, US]
    assert header.route.primary == 0
    assert len(header.route.endpoints) == 2
    assert all(header.route.endpoints)
    etcd = header.etcd
    assert all((etcd.cluster_id, etcd.member_id, etcd.revision, etcd.raft_term))
    assert messages[0].acknowledge
    assert not any(message.HasField("header") for message in messages[1:])
    for message in messages:
        if not message.HasField("proposal"):
            assert message.content  # An empty field would vanish, and the message be invalid.
            assert not message.acknowledge
            assert not message.HasField("registers")
            continue
        proposal = message.proposal
        assert not message.content
        assert not message.content_delta
        assert message.HasField("registers")
        assert proposal.compression_codec != pb.INVALID
        assert (proposal.backing_store, proposal.mod_time, proposal.path_postfix) == ("", 0, "")
        if proposal.begin == proposal.end:
            assert proposal.sum == pb.SHA1Sum()


def as_primary(stub) -> None:
    """The golden sequence of a replica's spool (`broker/replicate_api_test.go`)."""
    header = header_of(stub)
    empty = empty_fragment("golden/theirs", 0)
    whole = pb.Fragment(
        journal="golden/theirs",
        end=13,
        sum=sha1(b"foobarbazbing"),
        compression_codec=pb.NONE,
    )
    answers = replicate(
        stub,
        pb.ReplicateRequest(header=header, proposal=empty, registers=labels(), acknowledge=True),
        pb.ReplicateRequest(content=b"foobar"),
        pb.ReplicateRequest(content=b"bazbing", content_delta=6),
        pb.ReplicateRequest(proposal=whole, registers=labels(reg="value"), acknowledge=True),
    )
    assert [answer.status for answer in answers] == [pb.OK, pb.OK]
    assert answers[0].HasField("header")
    assert not answers[1].HasField("header")
    assert answers[0].header.process_id == BROKER_ID
    # What was committed is read from this replica.
    read = stub.Read(pb.ReadRequest(journal="golden/theirs", end_offset=13, do_not_proxy=True))
    assert b"".join(message.content for message in read) == b"foobarbazbing"


def a_gap(stub) -> None:
    header = header_of(stub)
    ahead = pb.Fragment(
        journal="golden/fresh", begin=1234, end=5678, sum=sha1(b"x"), compression_codec=pb.NONE
    )
    rolled = empty_fragment("golden/fresh", 5678)
    wrong = labels(wrong="register")
    stream = stub.Replicate(
        iter(
            [
                pb.ReplicateRequest(
                    header=header, proposal=ahead, registers=labels(), acknowledge=True
                ),
                pb.ReplicateRequest(proposal=rolled, registers=wrong, acknowledge=True),
                pb.ReplicateRequest(proposal=rolled, registers=wrong),
            ]
        ),
        timeout=30,
    )
    for _ in range(2):
        answer = next(stream)
        assert answer.status == pb.PROPOSAL_MISMATCH
        assert answer.fragment == rolled, answer
        assert answer.HasField("registers")
        assert answer.registers == labels()
    assert code_of(stream) is grpc.StatusCode.UNKNOWN


def refusals(stub) -> None:
    empty = empty_fragment("golden/theirs", 0)
    request = pb.ReplicateRequest(proposal=empty, registers=labels(), acknowledge=True)
    assert code_of(stub.Replicate(iter([request]), timeout=30)) is grpc.StatusCode.UNKNOWN
    header = header_of(stub)
    header.route.primary = 0
    request.header.CopyFrom(header)
    (answer,) = replicate(stub, request)
    assert answer.status == pb.WRONG_ROUTE
    assert answer.header.route.primary == 1
    header.etcd.cluster_id += 1
    request.header.CopyFrom(header)
    assert code_of(stub.Replicate(iter([request]), timeout=30)) is grpc.StatusCode.UNKNOWN
    # Content which does not follow what is held.
    request.header.CopyFrom(header_of(stub))
    request.proposal.CopyFrom(empty)
    gap = pb.ReplicateRequest(content=b"x", content_delta=1)
    stream = stub.Replicate(iter([request, gap]), timeout=30)
    next(stream)
    assert code_of(stream) is grpc.StatusCode.UNKNOWN


def replicate(stub, *requests: pb.ReplicateRequest) -> list[pb.ReplicateResponse]:
    return list(stub.Replicate(iter(requests), timeout=30))


def code_of(stream) -> grpc.StatusCode:
    try:
        for answer in stream:
            raise AssertionError(f"an answer: {answer}")
    except grpc.RpcError as exc:
        return exc.code()
    raise AssertionError("the stream ended well")


def main() -> None:
    replica = Replica()
    server = grpc.server(futures.ThreadPoolExecutor(16))
    protocol_pb2_grpc.add_JournalServicer_to_server(replica, server)
    server.add_insecure_port(f"127.0.0.1:{OWN_PORT}")
    server.start()
    try:
        with grpc.insecure_channel(BROKER) as channel:
            stub = protocol_pb2_grpc.JournalStub(channel)
            as_primary(stub)
            a_gap(stub)
            refusals(stub)
            as_replica(stub, replica)
    finally:
        server.stop(0)
    print("all steps passed")


main()
