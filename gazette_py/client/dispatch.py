"""Chooses the broker of a call: a cache of routes, and a pool of channels keyed by endpoint.

Without a cache every call goes to the service address, and brokers proxy. With one, calls go to a
member of the journal's route, and reads ask not to be proxied: the client then fetches stored
fragments from the object store itself.

Invariants:
    P1  A channel is closed only while no call uses it; those of service addresses only by `close`.
    P2  The cache holds at most `size` routes, none older than its time to live.
    P3  A broker which does not answer a probe is avoided for a while, where there is a choice.
        HTTP/2 pings would find it, too, but Gazette's servers hang up on clients which send them.

Units: seconds of the clock's monotonic time.
Source: gazette/core broker/protocol/dispatcher.go, broker/client/route_cache.go. grpc.aio has no
balancers of one's own, so the pick is done here, before the call.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self

import grpc

from gazette_py.client.counts import Counts
from gazette_py.clock import Clock
from gazette_py.errors import RpcUnavailableError
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.pb.protocol_pb2_grpc import JournalStub
from gazette_py.protocol import convert
from gazette_py.protocol.claims import Capability, of_journal
from gazette_py.protocol.journal import strip_meta
from gazette_py.protocol.route import Route
from gazette_py.rpc.channel import dial
from gazette_py.rpc.errors import translate
from gazette_py.rpc.tls import ClientTls
from gazette_py.rpc.tokens import Tokens

if TYPE_CHECKING:
    from gazette_py.pb.protocol_pb2_grpc import JournalAsyncStub

IDLE_S_MAX = 30.0
"""A channel which no call used for so long is closed at the next pick."""

PROBE_AFTER_S = 3.0
"""A call which takes so long has its broker probed, and again after as long."""

PROBE_TIMEOUT_S = 2.0
REFUSED_S = 1.0
"""How long a service address at which a call found nobody is the last choice."""

AVOID_S = 10.0
"""How long a broker which did not answer is avoided: some lease terms of a cluster in a hurry."""

_PROBE_SELECTOR = of_journal("gazette-py.dev/probe")
_PROBE = pb.ListRequest(selector=convert.selector_to_pb(_PROBE_SELECTOR))
"""Asks for next to nothing, and any broker answers it from memory."""

_READY = grpc.ChannelConnectivity.READY
_FAILING = grpc.ChannelConnectivity.TRANSIENT_FAILURE

_RANKS = {
    grpc.ChannelConnectivity.READY: 2,
    grpc.ChannelConnectivity.CONNECTING: 1,
    grpc.ChannelConnectivity.IDLE: 0,
    grpc.ChannelConnectivity.TRANSIENT_FAILURE: -1,
    grpc.ChannelConnectivity.SHUTDOWN: -1,
}


class RouteCache:
    """Least recently used routes of journals (P2)."""

    def __init__(self, size: int, ttl_s: float, clock: Clock) -> None:
        self.size = size
        self._ttl_s = ttl_s
        self._clock = clock
        self._routes: OrderedDict[str, tuple[Route, float]] = OrderedDict()

    def get(self, journal: str) -> Route:
        """Return the journal's route, or one without members."""
        route, expires = self._routes.get(strip_meta(journal), (Route(), 0.0))
        if not route.members or expires <= self._clock.monotonic():
            self.drop(journal)
            return Route()
        self._routes.move_to_end(strip_meta(journal))
        return route

    def put(self, journal: str, route: Route) -> None:
        """Remember the route. One without members, or whose endpoints are unknown, is dropped."""
        if not route.members or len(route.endpoints) != len(route.members):
            self.drop(journal)
            return
        self._routes[strip_meta(journal)] = (route, self._clock.monotonic() + self._ttl_s)
        self._routes.move_to_end(strip_meta(journal))
        while len(self._routes) > self.size:
            self._routes.popitem(last=False)

    def drop(self, journal: str) -> None:
        """Forget the journal's route."""
        self._routes.pop(strip_meta(journal), None)


def pick(
    route: Route, zone: str, *, needs_primary: bool, rank_of: Callable[[str], int]
) -> str | None:
    """Return the endpoint to call, or None for the service address.

    Args:
        route: Who serves the journal, as far as we know.
        zone: The caller's zone, whose members are preferred over healthier ones elsewhere.
        needs_primary: Use the primary, if the route names one.
        rank_of: Ranks the connection to an endpoint; negative if it is failing.
    """
    if needs_primary and route.primary >= 0:
        return route.endpoints[route.primary] or None
    known = [
        (member.zone == zone, rank_of(endpoint) >= 0, rank_of(endpoint), endpoint)
        for member, endpoint in zip(route.members, route.endpoints, strict=False)
        if endpoint
    ]
    return max(known, key=lambda scored: scored[:3])[3] if known else None


