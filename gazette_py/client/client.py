"""The client: one address, its connections, and a method for each thing brokers do.

Units: offsets are journal byte offsets; times of fragments are Unix seconds; bounds are seconds.
Source: gazette/core broker/client.
"""

import asyncio
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Self, TypeVar

import grpc

from gazette_py import errors
from gazette_py.client import inspection, listing, outcomes
from gazette_py.client.append import Appender, AppendResult, Content
from gazette_py.client.append_service import AppendService, running
from gazette_py.client.backoff import backoff_s
from gazette_py.client.change import Change, change_to_pb
from gazette_py.client.dispatch import Connection, Dispatcher, RouteCache
from gazette_py.client.history import BUDGET_BYTES
from gazette_py.client.inspection import Inspected, InspectedBroker
from gazette_py.client.listing import ListedJournal, ListResult
from gazette_py.client.reader import Access, Reader
from gazette_py.client.view import JournalView
from gazette_py.clock import SYSTEM, Clock
from gazette_py.core.append_queue import Limits
from gazette_py.core.read_plan import StoredFragment
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.protocol import convert
from gazette_py.protocol.claims import Capability, parse_keys
from gazette_py.protocol.enums import AppendSuspend
from gazette_py.protocol.fragment import Fragment
from gazette_py.protocol.journal import strip_meta
from gazette_py.protocol.labels import LabelSelector, LabelSet
from gazette_py.protocol.route import Header
from gazette_py.rpc.errors import translate
from gazette_py.rpc.tls import ClientTls
from gazette_py.rpc.tokens import FixedToken, SignedTokens, Tokens
from gazette_py.stores.fetch import UrlFetcher

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

_T = TypeVar("_T")

_NS = 1_000_000_000
_DECODING_THREADS_MAX = 4

_LISTED_MAX = 64
"""Fragments which a reader lists at a time: brokers sign each URL, which costs them some 0.3 ms."""

_URL_TTL_S = 3600.0


@dataclass(frozen=True, slots=True)
class ListedFragment:
    """A fragment, and a URL which serves its file for a while, if one was asked for."""

    fragment: Fragment
    url: str


@dataclass(frozen=True, slots=True)
class FragmentPage:
    """Fragments as one answer of a broker has them."""

    header: Header
    fragments: tuple[ListedFragment, ...]


def connect(
    address: str,
    *,
    zone: str = "",
    cache_size: int = 256,
    cache_ttl_s: float = 60.0,
    timeout_s: float = 30.0,
    file_root: str = "",
    auth_keys: str = "",
    auth_token: str = "",
    trusted_ca_file: str = "",
    cert_file: str = "",
    cert_key_file: str = "",
    metrics: "CollectorRegistry | bool" = True,
    clock: Clock = SYSTEM,
) -> "Client":
    """Return a client of the brokers behind `address`. It dials at the first call.

    Args:
        address: http://, https:// or unix:// endpoint of any broker, or of a balancer before them.
            Several, with commas between them, are tried in turn.
        zone: Where we are. Members of the zone are read from where there is a choice.
        cache_size: Journals whose routes are kept, so that calls reach their brokers directly and
            stored fragments are fetched from the store. 0: brokers proxy all of it, which is right
            where their endpoints cannot be reached from here.
        cache_ttl_s: How long a route is kept.
        timeout_s: Bound of each call with its retries, unless the call gives its own.
        file_root: Directory of file:// stores, if we can see it; else brokers read it for us.
        auth_keys: Keys of the brokers, as their `--broker.auth-keys` has them. Each call then bears
            a token for no more than it does, signed with the first.
        auth_token: Token which each call bears instead, as someone with the keys signed it.
        trusted_ca_file: PEM file of the authorities which sign certificates of brokers, instead of
            the usual ones. Which endpoints use TLS is said by their `https`. Stores have the usual.
        cert_file: PEM file of our certificate, for brokers which ask for one.
        cert_key_file: Of its key.
        metrics: Where Prometheus finds what the client counts, see docs/reference/metrics.md: in
            `prometheus_client.REGISTRY`, in another registry, or (False) nowhere.
        clock: Time and waiting.

    Raises:
        ConfigError: The address is not an endpoint, a key is none, there are keys and a token, or
            a file is not what it should be.
    """
    routes = RouteCache(cache_size, cache_ttl_s, clock)
    addresses = [part.strip() for part in address.split(",")]
    tokens = _tokens(auth_keys, auth_token, clock)
    tls = ClientTls(
        trusted_ca_file=trusted_ca_file, cert_file=cert_file, cert_key_file=cert_key_file
    )
    dispatcher = Dispatcher(
        addresses, zone=zone, routes=routes, tokens=tokens, tls=tls, clock=clock
    )
    client = Client(dispatcher, timeout_s=timeout_s, file_root=file_root, clock=clock)
    if metrics is not False:
        # Here, since Prometheus' client library takes a while to be imported.
        from gazette_py.client.metrics import show

        show(client, dispatcher.counts, None if metrics is True else metrics)
    return client


