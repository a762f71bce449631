"""InspectJournal and InspectBroker: what this broker knows of a journal, and how itself is.

For operators, who ask broker by broker: each has its own replicas, disk and clock, and has listed
the stores by itself.
"""

from gazette_py.broker.replica import Replica
from gazette_py.broker.service import Service
from gazette_py.broker.spool_file import SpoolDirectory
from gazette_py.core.allocator.shortfall import shortfall_now
from gazette_py.core.allocator.state import observe
from gazette_py.core.member_load import loads_of
from gazette_py.pb import inspection_pb2 as pb
from gazette_py.pb.protocol_pb2 import JOURNAL_NOT_FOUND
from gazette_py.protocol import convert
from gazette_py.protocol.labels import LabelSelector


def serve_inspect_journal(
    service: Service, request: pb.InspectJournalRequest, visible: LabelSelector
) -> pb.InspectJournalResponse:
    """Tell what is known of the journal here."""
    journal = request.journal
    header = convert.header_to_pb(service.unrouted_header())
    item = service.keyspace.item(journal)
    if item is None or not visible.matches(item.spec.selectable_labels()):
        return pb.InspectJournalResponse(status=JOURNAL_NOT_FOUND, header=header)
    # As long as it takes to look at every journal: this is for people, who do not ask often.
    state = observe(service.keyspace, service.max_replication)
    wanted = item.spec.desired_replication(service.max_replication)
    limit, reason = shortfall_now(state, service.keyspace, item, wanted)
    replicas = (replica for replica, _ in service.local_replicas())
    found = next((r for r in replicas if r.journal == journal), None)
    return pb.InspectJournalResponse(
        header=header,
        limit=limit or "",
        limit_reason=reason,
        replica=None if found is None else _replica(found),
        is_consistent=(
            len(service.keyspace.assignments_of(journal)) == wanted
            and service.keyspace.is_consistent(journal)
        ),
    )


def _replica(replica: Replica) -> pb.Replica:
    extent = replica.index.summary()
    return pb.Replica(
        begin=extent.begin,
        end=extent.end,
        fragments=len(replica.index),
        unpersisted_bytes=replica.index.unpersisted(),
        is_listed=replica.index.is_refreshed,
        listing_error=replica.listing_error,
        conflicts=[
            pb.Conflict(fragments=map(convert.fragment_to_pb, fragments))
            for fragments in replica.conflicts
        ],
    )


def serve_inspect_broker(
    service: Service, spools: SpoolDirectory, _request: pb.InspectBrokerRequest
) -> pb.InspectBrokerResponse:
    """Tell how this broker is, and which members its cluster has."""
    return pb.InspectBrokerResponse(
        header=convert.header_to_pb(service.unrouted_header()),
        unix_ms=int(service.clock.now() * 1000),
        spools=pb.Spools(
            used=spools.bytes_used, max=spools.bytes_max, disk_free=spools.disk_free()
        ),
        members=[
            pb.Member(
                spec=convert.broker_to_pb(load.broker),
                assignments=load.assignments,
                primaries=load.primaries,
            )
            for load in loads_of(service.keyspace)
        ],
        max_replication=service.max_replication,
    )