@dataclass(slots=True)
class Connection:
    """A channel to a broker, with the count of calls which use it."""

    endpoint: str
    channel: grpc.aio.Channel
    tokens: Tokens
    stub: "JournalAsyncStub" = field(init=False)
    users: int = 0
    last_used: float = 0.0
    avoid_until: float = 0.0  # P3
    refused_until: float = 0.0

    def __post_init__(self) -> None:
        self.stub = JournalStub(self.channel)


class WhileAlive:
    """Bounds a block by the life of the broker which it calls, and not by its time.

    Raises:
        RpcUnavailableError: The broker does not even answer a probe.
    """

    def __init__(self, connection: Connection, clock: Clock, probe_after_s: float) -> None:
        self._connection = connection
        self._clock = clock
        self._probe_after_s = probe_after_s
        self._timeout = asyncio.timeout(None)
        self._timer: asyncio.TimerHandle | None = None
        self._probing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        # A timer, and a task only once it has run out: most calls are over by then.
        self._timer = asyncio.get_running_loop().call_later(self._probe_after_s, self._begin)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._timer is not None
        self._timer.cancel()
        if self._probing is not None:
            self._probing.cancel()
        # grpc.aio may tell a cancellation of ours as an end of the call.
        is_ours = isinstance(exc, grpc.aio.AioRpcError) and _is_own_cancellation(exc)
        if is_ours:
            kind = asyncio.CancelledError
        try:
            await self._timeout.__aexit__(kind, exc, trace)
        except TimeoutError:
            self._connection.avoid_until = self._clock.monotonic() + AVOID_S
            raise RpcUnavailableError(
                self._connection.endpoint, "UNAVAILABLE", "the broker does not answer"
            ) from None
        if is_ours:
            raise asyncio.CancelledError from exc

    def _begin(self) -> None:
        self._probing = asyncio.create_task(self._probe(), name="probe")  # Ended by `__aexit__`.

    async def _probe(self) -> None:
        while await _is_alive(self._connection):
            await self._clock.sleep(self._probe_after_s)
        self._timeout.reschedule(0)


def _is_own_cancellation(exc: grpc.aio.AioRpcError) -> bool:
    task = asyncio.current_task()
    assert task is not None
    return exc.code() is grpc.StatusCode.CANCELLED and task.cancelling() > 0


async def _why_failing(connection: Connection) -> RpcUnavailableError | None:
    """Return why a broker cannot be reached: a call tells, and a channel does not."""
    call = _probe(connection)
    try:
        await anext(aiter(call), None)
    except grpc.aio.AioRpcError as exc:
        error = translate(exc, connection.endpoint)
        return error if isinstance(error, RpcUnavailableError) else None
    finally:
        call.cancel()
    return None


def _probe(connection: Connection) -> "grpc.aio.UnaryStreamCall[pb.ListRequest, pb.ListResponse]":
    return connection.stub.List(
        _PROBE,
        timeout=PROBE_TIMEOUT_S,
        metadata=connection.tokens.metadata(Capability.LIST, _PROBE_SELECTOR),
    )


async def _is_alive(connection: Connection) -> bool:
    """Tell whether the broker answers at all: a refusal is an answer."""
    call = _probe(connection)
    try:
        async for _ in call:
            break
    except grpc.aio.AioRpcError as exc:
        silence = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
        return exc.code() not in silence
    finally:
        call.cancel()
    return True


