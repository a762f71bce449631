"""Channels to the other brokers: one for each endpoint, shared by all journals."""

from typing import TYPE_CHECKING

import grpc
import grpc.aio

from gazette_py.pb.protocol_pb2_grpc import JournalStub
from gazette_py.protocol.route import Header, ProcessID, Route
from gazette_py.rpc.channel import dial

if TYPE_CHECKING:
    from gazette_py.pb.protocol_pb2_grpc import JournalAsyncStub


class Peers:
    """Dials brokers as they are needed, and drops channels which no member uses any more."""

    def __init__(self, zone: str, recv_bytes_max: int) -> None:
        self._zone = zone
        self._recv_bytes_max = recv_bytes_max
        self._channels: dict[str, grpc.aio.Channel] = {}

    def stub(self, endpoint: str) -> "JournalAsyncStub":
        """Return a stub of the broker at `endpoint`."""
        return JournalStub(self._channel(endpoint))

    def _channel(self, endpoint: str) -> grpc.aio.Channel:
        channel = self._channels.get(endpoint)
        if channel is None:
            channel = self._channels[endpoint] = dial(endpoint, recv_bytes_max=self._recv_bytes_max)
        return channel

    def pick(self, header: Header) -> tuple[ProcessID, str] | None:
        """Choose who serves a proxied request: the process named, else the best of the Route.

        Members of our zone come first, then those whose connection has not failed.
        """
        route = header.route
        if header.process_id:
            endpoint = endpoint_of(route, header.process_id)
            return (header.process_id, endpoint) if endpoint else None
        known = [(m, e) for m, e in zip(route.members, route.endpoints, strict=False) if e]
        return min(known, key=lambda peer: self._badness(*peer), default=None)

    def _badness(self, member: ProcessID, endpoint: str) -> tuple[bool, bool]:
        channel = self._channels.get(endpoint)
        has_failed = channel is not None and channel.get_state() in (
            grpc.ChannelConnectivity.TRANSIENT_FAILURE,
            grpc.ChannelConnectivity.SHUTDOWN,
        )
        return member.zone != self._zone, has_failed

    async def keep_only(self, endpoints: set[str]) -> None:
        """Close channels to brokers which have left. Calls under way on them end."""
        # Taken out at once: while one closes, its endpoint may come back, with a new channel.
        left = [self._channels.pop(e) for e in list(self._channels) if e not in endpoints]
        for channel in left:
            await channel.close()

    async def close(self) -> None:
        """Close all channels."""
        await self.keep_only(set())


def endpoint_of(route: Route, member: ProcessID) -> str:
    """Return the endpoint of a member, or "" where it is unknown."""
    endpoints = dict(zip(route.members, route.endpoints, strict=False))
    return endpoints.get(member, "")
