"""A pipeline: the spool, and a Replicate stream to every other member of one Route.

A synchronised pipeline is a lock on the journal which all replicas honour: each has given its spool
to our stream, and gives it to no other before the stream ends. Only the holder of the replica's
pipeline token sends; replies are read by whoever sent what they answer.

Invariants:
    PL1  Every message goes to each peer and to our own spool, in the same order.
    PL2  A reply other than OK to a commit or rollback breaks the pipeline: it is built anew.
    PL3  What our spool commits is published through `Settlement` only.
    PL4  A pipeline is used by another append only if every peer has agreed with our spool, and was
         told how each append since has ended.
"""

import asyncio
from collections.abc import Awaitable

from gazette_py.broker.peer_stream import PeerStream
from gazette_py.core.append import SpoolView
from gazette_py.core.pipeline import PeerReply
from gazette_py.core.settlement import Committed, Completed, Settlement
from gazette_py.core.spool import Spool
from gazette_py.errors import GazetteError, RpcDeadlineError, RpcError, ValidationError
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.protocol import convert
from gazette_py.protocol.enums import Status
from gazette_py.protocol.fragment import Fragment, validate_fragment
from gazette_py.protocol.labels import LabelSet
from gazette_py.protocol.route import Header, ProcessID

CONTENT_BYTES_MAX = 1 << 20
"""Content of one Replicate message: with its framing, well below a receiver's 4 MiB."""

ACKNOWLEDGE_TIMEOUT_S = 30.0
"""How long a peer may owe a reply. A peer which is alive answers within milliseconds; one which is
not loses its lease, and its place in the Route, within about as long."""

SYNCHRONISE_TIMEOUT_S = 60.0
"""How long a peer may take to agree. It waits for its spool, which the last primary's stream holds
until that ends, or is found dead; meanwhile our own lease or Route may change, and ends the wait.
"""

Replies = list["asyncio.Future[pb.ReplicateResponse]"]


