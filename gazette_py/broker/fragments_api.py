"""ListFragments and FragmentStoreHealth.

Source: gazette/core broker/fragments_api.go and fragment_store_health_api.go.
"""

from gazette_py.broker.proxy import peer_of, proxied
from gazette_py.broker.service import NS, Service
from gazette_py.broker.token import Signal
from gazette_py.core.fragment_index import IndexEntry
from gazette_py.core.resolver import ResolveOptions
from gazette_py.errors import GazetteError
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.protocol import convert
from gazette_py.protocol.claims import Capability
from gazette_py.protocol.enums import Status
from gazette_py.protocol.labels import LabelSelector
from gazette_py.protocol.requests import validate_fragments_request, validate_health_request
from gazette_py.stores.fragments import stored_path
from gazette_py.stores.registry import HEALTH_PENDING

PAGE_DEFAULT = 1000


async def serve_fragments(
    service: Service, request: pb.FragmentsRequest, visible: LabelSelector
) -> pb.FragmentsResponse:
    """Answer one page of the journal's fragments, of a local replica or of a peer's."""
    validate_fragments_request(request)
    header = convert.header_from_pb(request.header) if request.HasField("header") else None
    await service.wait_revision(service.check_proxy_header(header, 0))
    while (response := await _serve_resolved(service, request, visible)) is None:
        pass  # Our replica has ended meanwhile. Another may serve now, or nobody.
    return response


async def _serve_resolved(
    service: Service, request: pb.FragmentsRequest, visible: LabelSelector
) -> pb.FragmentsResponse | None:
    """Answer as the journal resolves now. None: it no longer does."""
    options = ResolveOptions(
        may_proxy=not request.do_not_proxy, requires_primary=False, selector=visible
    )
    resolution = service.resolve(request.journal, options)
    response = pb.FragmentsResponse(
        status=pb.Status.ValueType(resolution.status),
        header=convert.header_to_pb(resolution.header),
    )
    if resolution.status is not Status.OK:
        return response
    assert resolution.item is not None
    if not resolution.item.spec.is_readable:
        response.status = pb.NOT_ALLOWED
        return response
    if not resolution.is_local:
        peer, stub = peer_of(service, resolution.header)
        request.header.CopyFrom(response.header)
        metadata = service.tokens.for_journal(Capability.READ, resolution.journal)
        async with proxied(peer):
            return await stub.ListFragments(request, metadata=metadata)
    replica = service.replica_of(resolution)
    assert replica is not None
    while not replica.index.is_refreshed:
        if replica.ended.is_fired:
            return None
        await replica.wait_index(replica.index.version)
    entries, next_token = replica.index.list_page(
        request.begin_mod_time,
        request.end_mod_time,
        request.next_page_token,
        request.page_limit or PAGE_DEFAULT,
    )
    ttl_s = convert.duration_from_pb(request.signatureTTL) / NS
    response.next_page_token = next_token
    response.fragments.extend([await _fragment(service, entry, ttl_s) for entry in entries])
    return response


async def _fragment(
    service: Service, entry: IndexEntry, ttl_s: float
) -> pb.FragmentsResponse._Fragment:  # The wire's own name.
    message = pb.FragmentsResponse._Fragment(  # noqa: SLF001  # As above.
        spec=convert.fragment_to_pb(entry.fragment)
    )
    if ttl_s > 0 and entry.fragment.backing_store:
        store = service.store(entry.fragment.backing_store).store
        message.signed_url = await store.sign_get(stored_path(entry), ttl_s)
    return message


async def serve_store_health(
    service: Service, request: pb.FragmentStoreHealthRequest, gone: Signal
) -> pb.FragmentStoreHealthResponse:
    """Answer how the last health check of the store went, and probe deletion if asked."""
    validate_health_request(request)
    active = service.store(request.fragment_store)
    if active.health == HEALTH_PENDING:
        await service.wait_or_signal(active.wait_next_check(), gone, service.stopping)
    error = active.health
    if error is None and request.check_delete:
        try:
            await service.stores.check_delete(active.url, request.check_delete_prefix)
        except (GazetteError, TimeoutError) as exc:
            error = str(exc) or "the delete probe did not complete in time"
    return pb.FragmentStoreHealthResponse(
        status=pb.OK if error is None else pb.FRAGMENT_STORE_UNHEALTHY,
        header=convert.header_to_pb(service.unrouted_header()),
        store_health_error=error or "",
    )
