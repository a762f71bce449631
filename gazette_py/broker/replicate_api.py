"""Replicate: the spool of this replica follows the primary's, message by message.

Invariants:
    RE1  The spool is held for the life of the stream, and given back rolled back to its last
         commit, however the stream ends.
    RE2  Each message which asks for a reply gets exactly one, in order; no other does.
    RE3  A reply of WRONG_ROUTE carries our header, one of PROPOSAL_MISMATCH our fragment and
         registers, and the first reply our header: Gazette's primary relies on each.

    RE4  The stream of a primary which has lost its lease is broken off. It cannot acknowledge
         anything any more, and its successor waits for our spool.

Nothing else is checked against etcd once the spool is held: a synchronised stream stays valid until
the primary ends it. Source: gazette/core broker/replicate_api.go, which waits for a primary that
sleeps, or is cut off, until its connection is found dead (RE4 is ours).
"""

import grpc.aio

from gazette_py.broker.replica import Replica
from gazette_py.broker.service import Service
from gazette_py.core.resolver import Resolution, ResolveOptions
from gazette_py.core.spool import Spool
from gazette_py.errors import RpcError, RpcUnavailableError, ValidationError
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.protocol import convert
from gazette_py.protocol.enums import Status
from gazette_py.protocol.labels import LabelSelector
from gazette_py.protocol.requests import validate_replicate_first, validate_replicate_request
from gazette_py.rpc.stream import receive

Context = grpc.aio.ServicerContext[pb.ReplicateRequest, pb.ReplicateResponse]


async def serve_replicate(service: Service, context: Context, visible: LabelSelector) -> Status:
    """Serve one stream of a journal which `visible` selects, to its end."""
    first = await receive(context, pb.ReplicateRequest)
    if first is None:
        raise RpcError("client", "UNKNOWN", "unexpected EOF")
    validate_replicate_first(first)
    while True:
        resolution, replica = await _resolve(service, first, visible)
        status = resolution.status
        theirs = convert.route_from_pb(first.header.route)
        if status is Status.OK and not resolution.header.route.is_equivalent(theirs):
            status = Status.WRONG_ROUTE
        if status is not Status.OK:
            await context.write(
                pb.ReplicateResponse(
                    status=pb.Status.ValueType(status),
                    header=convert.header_to_pb(resolution.header),
                )
            )
            return status
        assert replica is not None
        taken = await replica.spool_slot.take(replica.invalidated, replica.ended)
        if taken is not None:
            break
    spool = taken[0]
    primary = resolution.header.route.primary_id
    assert primary is not None  # Else the Routes would not be equivalent.
    try:
        following = _follow(replica, spool, first, resolution, context)
        if not await service.wait_or_signal(following, service.departure_of(primary)):
            raise RpcUnavailableError(str(primary), "UNAVAILABLE", "the primary's lease was lost")
    finally:
        replica.apply_replicated(spool, spool.fragment, spool.registers)  # Rolls back.
        replica.spool_slot.put(spool)
    return Status.OK


async def _resolve(
    service: Service, first: pb.ReplicateRequest, visible: LabelSelector
) -> tuple[Resolution, Replica | None]:
    revision = service.check_proxy_header(convert.header_from_pb(first.header), 0)
    await service.wait_revision(revision)
    options = ResolveOptions(may_proxy=False, requires_primary=False, selector=visible)
    resolution = service.resolve(first.proposal.journal, options)
    return resolution, service.replica_of(resolution)


async def _follow(
    replica: Replica,
    spool: Spool,
    message: pb.ReplicateRequest,
    resolution: Resolution,
    context: Context,
) -> None:
    header: pb.Header | None = convert.header_to_pb(resolution.header)
    is_ahead = False  # Of the primary, by what the last of its predecessors sent us.
    while True:
        if message.HasField("proposal"):
            is_ahead = is_ahead or message.proposal.end < spool.fragment.end
            reply = _apply_proposal(replica, spool, message, is_ahead=is_ahead)
            is_ahead = is_ahead and reply.status != pb.OK
            if message.acknowledge:
                if header is not None:
                    reply.header.CopyFrom(header)
                    header = None
                await context.write(reply)
            elif reply.status != pb.OK:
                name = Status(reply.status).name
                raise RpcError("primary", "UNKNOWN", f"no ack requested but status != OK: {name}")
        else:
            _apply_content(spool, message)
        received = await receive(context, pb.ReplicateRequest)
        if received is None:
            return
        message = received
        validate_replicate_request(message)


def _apply_proposal(
    replica: Replica, spool: Spool, message: pb.ReplicateRequest, *, is_ahead: bool
) -> pb.ReplicateResponse:
    proposal = convert.fragment_from_pb(message.proposal)
    registers = convert.labels_from_pb(message.registers)
    if proposal.journal != replica.journal:
        raise ValidationError(
            "Proposal.Journal", f"must be {replica.journal} on this stream (is {proposal.journal})"
        )
    if replica.apply_replicated(spool, proposal, registers, is_sole=is_ahead):
        return pb.ReplicateResponse(status=pb.OK)
    return pb.ReplicateResponse(
        status=pb.PROPOSAL_MISMATCH,
        fragment=convert.fragment_to_pb(spool.fragment),
        registers=convert.labels_to_pb(spool.registers),
    )


def _apply_content(spool: Spool, message: pb.ReplicateRequest) -> None:
    try:
        spool.apply_content(message.content, message.content_delta)
    except OSError as exc:
        # The primary fails this append, and its client tries again.
        raise RpcUnavailableError("spool", "UNAVAILABLE", f"spool: {exc}") from exc
