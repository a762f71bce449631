"""The services of a broker, `protocol.Journal` and our own: each call is handed to its module.

A call whose deadline passes ends with DEADLINE_EXCEEDED. The reference then ends a List or Read
cleanly, if it is quicker than the client, whose own clock has run out at the same time.
"""

from gazette_py.broker.append_api import serve_append
from gazette_py.broker.apply_api import serve_apply
from gazette_py.broker.calls import Calls, Context
from gazette_py.broker.fragments_api import serve_fragments, serve_store_health
from gazette_py.broker.inspection_api import serve_inspect_broker, serve_inspect_journal
from gazette_py.broker.list_api import serve_list
from gazette_py.broker.read_api import serve_read
from gazette_py.broker.replicate_api import serve_replicate
from gazette_py.broker.service import Service
from gazette_py.broker.spool_file import SpoolDirectory
from gazette_py.broker.stored_fragment import StoredFragments
from gazette_py.broker.token import Signal
from gazette_py.pb import inspection_pb2 as inspection
from gazette_py.pb import inspection_pb2_grpc, protocol_pb2_grpc
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.protocol.claims import Capability
from gazette_py.protocol.enums import Status
from gazette_py.protocol.labels import LabelSelector
from gazette_py.rpc.stream import decoded


class JournalServicer(protocol_pb2_grpc.JournalServicer):
    """Hands calls to their modules."""

    def __init__(self, calls: Calls, fragments: StoredFragments) -> None:
        self._calls = calls
        self._fragments = fragments

    async def List(self, request: pb.ListRequest, context: Context) -> None:  # type: ignore[override]  # It writes to the context.
        """List, or watch, journals."""

        async def call(service: Service, visible: LabelSelector, context: Context) -> Status:
            return await serve_list(service, decoded(request, pb.ListRequest), context, visible)

        await self._calls.guard("List", Capability.LIST, context, call, ends_with_token=True)

    async def Apply(self, request: pb.ApplyRequest, context: Context) -> pb.ApplyResponse:
        """Write or delete journal specs."""
        return await self._calls.unary(
            "Apply",
            Capability.APPLY,
            context,
            lambda s, visible: serve_apply(s, decoded(request, pb.ApplyRequest), visible),
        )

    async def Read(self, request: pb.ReadRequest, context: Context) -> None:  # type: ignore[override]  # It writes to the context.
        """Read a journal."""

        async def call(service: Service, visible: LabelSelector, context: Context) -> Status:
            return await serve_read(
                service, self._fragments, decoded(request, pb.ReadRequest), context, visible
            )

        await self._calls.guard("Read", Capability.READ, context, call, ends_with_token=True)

    async def Append(self, request_iterator: object, context: Context) -> pb.AppendResponse:
        """Append to a journal."""
        return await self._calls.unary(
            "Append",
            Capability.APPEND,
            context,
            lambda s, visible: serve_append(s, context, visible),
        )

    async def Replicate(self, request_iterator: object, context: Context) -> None:  # type: ignore[override]  # It writes to the context.
        """Follow a primary."""

        async def call(service: Service, visible: LabelSelector, context: Context) -> Status:
            return await serve_replicate(service, context, visible)

        await self._calls.guard("Replicate", Capability.REPLICATE, context, call)

    async def ListFragments(
        self, request: pb.FragmentsRequest, context: Context
    ) -> pb.FragmentsResponse:
        """List a journal's fragments."""
        return await self._calls.unary(
            "ListFragments",
            Capability.READ,
            context,
            lambda s, visible: serve_fragments(s, decoded(request, pb.FragmentsRequest), visible),
        )

    async def FragmentStoreHealth(
        self, request: pb.FragmentStoreHealthRequest, context: Context
    ) -> pb.FragmentStoreHealthResponse:
        """Tell whether a store can be used."""
        return await self._calls.unary(
            "FragmentStoreHealth",
            Capability.READ,
            context,
            lambda s, _: serve_store_health(
                s, decoded(request, pb.FragmentStoreHealthRequest), Signal()
            ),
        )


class InspectionServicer(inspection_pb2_grpc.InspectionServicer):
    """What operators ask, and the reference does not know."""

    def __init__(self, calls: Calls, spools: SpoolDirectory) -> None:
        self._calls = calls
        self._spools = spools

    async def InspectJournal(
        self, request: inspection.InspectJournalRequest, context: Context
    ) -> inspection.InspectJournalResponse:
        """Tell what is known of a journal here."""

        async def serve(
            service: Service, visible: LabelSelector
        ) -> inspection.InspectJournalResponse:
            return serve_inspect_journal(
                service, decoded(request, inspection.InspectJournalRequest), visible
            )

        return await self._calls.unary("InspectJournal", Capability.READ, context, serve)

    async def InspectBroker(
        self, request: inspection.InspectBrokerRequest, context: Context
    ) -> inspection.InspectBrokerResponse:
        """Tell how this broker is, and which members it sees."""

        async def serve(service: Service, _: LabelSelector) -> inspection.InspectBrokerResponse:
            return serve_inspect_broker(
                service, self._spools, decoded(request, inspection.InspectBrokerRequest)
            )

        return await self._calls.unary("InspectBroker", Capability.LIST, context, serve)
