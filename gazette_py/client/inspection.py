"""What brokers know of a journal and of themselves: ours tell more than the public protocol asks.

Brokers are called one by one, at the endpoints of the journal's route, and a broker which cannot be
reached is part of the answer: who looks at a journal in trouble wants to hear of it.

Units: seconds, bytes.
"""

import asyncio
from dataclasses import dataclass

import grpc

from gazette_py import errors
from gazette_py.client import outcomes
from gazette_py.client.dispatch import Dispatcher
from gazette_py.client.listing import ListedJournal
from gazette_py.clock import Clock
from gazette_py.core.member_load import MemberLoad
from gazette_py.pb import inspection_pb2 as pb
from gazette_py.pb.inspection_pb2_grpc import InspectionStub
from gazette_py.protocol import convert
from gazette_py.protocol.claims import Capability
from gazette_py.protocol.fragment import Fragment
from gazette_py.protocol.route import ProcessID
from gazette_py.rpc.errors import translate

NOT_OURS = "this broker does not tell: it is none of gazette_py, or an older one"


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectedReplica:
    """A journal as one broker has it."""

    begin: int  # Extent of what can be read there, in bytes of the journal.
    end: int
    fragments: int
    unpersisted_bytes: int  # In no store, as far as this broker knows.
    is_listed: bool  # The stores were listed at least once.
    listing_error: str  # Of the last listing; "" if it succeeded.
    conflicts: tuple[tuple[Fragment, ...], ...]  # Of one extent, and different content.


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """What one broker answered."""

    broker: ProcessID
    endpoint: str
    refusal: str = ""  # Why it told nothing of what follows; "" if it did.
    limit: str = ""  # Which keeps the journal from what it asks for: members, limits or zones.
    limit_reason: str = ""  # In words; without a limit: what is under way.
    replica: InspectedReplica | None = None
    is_consistent: bool = False  # All replicas are there, and agree who they are.


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectedBroker:
    """How a broker is, by itself."""

    endpoint: str  # At which it was asked; "" for the service address.
    refusal: str = ""  # Why it told nothing of what follows; "" if it did.
    broker: ProcessID = ProcessID()
    clock_ahead_s: float = 0.0  # Of its wall clock before ours, within `clock_error_s`.
    clock_error_s: float = 0.0
    spool_used_bytes: int = 0
    spool_max_bytes: int = 0
    disk_free_bytes: int = 0  # Under its spools.
    max_replication: int = 0
    members: tuple[MemberLoad, ...] = ()  # Of its cluster, by ascending ID.


async def inspect(
    dispatcher: Dispatcher, journal: ListedJournal, *, timeout_s: float
) -> tuple[Inspected, ...]:
    """Ask every broker of the journal's route; the service address if it has none.

    Raises:
        JournalNotFoundError: It was deleted meanwhile.
    """
    route = journal.route
    brokers = list(zip(route.members, route.endpoints, strict=True)) or [(ProcessID(), "")]
    name = journal.spec.name
    asked = (_ask(dispatcher, name, *broker, timeout_s) for broker in brokers)
    return tuple(await asyncio.gather(*asked))


async def _ask(
    dispatcher: Dispatcher, journal: str, broker: ProcessID, endpoint: str, timeout_s: float
) -> Inspected:
    request = pb.InspectJournalRequest(journal=journal)
    try:
        async with dispatcher.borrow_at(endpoint) as connection:
            stub = InspectionStub(connection.channel)
            metadata = connection.tokens.for_journal(Capability.READ, journal)
            response = await stub.InspectJournal(request, timeout=timeout_s, metadata=metadata)
    except errors.ConfigError as exc:
        return Inspected(broker=broker, endpoint=endpoint, refusal=str(exc))
    except grpc.aio.AioRpcError as exc:
        is_unknown = exc.code() is grpc.StatusCode.UNIMPLEMENTED
        refusal = NOT_OURS if is_unknown else str(translate(exc, endpoint))
        return Inspected(broker=broker, endpoint=endpoint, refusal=refusal)
    outcomes.raise_for_status(response.status, journal, header=response.header)
    return Inspected(
        broker=broker,
        endpoint=endpoint,
        limit=response.limit,
        limit_reason=response.limit_reason,
        replica=_replica(response.replica) if response.HasField("replica") else None,
        is_consistent=response.is_consistent,
    )


def _replica(message: pb.Replica) -> InspectedReplica:
    return InspectedReplica(
        begin=message.begin,
        end=message.end,
        fragments=message.fragments,
        unpersisted_bytes=message.unpersisted_bytes,
        is_listed=message.is_listed,
        listing_error=message.listing_error,
        conflicts=tuple(
            tuple(map(convert.fragment_from_pb, conflict.fragments))
            for conflict in message.conflicts
        ),
    )


async def inspect_broker(
    dispatcher: Dispatcher, clock: Clock, endpoint: str, *, timeout_s: float
) -> InspectedBroker:
    """Ask one broker, at its own endpoint; "": whoever is at the service address."""
    try:
        async with dispatcher.borrow_at(endpoint) as connection:
            stub = InspectionStub(connection.channel)
            metadata = connection.tokens.metadata(Capability.LIST)
            asked = clock.now()
            response = await stub.InspectBroker(
                pb.InspectBrokerRequest(), timeout=timeout_s, metadata=metadata
            )
            answered = clock.now()
    except errors.ConfigError as exc:
        return InspectedBroker(endpoint=endpoint, refusal=str(exc))
    except grpc.aio.AioRpcError as exc:
        is_unknown = exc.code() is grpc.StatusCode.UNIMPLEMENTED
        refusal = NOT_OURS if is_unknown else str(translate(exc, endpoint or dispatcher.addresses))
        return InspectedBroker(endpoint=endpoint, refusal=refusal)
    spools = response.spools
    return InspectedBroker(
        endpoint=endpoint,
        broker=convert.header_from_pb(response.header).process_id,
        clock_ahead_s=response.unix_ms / 1000 - (asked + answered) / 2,
        clock_error_s=(answered - asked) / 2,
        spool_used_bytes=spools.used,
        spool_max_bytes=spools.max,
        disk_free_bytes=spools.disk_free,
        max_replication=response.max_replication,
        members=tuple(
            MemberLoad(
                broker=convert.broker_from_pb(member.spec),
                assignments=member.assignments,
                primaries=member.primaries,
            )
            for member in response.members
        ),
    )
