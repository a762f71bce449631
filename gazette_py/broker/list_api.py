"""List: the journals which a selector matches, once or for as long as the caller listens.

A snapshot is sent in messages of few journals; of a watch, an empty message ends it. Routes are
part of a snapshot, but a change of routes alone does not cause one.

Source: gazette/core broker/list_apply_api.go.
"""

from dataclasses import dataclass

import grpc.aio

from gazette_py.broker.service import Service
from gazette_py.core.keyspace import Item
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.protocol import convert
from gazette_py.protocol.enums import Status
from gazette_py.protocol.labels import LabelSelector, with_prefix_of_name
from gazette_py.protocol.requests import validate_list_request

CHUNK_JOURNALS = 25
"""Journals of one message. Keeps messages within the buffers of Gazette's clients."""

Context = grpc.aio.ServicerContext[pb.ListRequest, pb.ListResponse]


@dataclass(frozen=True, slots=True)
class _Matched:
    items: list[Item]

    def fingerprint(self) -> tuple[int, int]:
        """What must differ for another snapshot to be sent."""
        return len(self.items), max((item.mod_revision for item in self.items), default=0)


async def serve_list(
    service: Service, request: pb.ListRequest, context: Context, visible: LabelSelector
) -> Status:
    """Send one snapshot or, of a watch, one for each change until the call or the broker ends.

    Journals which `visible` does not select are as if they did not exist.
    """
    validate_list_request(request)
    selector = with_prefix_of_name(convert.selector_from_pb(request.selector))
    if request.HasField("watch_resume"):
        # A key of ours must have changed: the snapshot's revision must exceed the one resumed from.
        waiting = service.mirror.wait_change(request.watch_resume.etcd.revision)
        if not await service.wait_or_signal(waiting, service.stopping):
            return Status.OK
    matched = _match(service, selector, visible)
    await _send(service, matched, context, is_watch=request.watch)
    while request.watch:
        sent = matched.fingerprint()
        # What changed while the snapshot was sent, perhaps slowly, is in the next one.
        while (matched := _match(service, selector, visible)).fingerprint() == sent:
            seen = service.keyspace.header.revision
            waiting = service.mirror.wait_change(seen)
            if not await service.wait_or_signal(waiting, service.stopping):
                return Status.OK
        await _send(service, matched, context, is_watch=True)
    return Status.OK


def _match(service: Service, *selectors: LabelSelector) -> _Matched:
    """Return what all of the selectors select."""
    items = list(service.keyspace.items_sorted())
    for selector in selectors:
        if selector.include or selector.exclude:
            items = [item for item in items if selector.matches(item.spec.selectable_labels())]
    return _Matched(items)


async def _send(service: Service, matched: _Matched, context: Context, *, is_watch: bool) -> None:
    """Send a snapshot. All of it is of one revision: routes are taken before the first message."""
    journals = [_journal(service, item) for item in matched.items]
    response = pb.ListResponse(header=convert.header_to_pb(service.unrouted_header()))
    for begin in range(0, max(len(journals), 1), CHUNK_JOURNALS):
        response.journals.extend(journals[begin : begin + CHUNK_JOURNALS])
        await context.write(response)
        response = pb.ListResponse()
    if is_watch:
        await context.write(response)


def _journal(service: Service, item: Item) -> pb.ListResponse.Journal:
    return pb.ListResponse.Journal(
        spec=pb.JournalSpec.FromString(item.value),
        mod_revision=item.mod_revision,
        create_revision=item.create_revision,
        route=convert.route_to_pb(service.keyspace.route_of(item.name)),
    )
