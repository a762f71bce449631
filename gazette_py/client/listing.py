"""Snapshots of the journals which a selector selects, once or at every change.

A snapshot is one or more messages. Listed once it ends with the stream; watched, with a message
without journals, which is not the first.

Source: gazette/core broker/client/list.go.
"""

from collections.abc import AsyncGenerator, AsyncIterable
from dataclasses import dataclass

import grpc

from gazette_py import errors
from gazette_py.client import outcomes
from gazette_py.client.backoff import backoff_s
from gazette_py.client.dispatch import Dispatcher
from gazette_py.clock import Clock
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.protocol import convert
from gazette_py.protocol.claims import Capability
from gazette_py.protocol.journal import JournalSpec
from gazette_py.protocol.labels import LabelSelector
from gazette_py.protocol.route import Header, Route
from gazette_py.rpc.errors import translate


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedJournal:
    """A journal, as of the snapshot's revision."""

    spec: JournalSpec
    mod_revision: int  # Of the spec in etcd: what an update or deletion expects.
    create_revision: int
    route: Route  # Without members while nobody serves the journal.


@dataclass(frozen=True, slots=True)
class ListResult:
    """The selected journals, ascending by name."""

    journals: tuple[ListedJournal, ...]
    header: Header


async def list_once(dispatcher: Dispatcher, selector: LabelSelector) -> ListResult:
    """List at the service address.

    Raises:
        RpcError: The call failed, or its answer broke the protocol.
    """
    request = pb.ListRequest(selector=convert.selector_to_pb(selector))
    async with dispatcher.borrow() as broker:
        call = broker.stub.List(request, metadata=broker.tokens.metadata(Capability.LIST, selector))
        try:
            messages = [message async for message in call]
        except grpc.aio.AioRpcError as exc:
            raise translate(exc, broker.endpoint) from exc
        finally:
            call.cancel()  # No effect on a call which has ended.
    if not messages:
        # Brokers close the streams of calls which they cancel, as they go away.
        raise errors.RpcUnavailableError(broker.endpoint, "UNAVAILABLE", "no answer to List")
    result = _snapshot(messages)
    for journal in result.journals:
        dispatcher.learn_route(journal.spec.name, journal.route)
    return result


async def watch(
    dispatcher: Dispatcher, clock: Clock, selector: LabelSelector, *, timeout_s: float
) -> AsyncGenerator[ListResult, None]:
    """Yield a snapshot now, and another after each change of a selected journal's spec.

    A stream which ends or fails is taken up again after the last snapshot, for ever, but the first
    snapshot must arrive within `timeout_s` of trying.
    """
    request = pb.ListRequest(selector=convert.selector_to_pb(selector), watch=True)
    began, attempt = clock.monotonic(), 0
    while True:
        try:
            async for messages in _watched(dispatcher, request, selector):
                snapshot = _snapshot(messages)
                _check_progress(request, snapshot)
                request.watch_resume.CopyFrom(messages[0].header)
                attempt = -1
                yield snapshot
            attempt = -1 if request.HasField("watch_resume") else attempt
        except (errors.RpcUnauthenticatedError, errors.RpcTlsError):
            raise
        except errors.RpcError:
            is_begun = request.HasField("watch_resume")
            if not is_begun and clock.monotonic() - began >= timeout_s:
                raise
        # A stream which ends at once would spin without a least wait.
        await clock.sleep(backoff_s(max(attempt, 0)))
        attempt += 1


async def _watched(
    dispatcher: Dispatcher, request: pb.ListRequest, selector: LabelSelector
) -> AsyncGenerator[list[pb.ListResponse], None]:
    """Yield the messages of each snapshot of one stream."""
    async with dispatcher.borrow() as broker:
        call = broker.stub.List(request, metadata=broker.tokens.metadata(Capability.LIST, selector))
        try:
            async for messages in _cut(call):
                yield messages
        except grpc.aio.AioRpcError as exc:
            raise translate(exc, broker.endpoint) from exc
        finally:
            call.cancel()  # No effect on a call which has ended.


async def _cut(
    messages: AsyncIterable[pb.ListResponse],
) -> AsyncGenerator[list[pb.ListResponse], None]:
    """Join messages to snapshots; one which is cut short is dropped."""
    pending: list[pb.ListResponse] = []
    async for message in messages:
        if pending and not message.journals:
            yield pending
            pending = []
        else:
            pending.append(message)


def _check_progress(request: pb.ListRequest, snapshot: ListResult) -> None:
    resumed = request.watch_resume.etcd.revision
    revision = snapshot.header.etcd.revision
    if request.HasField("watch_resume") and revision <= resumed:
        raise errors.RpcError(
            "List", "INTERNAL", f"snapshot of revision {revision} follows one of {resumed}"
        )


def _snapshot(messages: list[pb.ListResponse]) -> ListResult:
    first = messages[0]
    outcomes.raise_for_status(first.status, "", header=first.header)
    return ListResult(
        tuple(_listed(journal) for message in messages for journal in message.journals),
        convert.header_from_pb(first.header),
    )


def _listed(message: pb.ListResponse.Journal) -> ListedJournal:
    return ListedJournal(
        spec=convert.journal_from_pb(message.spec),
        mod_revision=message.mod_revision,
        create_revision=message.create_revision,
        route=convert.route_from_pb(message.route) if message.route.members else Route(),
    )