class Client:
    """A client of journal brokers, for one event loop. Use it as `async with`, or `close` it.

    Where not said otherwise, methods try again while brokers are unavailable or move the journal,
    within the client's timeout, and raise the last error when that is over.
    """

    def __init__(
        self, dispatcher: Dispatcher, *, timeout_s: float, file_root: str, clock: Clock
    ) -> None:
        self._dispatcher = dispatcher
        self._timeout_s = timeout_s
        self._clock = clock
        self._fetcher = UrlFetcher(file_root=file_root)
        self._decoders = ThreadPoolExecutor(_DECODING_THREADS_MAX, thread_name_prefix="decode")
        self._readers: weakref.WeakSet[Reader] = weakref.WeakSet()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections. Calls and reads under way end."""
        for reader in tuple(self._readers):
            await reader.aclose()
        await self._dispatcher.close()
        await self._fetcher.close()
        self._decoders.shutdown(wait=False, cancel_futures=True)

    async def append(
        self,
        journal: str,
        content: Content = b"",
        *,
        offset: int = 0,
        check_registers: LabelSelector | None = None,
        union_registers: LabelSet | None = None,
        subtract_registers: LabelSet | None = None,
        suspend: AppendSuspend = AppendSuspend.RESUME,
        retry: bool = True,
        timeout_s: float | None = None,
    ) -> AppendResult:
        """Append the whole of `content`, or nothing of it.

        Without content it is a barrier: it returns once all replicas are in step, and tells the
        write head. Content must keep coming: brokers refuse an append slower than 64 KiB/s.

        At most once: if a broker vanishes while it commits, the content may be in the journal, or
        not, and is not sent again. Who then appends once more gives the `offset` at which it was to
        begin, or `check_registers`, which refuse a second one. Iterators can be read once only:
        after their first piece was taken, there are no more attempts.

        Args:
            journal: Its name.
            content: Bytes, or an (asynchronous) iterable of pieces of any size.
            offset: Refuse unless the append begins here; 0: wherever the write head is.
            check_registers: Refuse unless the journal's registers, if it has any, match.
            union_registers: Registers to set as the append commits; it then must have content.
            subtract_registers: Registers to drop as it commits, likewise.
            suspend: What to do about suspension. All but RESUME and NO_RESUME take no content.
            retry: Try again while the journal's broker is unavailable or changes.
            timeout_s: Bound of all attempts.

        Raises:
            AppendOutcomeUnknownError: No answer to the request to commit content.
            RegisterMismatchError: The registers do not match: another writer fenced us.
            WrongAppendOffsetError: The write head is not at `offset`.
            IndexHasGreaterOffsetError: Stored content lies beyond the replicas' write head.
            JournalError: Another status than OK.
            RpcError: The broker could not be reached, or refused the call.
        """
        request = pb.AppendRequest(
            journal=strip_meta(journal),  # A Gazette broker dies of what follows a `;`.
            offset=offset,
            suspend=pb.AppendRequest.Suspend.ValueType(suspend),
            check_registers=(
                None if check_registers is None else convert.selector_to_pb(check_registers)
            ),
            union_registers=(
                None if union_registers is None else convert.labels_to_pb(union_registers)
            ),
            subtract_registers=(
                None if subtract_registers is None else convert.labels_to_pb(subtract_registers)
            ),
        )
        appender = Appender(self._dispatcher, self._clock, request, content)
        return await appender.run(
            retry=retry, timeout_s=self._timeout_s if timeout_s is None else timeout_s
        )

    def append_service(
        self,
        *,
        bytes_max: int = 64 << 20,
        batch_bytes_max: int = 1 << 20,
        linger_s: float = 0.0,
        sends_max: int = 64,
        at_least_once: bool = False,
        timeout_s: float = 120.0,
    ) -> AbstractAsyncContextManager[AppendService]:
        """Return a service which coalesces many small appends, as an asynchronous context.

        Args:
            bytes_max: Held at most, for all journals. Beyond it, `append` waits.
            batch_bytes_max: Of content which one call carries, unless one append has more.
            linger_s: How long a call is held open for more appends. Calls grow with the load
                without it: what comes while one is under way makes up the next.
            sends_max: Calls under way, each of another journal.
            at_least_once: Send content again whose outcome is unknown: it may be there twice.
            timeout_s: Bound of an append's way into its journal, with all tries.
        """
        limits = Limits(
            bytes_max=bytes_max,
            batch_bytes_max=batch_bytes_max,
            linger_s=linger_s,
            sends_max=sends_max,
        )
        return running(
            lambda: AppendService(
                self.append,
                self._clock,
                limits,
                counts=self._dispatcher.counts,
                at_least_once=at_least_once,
                timeout_s=timeout_s,
            )
        )

    def reader(
        self,
        journal: str,
        *,
        offset: int = 0,
        end_offset: int = 0,
        block: bool = False,
        begin_mod_time: int = 0,
        metadata_only: bool = False,
        read_ahead_bytes: int = BUDGET_BYTES,
        timeout_s: float | None = None,
    ) -> Reader:
        """Return a reader of `[offset, end_offset)`. Use it as `async with`.

        Stored fragments are fetched from their store, several at a time, and verified; where the
        store cannot be reached from here, brokers read it for us, and `Reader.health` says so.

        Args:
            journal: Its name.
            offset: First byte; -1: from the write head on.
            end_offset: Where to end; 0: at the write head, or never if `block`.
            block: Wait at the write head for more.
            begin_mod_time: Skip fragments which were stored before, in Unix seconds. What they hold
                is jumped over; a fragment which was stored later may begin with older content.
            metadata_only: End after the first answer, without content.
            read_ahead_bytes: Content of stored fragments which may wait in memory, beside some MB
                of each file which is being fetched.
            timeout_s: How long to go without an answer. None: the client's, or without end if
                `block`.
        """
        request = pb.ReadRequest(
            journal=journal,
            offset=offset,
            end_offset=end_offset,
            block=block,
            begin_mod_time=begin_mod_time,
            metadata_only=metadata_only,
        )
        if timeout_s is None and not block:
            timeout_s = self._timeout_s
        access = Access(
            list_stored=partial(self._list_stored, journal, begin_mod_time),
            open_url=self._fetcher.open,
            executor=self._decoders,
            budget_bytes=read_ahead_bytes,
            listing_s_max=_URL_TTL_S / 4,
        )
        reader = Reader(self._dispatcher, self._clock, request, access=access, timeout_s=timeout_s)
        self._readers.add(reader)
        return reader

    async def read_all(self, journal: str, begin: int, end: int, *, block: bool = False) -> bytes:
        """Return exactly the bytes `[begin, end)`, held in memory.

        Args:
            journal: Its name.
            begin: First offset.
            end: Offset after the last.
            block: Wait, within the client's timeout, for what is not there yet. A broker which
                joined lately may not have listed the latest fragments of the store.

        Raises:
            OffsetJumpError: Content within is gone.
            OffsetNotYetAvailableError: The broker does not know of content up to `end`.
            RpcDeadlineError: Nor did it in time.
            JournalError: Another status than OK.
        """
        if end <= begin:
            return b""
        timeout_s = self._timeout_s if block else None
        async with self.reader(
            journal, offset=begin, end_offset=end, block=block, timeout_s=timeout_s
        ) as reader:
            return b"".join([piece async for batch in reader.batches() for piece in batch.pieces])

    async def write_head(self, journal: str) -> int:
        """Return the offset at which the journal's content ends, and the next append begins."""
        async with self.reader(journal, offset=-1, metadata_only=True) as reader:
            assert await reader.next_batch() is None, "metadata has no content"
            return reader.write_head

    async def list(self, selector: LabelSelector = LabelSelector()) -> ListResult:
        """Return the selected journals; all of them by default."""
        return await self._retrying(lambda: listing.list_once(self._dispatcher, selector))

    def watch(self, selector: LabelSelector = LabelSelector()) -> AsyncGenerator[ListResult, None]:
        """Yield the selected journals now, and again after each change of their specs.

        Changes of routes alone are not told. It never ends; broken streams are taken up again.
        """
        return listing.watch(self._dispatcher, self._clock, selector, timeout_s=self._timeout_s)

    def view(self, selector: LabelSelector = LabelSelector()) -> JournalView:
        """Return a view of the selected journals which is kept current. Use it as `async with`."""
        return JournalView(lambda: self.watch(selector))

    async def inspect(self, journal: ListedJournal) -> tuple[Inspected, ...]:
        """Return what each broker of the journal knows of it, for people who look for trouble.

        It is not repeated: a broker which cannot be reached is part of the answer.

        Raises:
            JournalNotFoundError: It was deleted meanwhile.
        """
        return await inspection.inspect(self._dispatcher, journal, timeout_s=self._timeout_s)

    async def inspect_broker(
        self, endpoint: str = "", *, timeout_s: float | None = None
    ) -> InspectedBroker:
        """Return how a broker is, and whom it sees in its cluster. It is not repeated.

        Args:
            endpoint: Its own; "": of whoever is at the client's address.
            timeout_s: Of the call; None: the client's. A broker which does not answer is told.
        """
        return await inspection.inspect_broker(
            self._dispatcher,
            self._clock,
            endpoint,
            timeout_s=self._timeout_s if timeout_s is None else timeout_s,
        )

    async def apply(self, changes: Iterable[Change]) -> int:
        """Make all changes, or none, and return the revision at which they were made.

        It waits for a connection, but is never repeated: the first try may have succeeded. etcd
        takes some 128 changes at once; who has more makes several calls, and knows which were made.

        Raises:
            ValidationError: What shall be deleted is no name of a journal.
            EtcdTransactionFailedError: An expected revision does not hold.
            RpcError: The broker refuses, or cannot be asked.
        """
        request = pb.ApplyRequest(changes=[change_to_pb(change) for change in changes])

        # A connection is awaited, since whether a call was sent is not told afterwards.
        await self._retrying(self._dispatcher.wait_connected)

        async def call(broker: Connection) -> pb.ApplyResponse:
            return await broker.stub.Apply(
                request,
                timeout=self._timeout_s,
                wait_for_ready=True,
                metadata=broker.tokens.metadata(Capability.APPLY),
            )

        response = await self._unary("", call)
        outcomes.raise_for_status(response.status, "", header=response.header)
        return response.header.etcd.revision

    async def fragments(
        self,
        journal: str,
        *,
        begin_mod_time: int = 0,
        end_mod_time: int = 0,
        url_ttl_s: float = 0.0,
    ) -> AsyncGenerator[ListedFragment, None]:
        """Yield the journal's fragments by ascending begin. Spans may overlap.

        Args:
            journal: Its name.
            begin_mod_time: Only those stored at or after; those not yet stored always pass.
            end_mod_time: Only those stored before; 0: also those not yet stored.
            url_ttl_s: For how long their URLs shall work; 0: no URLs.
        """
        pages = self.fragment_pages(
            journal,
            begin_mod_time=begin_mod_time,
            end_mod_time=end_mod_time,
            url_ttl_s=url_ttl_s,
        )
        async with aclosing(pages):
            async for page in pages:
                for entry in page.fragments:
                    yield entry

    async def fragment_pages(
        self,
        journal: str,
        *,
        begin_mod_time: int = 0,
        end_mod_time: int = 0,
        url_ttl_s: float = 0.0,
    ) -> AsyncGenerator[FragmentPage, None]:
        """Yield the journal's fragments in the pages which brokers answer; see `fragments`."""
        request = pb.FragmentsRequest(
            journal=journal,
            begin_mod_time=begin_mod_time,
            end_mod_time=end_mod_time,
            do_not_proxy=self._dispatcher.has_routes,
        )
        if url_ttl_s > 0:
            request.signatureTTL.CopyFrom(convert.duration_to_pb(int(url_ttl_s * _NS)))
        while True:
            response = await self._retrying(lambda: self._fragments_page(request))
            listed = (
                ListedFragment(convert.fragment_from_pb(entry.spec), entry.signed_url)
                for entry in response.fragments
                # Brokers keep those stored exactly at the end of the range.
                if not end_mod_time or entry.spec.mod_time < end_mod_time
            )
            yield FragmentPage(convert.header_from_pb(response.header), tuple(listed))
            if not response.next_page_token:
                return
            request.next_page_token = response.next_page_token

    async def store_health(self, url: str, *, check_delete_prefix: str | None = None) -> None:
        """Have a broker check a fragment store.

        Args:
            url: Of the store, as a journal's spec would name it.
            check_delete_prefix: Also check deletion, below this prefix (it ends in a slash, or is
                empty).

        Raises:
            StoreUnhealthyError: The check failed; `detail` says how.
            RpcError: No broker answered.
        """
        request = pb.FragmentStoreHealthRequest(
            fragment_store=url,
            check_delete=check_delete_prefix is not None,
            check_delete_prefix=check_delete_prefix or "",
        )

        async def call(broker: Connection) -> pb.FragmentStoreHealthResponse:
            return await broker.stub.FragmentStoreHealth(
                request,
                timeout=self._timeout_s,
                metadata=broker.tokens.metadata(Capability.READ),
            )

        response = await self._retrying(lambda: self._unary("", call))
        outcomes.raise_for_status(
            response.status, "", header=response.header, detail=response.store_health_error
        )

    async def _list_stored(
        self, journal: str, begin_mod_time: int, begin: int
    ) -> Sequence[StoredFragment]:
        """Return some stored fragments which begin at an offset or after it."""
        request = pb.FragmentsRequest(
            journal=journal,
            begin_mod_time=begin_mod_time,
            next_page_token=begin,
            page_limit=_LISTED_MAX,
            signatureTTL=convert.duration_to_pb(int(_URL_TTL_S * _NS)),
            do_not_proxy=self._dispatcher.has_routes,
        )
        response = await self._fragments_page(request)
        return [
            StoredFragment(convert.fragment_from_pb(entry.spec), entry.signed_url)
            for entry in response.fragments
            if entry.spec.mod_time and entry.signed_url
        ]

    async def _fragments_page(self, request: pb.FragmentsRequest) -> pb.FragmentsResponse:
        async def call(broker: Connection) -> pb.FragmentsResponse:
            return await broker.stub.ListFragments(
                request,
                timeout=self._timeout_s,
                metadata=broker.tokens.for_journal(Capability.READ, request.journal),
            )

        response = await self._unary(request.journal, call)
        self._dispatcher.learn(request.journal, response.header)
        outcomes.raise_for_status(response.status, request.journal, header=response.header)
        return response

    async def _unary(self, journal: str, call: Callable[[Connection], Awaitable[_T]]) -> _T:
        """Make one call, with gRPC's errors as ours."""
        async with self._dispatcher.borrow(journal) as broker:
            try:
                return await call(broker)
            except grpc.aio.AioRpcError as exc:
                if exc.code() is grpc.StatusCode.UNAVAILABLE:
                    self._dispatcher.forget(journal, broker)
                if (
                    exc.code() is grpc.StatusCode.DEADLINE_EXCEEDED
                    and broker.channel.get_state() is not grpc.ChannelConnectivity.READY
                ):
                    raise errors.RpcUnavailableError(
                        broker.endpoint, "UNAVAILABLE", f"no connection in {self._timeout_s} s"
                    ) from exc
                raise translate(exc, broker.endpoint) from exc

    async def _retrying(self, call: Callable[[], Awaitable[_T]]) -> _T:
        """Make a call which may be repeated until it is not told to come back, or time is over."""
        refusal: errors.GazetteError | None = None
        attempt = 0
        try:
            async with asyncio.timeout(self._timeout_s):
                while True:
                    try:
                        return await call()
                    except errors.StoreUnhealthyError:
                        raise  # The answer, not an obstacle to it.
                    except errors.GazetteError as exc:
                        if not exc.retryable:
                            raise
                        refusal = exc
                    await self._clock.sleep(backoff_s(attempt))
                    attempt += 1
                    self._dispatcher.counts.retries["call"] += 1
        except TimeoutError as exc:
            raise refusal or errors.RpcDeadlineError(
                self._dispatcher.addresses,
                "DEADLINE_EXCEEDED",
                f"no answer in {self._timeout_s} s",
            ) from exc


def _tokens(keys: str, token: str, clock: Clock) -> Tokens:
    if keys and token:
        raise errors.ConfigError("auth_token", "is given together with auth_keys; give one")
    if keys:
        return SignedTokens(parse_keys("auth_keys", keys), clock)
    if not token:
        return Tokens()
    if not (token.isascii() and token.isprintable()):
        raise errors.ConfigError("auth_token", "holds characters which no token has")
    return FixedToken(token)