class Pipeline:
    """Built over a spool which it owns until `close`."""

    def __init__(
        self,
        header: Header,
        spool: Spool,
        settlement: Settlement,
        peers: dict[ProcessID, PeerStream],
    ) -> None:
        self.header = header
        self.spool = spool
        self.peers = peers
        self._settlement = settlement
        self.is_synchronised = False  # Every peer has agreed with our spool.
        self._has_delta = False  # Content was sent, and neither committed nor rolled back.
        self._is_greeted = False  # The streams' first message, with the header, is sent.
        self._is_refused = False  # A peer refused a commit or rollback.

    @property
    def is_broken(self) -> bool:
        """Tell whether the pipeline must be built anew before the next append."""
        is_settled = self.is_synchronised and not self._has_delta and not self._is_refused
        return not is_settled or self.error is not None

    @property
    def error(self) -> GazetteError | None:
        """The first error of any peer."""
        return next((peer.error for peer in self.peers.values() if peer.error is not None), None)

    def view(self) -> SpoolView:
        """Return the extent and registers of the spool."""
        fragment = self.spool.fragment
        return SpoolView(fragment.begin, fragment.end, self.spool.registers)

    def propose(
        self, proposal: Fragment, registers: LabelSet, now: float, *, acknowledge: bool
    ) -> Replies:
        """Send a proposal to every peer and to our spool; return the replies to come."""
        message = pb.ReplicateRequest(
            proposal=convert.fragment_to_pb(proposal),
            registers=convert.labels_to_pb(registers),
            acknowledge=acknowledge,
        )
        replies: Replies = []
        for peer_id, peer in self.peers.items():
            peer.send(message if self._is_greeted else self._greeting(message, peer_id))
            if acknowledge:
                replies.append(peer.expect())
        self._is_greeted = True
        self._has_delta = False
        result = self.spool.apply_proposal(proposal, registers, now)
        assert result.is_ok  # Every proposal derives from our spool.
        if result.completed is not None:
            self._settlement.record(Completed(result.completed))
        if result.committed is not None:
            assert self.spool.file is not None
            self._settlement.record(Committed(result.committed, self.spool.file))
        return replies

    def send_content(self, content: bytes, delta: int) -> None:
        """Send content to every peer and to our spool.

        Raises:
            OSError: Our spool cannot take it. Roll back.
        """
        self._has_delta = True
        for begin in range(0, len(content), CONTENT_BYTES_MAX):
            piece = content[begin : begin + CONTENT_BYTES_MAX]
            message = pb.ReplicateRequest(content=piece, content_delta=delta + begin)
            for peer in self.peers.values():
                peer.send(message)
        self.spool.apply_content(content, delta)

    async def wait_drained(self) -> None:
        """Wait until no peer has much content queued. One which takes none for long is broken."""
        for peer in self.peers.values():
            await self._bounded(peer, peer.wait_drained())

    async def wait_all(self, replies: Replies) -> None:
        """Wait until every reply, or the failure of its stream, is known.

        A peer which does not answer a synchronisation within its bound is broken off.
        """
        if replies:
            await asyncio.wait(replies, timeout=SYNCHRONISE_TIMEOUT_S)
        for peer, reply in zip(self.peers.values(), replies, strict=True):
            if not reply.done():
                peer.break_off(_overdue(peer, SYNCHRONISE_TIMEOUT_S))

    async def gather(self, replies: Replies) -> list[PeerReply]:
        """Wait for a reply of every peer.

        Raises:
            RpcError: A stream broke, its reply means nothing, or its peer owes it for too long.
        """
        for peer, reply in zip(self.peers.values(), replies, strict=True):
            await self._bounded(peer, asyncio.shield(reply))
        try:
            return [
                _reply_of(peer, reply.result(), self.spool.fragment.journal)
                for peer, reply in zip(self.peers, replies, strict=True)
            ]
        except RpcError:
            self._is_refused = True
            raise

    async def gather_ok(self, replies: Replies) -> None:
        """Wait for every peer to accept.

        Raises:
            RpcError: A stream broke, or a peer refused.
        """
        for reply in await self.gather(replies):
            if reply.status is not Status.OK:
                self._is_refused = True
                raise RpcError(str(reply.peer), "UNKNOWN", f"unexpected {reply.status.name}")

    def half_close(self) -> Spool:
        """End our side of the streams, and give the spool up, rolled back to its last commit."""
        for peer in self.peers.values():
            peer.half_close()
        self.spool.rollback()
        return self.spool

    async def wait_ended(self, timeout_s: float) -> None:
        """Wait until every peer has ended its stream; break off those which do not."""
        for peer in self.peers.values():
            await peer.wait_ended(timeout_s)

    async def _bounded(self, peer: PeerStream, waiting: Awaitable[object]) -> None:
        try:
            async with asyncio.timeout(ACKNOWLEDGE_TIMEOUT_S):
                await waiting
        except TimeoutError:
            error = _overdue(peer, ACKNOWLEDGE_TIMEOUT_S)
            peer.break_off(error)
            raise error from None

    def _greeting(self, message: pb.ReplicateRequest, peer: ProcessID) -> pb.ReplicateRequest:
        greeting = pb.ReplicateRequest()
        greeting.CopyFrom(message)
        greeting.header.CopyFrom(convert.header_to_pb(self.header))
        greeting.header.process_id.CopyFrom(convert.process_id_to_pb(peer))
        greeting.deprecated_journal = message.proposal.journal
        return greeting


def _overdue(peer: PeerStream, timeout_s: float) -> RpcDeadlineError:
    return RpcDeadlineError(peer.peer, "UNAVAILABLE", f"no reply within {timeout_s:.0f} s")


def _reply_of(peer: ProcessID, message: pb.ReplicateResponse, journal: str) -> PeerReply:
    """Return what a peer said.

    Raises:
        RpcError: It makes no sense.
    """
    try:
        reply = _converted(peer, message)
        if reply.fragment is not None:
            validate_fragment(reply.fragment, "Fragment")
            if reply.fragment.journal != journal:
                raise ValidationError("Fragment.Journal", f"must be {journal}")
    except (ValueError, ValidationError) as exc:
        raise RpcError(str(peer), "INTERNAL", f"bad reply of {peer}: {exc}") from exc
    return reply


def _converted(peer: ProcessID, message: pb.ReplicateResponse) -> PeerReply:
    return PeerReply(
        peer=peer,
        status=Status(message.status),
        header=convert.header_from_pb(message.header) if message.HasField("header") else None,
        fragment=(
            convert.fragment_from_pb(message.fragment) if message.HasField("fragment") else None
        ),
        registers=(
            convert.labels_from_pb(message.registers) if message.HasField("registers") else None
        ),
    )