class Dispatcher:
    """Owns all channels of a client.

    Args:
        addresses: Service addresses. The first whose connection does not fail is used.
        zone: Where we are.
        routes: Cache of routes.
        tokens: What calls bear, to be let in.
        tls: Whom we trust, and who we are, at `https` endpoints.
        clock: Times the idleness of channels.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        *,
        zone: str,
        routes: RouteCache,
        tokens: Tokens,
        tls: ClientTls,
        clock: Clock,
    ) -> None:
        self._tokens = tokens
        self._credentials = tls.credentials()
        self._services = [self._connect(address) for address in addresses]
        self._zone = zone
        self._routes = routes
        self._clock = clock
        self._pool: dict[str, Connection] = {}
        self.counts = Counts()  # Of the client: whatever makes calls has the dispatcher.

    @property
    def has_routes(self) -> bool:
        """Tell whether calls are routed here, rather than proxied by brokers."""
        return self._routes.size > 0

    @property
    def addresses(self) -> str:
        """Return the service addresses, for errors."""
        return ",".join(service.endpoint for service in self._services)

    @asynccontextmanager
    async def borrow(
        self, journal: str = "", *, needs_primary: bool = False
    ) -> AsyncIterator[Connection]:
        """Lend the connection for one call about `journal`; the service address without one."""
        async with self._lend(self._choose(journal, needs_primary=needs_primary)) as connection:
            yield connection

    @asynccontextmanager
    async def borrow_at(self, endpoint: str) -> AsyncIterator[Connection]:
        """Lend the connection to one broker, at its own endpoint; "": the service address.

        Raises:
            ConfigError: It is none that we can dial.
        """
        async with self._lend(self._pooled(endpoint) if endpoint else self._service()) as lent:
            yield lent

    @asynccontextmanager
    async def _lend(self, connection: Connection) -> AsyncIterator[Connection]:
        connection.users += 1
        try:
            await self._sweep()
            yield connection
        finally:
            connection.users -= 1
            connection.last_used = self._clock.monotonic()

    def learn(self, journal: str, header: pb.Header) -> None:
        """Take the route of a response's header."""
        self.learn_route(journal, convert.route_from_pb(header.route))

    def learn_route(self, journal: str, route: Route) -> None:
        """Take a journal's route."""
        if self.has_routes:
            self._routes.put(journal, route)

    def while_alive(self, connection: Connection, probe_after_s: float | None = None) -> WhileAlive:
        """Return a context for a call by the connection, which ends if its broker is silent.

        Args:
            connection: Of the call.
            probe_after_s: When to probe the broker, and again; None: as soon as is usual for calls
                which are to be answered at once.
        """
        return WhileAlive(
            connection, self._clock, PROBE_AFTER_S if probe_after_s is None else probe_after_s
        )

    def forget(self, journal: str, connection: Connection) -> None:
        """Drop the journal's route, and ask elsewhere next: a call by it found nobody."""
        self._routes.drop(journal)
        connection.refused_until = self._clock.monotonic() + REFUSED_S

    async def wait_connected(self) -> None:
        """Return once a service address is connected, which the next call will then use.

        Raises:
            RpcUnavailableError: One cannot be: the next try is of another, if there is any.
        """
        async with self.borrow() as broker:
            channel = broker.channel
            while (state := channel.get_state(try_to_connect=True)) is not _READY:
                if state is _FAILING and (error := await _why_failing(broker)) is not None:
                    self.forget("", broker)
                    raise error
                await channel.wait_for_state_change(state)

    async def close(self) -> None:
        """Close every channel. Calls under way end."""
        for connection in (*self._services, *self._pool.values()):
            await connection.channel.close()
        self._pool.clear()

    def _choose(self, journal: str, *, needs_primary: bool) -> Connection:
        if not journal or not self.has_routes:
            return self._service()
        route = self._routes.get(journal)
        if route.members:
            self.counts.routes_known += 1
        else:
            self.counts.routes_unknown += 1
        endpoint = pick(
            route,
            self._zone,
            needs_primary=needs_primary,
            rank_of=self._rank_of,
        )
        if endpoint is None or (endpoint in self._pool and self._is_avoided(self._pool[endpoint])):
            return self._service()
        return self._pooled(endpoint)

    def _pooled(self, endpoint: str) -> Connection:
        if endpoint not in self._pool:
            self._pool[endpoint] = self._connect(endpoint)
        return self._pool[endpoint]

    def _connect(self, endpoint: str) -> Connection:
        return Connection(endpoint, dial(endpoint, credentials=self._credentials), self._tokens)

    def _service(self) -> Connection:
        def is_usable(connection: Connection) -> bool:
            is_failing = _RANKS[connection.channel.get_state()] < 0
            return not is_failing and not self._is_avoided(connection)

        usable = [c for c in self._services if is_usable(c)]
        # A broker may be there and of no use: it cannot reach etcd, or its view is of another time.
        return (
            min(usable, key=lambda c: c.refused_until > self._clock.monotonic(), default=None)
            or (self._services[0])
        )

    def _is_avoided(self, connection: Connection) -> bool:
        return connection.avoid_until > self._clock.monotonic()

    async def _sweep(self) -> None:
        """Close the channels which are idle for long (P1)."""
        horizon = self._clock.monotonic() - IDLE_S_MAX
        idle = [c for c in self._pool.values() if c.users == 0 and c.last_used <= horizon]
        for connection in idle:
            # Out of the pool first: whoever picks while we wait for the close dials anew.
            del self._pool[connection.endpoint]
        for connection in idle:
            await connection.channel.close()

    def _rank_of(self, endpoint: str) -> int:
        connection = self._pool.get(endpoint)
        if connection is None:
            return 0
        return -1 if self._is_avoided(connection) else _RANKS[connection.channel.get_state()]
