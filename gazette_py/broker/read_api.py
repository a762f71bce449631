"""Read: a journal's content from an offset on, fragment by fragment.

For each fragment a metadata message is sent, then its content. A local fragment which grows is sent
as often as it grew: the same begin, a later end, and only the bytes which are new.

Invariants:
    RD1  Metadata comes before content, and only the stream's first message carries the header.
    RD2  Only committed content which every replica has acknowledged to us is sent.
    RD3  Content of a stored fragment is sent only after its SHA-1 was verified.
    RD4  The write head is told only once the stores were listed. Before, we know of our spool
         alone, and a reader would take the beginning of a journal for its end.

Source: gazette/core broker/read_api.go. We send larger chunks, do not serve damaged fragments, and
tell no write head before the first listing.
"""

import grpc.aio

from gazette_py.broker.proxy import peer_of, proxied
from gazette_py.broker.replica import Replica
from gazette_py.broker.service import Service
from gazette_py.broker.stored_fragment import StoredFragments
from gazette_py.core.fragment_index import Hit, IndexEntry, Miss
from gazette_py.core.resolver import Resolution, ResolveOptions
from gazette_py.errors import RpcUnavailableError
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.protocol import convert
from gazette_py.protocol.claims import Capability
from gazette_py.protocol.enums import Status
from gazette_py.protocol.labels import LabelSelector
from gazette_py.protocol.requests import validate_read_request
from gazette_py.stores.fragments import stored_path

CHUNK_BYTES = 128 << 10
"""Content of one message: large enough that the cost of a message does not show."""

SIGNED_URL_TTL_S = 60.0

Context = grpc.aio.ServicerContext[pb.ReadRequest, pb.ReadResponse]


async def serve_read(
    service: Service,
    fragments: StoredFragments,
    request: pb.ReadRequest,
    context: Context,
    visible: LabelSelector,
) -> Status:
    """Serve one Read of a journal which `visible` selects, to its end."""
    validate_read_request(request)
    header = convert.header_from_pb(request.header) if request.HasField("header") else None
    revision = service.check_proxy_header(header, request.min_etcd_revision)
    await service.wait_revision(revision)
    options = ResolveOptions(
        may_proxy=not request.do_not_proxy, requires_primary=False, selector=visible
    )
    resolution = service.resolve(request.journal, options)
    status = resolution.status
    if status is Status.OK:
        assert resolution.item is not None
        if not resolution.item.spec.is_readable:
            status = Status.NOT_ALLOWED
    if status is not Status.OK:
        await context.write(
            pb.ReadResponse(
                status=pb.Status.ValueType(status), header=convert.header_to_pb(resolution.header)
            )
        )
        return status
    if not resolution.is_local:
        await _proxy(service, request, resolution, context)
        return Status.OK
    replica = service.replica_of(resolution)
    assert replica is not None
    return await _LocalRead(service, fragments, replica, resolution, request, context).run()


async def _proxy(
    service: Service, request: pb.ReadRequest, resolution: Resolution, context: Context
) -> None:
    peer, stub = peer_of(service, resolution.header)
    request.header.CopyFrom(convert.header_to_pb(resolution.header))
    metadata = service.tokens.for_journal(Capability.READ, resolution.journal)
    call = stub.Read(request, metadata=metadata)
    # When this broker stops, the client sees a clean end, and reads on elsewhere.
    handle = service.stopping.add(lambda: call.cancel())
    try:
        async with proxied(peer):
            async for response in call:
                await context.write(response)
                service.count_crossing("read", len(response.content), peer)
    except RpcUnavailableError:
        if not service.stopping.is_fired:
            raise
    finally:
        service.stopping.discard(handle)
        call.cancel()


class _LocalRead:
    """One Read of a local replica."""

    def __init__(
        self,
        service: Service,
        fragments: StoredFragments,
        replica: Replica,
        resolution: Resolution,
        request: pb.ReadRequest,
        context: Context,
    ) -> None:
        self._service = service
        self._fragments = fragments
        self._replica = replica
        self._header: pb.Header | None = convert.header_to_pb(resolution.header)
        self._request = request
        self._context = context
        self._offset = request.offset

    async def run(self) -> Status:
        request = self._request
        while True:
            found = await self._next()
            if found is None:
                return Status.OK  # The replica has ended. The client resolves anew.
            self._offset = found.offset
            await self._send_metadata(found)
            if isinstance(found, Miss):
                return Status.OFFSET_NOT_YET_AVAILABLE
            is_remote = found.entry.file is None
            if request.metadata_only or (is_remote and request.do_not_proxy) or self._is_done():
                return Status.OK
            await self._send_content(found.entry)
            if self._is_done():
                return Status.OK

    def _is_done(self) -> bool:
        return 0 < self._request.end_offset <= self._offset

    async def _next(self) -> Hit | Miss | None:
        replica, request = self._replica, self._request
        while True:
            version = replica.index.version
            found = replica.index.query(
                self._offset, request.begin_mod_time, self._service.clock.now()
            )
            if replica.ended.is_fired:
                return None
            if isinstance(found, Hit):
                return found
            if replica.index.is_refreshed:  # RD4
                if not request.block:
                    return found
                self._offset = found.offset
            await replica.wait_index(version)

    async def _send_metadata(self, found: Hit | Miss) -> None:
        response = pb.ReadResponse(offset=found.offset, write_head=found.write_head)
        if self._header is not None:
            response.header.CopyFrom(self._header)
            self._header = None
        if isinstance(found, Miss):
            response.status = pb.OFFSET_NOT_YET_AVAILABLE
        else:
            fragment = found.entry.fragment
            response.fragment.CopyFrom(convert.fragment_to_pb(fragment))
            if fragment.backing_store and fragment.mod_time:
                store = self._service.store(fragment.backing_store).store
                path = stored_path(found.entry)
                response.fragment_url = await store.sign_get(path, SIGNED_URL_TTL_S)
        await self._context.write(response)

    async def _send_content(self, entry: IndexEntry) -> None:
        fragment, file = entry.fragment, entry.file
        if file is None:
            store = self._service.store(fragment.backing_store).store
            file = await self._fragments.open(entry, store)
        end = fragment.end
        if self._request.end_offset:
            end = min(end, self._request.end_offset)
        while self._offset < end:
            length = min(CHUNK_BYTES, end - self._offset)
            content = file.read(self._offset - fragment.begin, length)
            await self._context.write(pb.ReadResponse(offset=self._offset, content=content))
            self._offset += len(content)
