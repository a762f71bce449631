"""Many small appends, coalesced by journal into few calls.

    async with client.append_service() as service:
        pending = await service.append("acme/orders", b"tea")  # Waits for room, and no longer.
        ...
        done = await pending  # It is in the journal, at [done.begin, done.end).

Appends of a journal are sent in the order in which they were accepted, one call at a time; those
which come meanwhile make up the next call. So calls grow with the load, and no delay is needed for
it. What waits for what, and how much is held, is decided by `core.append_queue`.

An append which brokers cannot take now (its journal moves, its store is unhealthy) is tried again
until its time is over, and delays no other journal's. One which fails fails no other, but those
which come `after` it.

A broker which vanishes while it commits leaves it unknown whether the content is in the journal.
Then, by default, the callers of that call are told so (AppendOutcomeUnknownError), and nothing is
sent twice. With `at_least_once` it is sent again, and may be there twice; but not if it is guarded,
by its `offset`, or by `check_registers` which its own registers make fail.

Source: gazette/core broker/client/append_service.go, which has no bounds, and fails all later
appends of a journal after one which failed.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from math import inf
from typing import Any

from gazette_py import errors
from gazette_py.client.append import AppendResult
from gazette_py.client.backoff import backoff_s
from gazette_py.client.counts import CANCELLED, OK, Counts, outcome_of
from gazette_py.clock import Clock
from gazette_py.core.append_queue import (
    Abandoned,
    Append,
    AppendQueue,
    Batch,
    Committed,
    Failed,
    Late,
    Limits,
    Outcome,
    State,
    Withdrawn,
)
from gazette_py.protocol.labels import LabelSelector, LabelSet

UNSEEN_MAX = 100
"""Failed appends which nobody has awaited, and which are kept for `flush` to tell."""

ATTEMPT_S_MAX = 30.0
"""How long a call may take. Its appends may have more time, for further ones."""


Sender = Callable[..., Awaitable[AppendResult]]
"""Appends once, as `Client.append` does, whose arguments it takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """One append, as it is in its journal."""

    journal: str
    begin: int
    end: int
    result: AppendResult  # Of the call which it was part of.


class PendingAppend:
    """An accepted append. Await it, as often as you like, for what became of it."""

    __slots__ = ("_append", "_future", "is_awaited")

    def __init__(self, append: Append) -> None:
        self.is_awaited = False
        self._append = append
        self._future: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()

    @property
    def journal(self) -> str:
        """Its journal."""
        return self._append.journal

    def done(self) -> bool:
        """Tell whether awaiting it returns, or raises, at once."""
        return self._future.done()

    def __await__(self) -> Generator[Any, None, Appended]:
        """Return where it is.

        Raises:
            AppendOutcomeUnknownError: It may be in the journal, or not.
            AppendAbandonedError: It was not sent: an append failed which it comes after.
            RpcDeadlineError: It was not taken in time, and is not in the journal.
            GazetteError: Brokers refuse it; as of `Client.append`.
        """
        self.is_awaited = True
        return asyncio.shield(self._future).__await__()


class AppendService:
    """Made by `Client.append_service`. Leave its context, or `flush`, to have all sent."""

    def __init__(
        self,
        send: Sender,
        clock: Clock,
        limits: Limits,
        *,
        counts: Counts,
        at_least_once: bool,
        timeout_s: float,
    ) -> None:
        self._send = send
        self._counts = counts
        self._clock = clock
        self._queue = AppendQueue(limits)
        self._at_least_once = at_least_once
        self._timeout_s = timeout_s
        self._guards: dict[Append, dict[str, Any]] = {}
        self._pending: dict[Append, PendingAppend] = {}
        self._rooms: dict[Append, asyncio.Future[None]] = {}
        counts.services[id(self)] = self
        self._unseen: list[PendingAppend] = []  # Failed, and nobody has awaited them.
        self._sending: set[asyncio.Task[None]] = set()
        self._is_pumping = False
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False

    @property
    def held_bytes(self) -> int:
        """Bytes which appends take that are accepted, and not settled."""
        return self._queue.held_bytes

    async def append(
        self,
        journal: str,
        content: bytes,
        *,
        after: Iterable[PendingAppend] = (),
        offset: int = 0,
        check_registers: LabelSelector | None = None,
        union_registers: LabelSet | None = None,
        subtract_registers: LabelSet | None = None,
        timeout_s: float | None = None,
    ) -> PendingAppend:
        """Accept an append, as soon as there is room for it.

        Args:
            journal: Its name.
            content: Bytes. Those of appends of a journal are joined in order.
            after: Appends, of any journals, which must be committed before this one is sent.
            offset: As of `Client.append`; such an append is a call of its own, as are those with
                registers.
            check_registers: Likewise.
            union_registers: Likewise.
            subtract_registers: Likewise.
            timeout_s: Bound of its way into the journal, with all tries. None: the service's.

        Raises:
            RuntimeError: The service is closed.
            ValueError: It is larger than all room there is: use `Client.append`, which streams.
        """
        guards = _guards(offset, check_registers, union_registers, subtract_registers)
        append, pending = self._new(journal, content, after, guards, timeout_s)
        self._queue.submit(append, self._clock.monotonic())
        self._pump_soon()
        if append.state is State.WAITING:
            room = self._rooms[append] = asyncio.get_running_loop().create_future()
            self._counts.room_waits += 1
            began = self._clock.monotonic()
            try:
                await room
            except asyncio.CancelledError:
                self._queue.withdraw(append)
                self._pump_soon()
                raise
            finally:
                self._rooms.pop(append, None)
                self._counts.room_wait_s += self._clock.monotonic() - began
        return pending

    def try_append(
        self, journal: str, content: bytes, *, after: Iterable[PendingAppend] = ()
    ) -> PendingAppend | None:
        """Accept an append if there is room for it now; else return None. Never waits."""
        append, pending = self._new(journal, content, after, {}, None)
        if not self._queue.submit(append, self._clock.monotonic(), may_wait=False):
            self._forget(append)
            return None
        self._pump_soon()
        return pending

    async def flush(self) -> None:
        """Send all that was accepted without lingering, and wait until all of it is settled.

        Raises:
            GazetteError: Of the first append which failed and which nobody has awaited.
        """
        self._queue.flush()
        self._pump_soon()
        # Not those which come meanwhile: of a steady load there is no end.
        held = [pending._future for pending in self._pending.values()]  # noqa: SLF001  # Ours.
        if held:
            await asyncio.wait(held)
        unseen = [pending for pending in self._unseen if not pending.is_awaited]
        self._unseen.clear()
        if unseen:
            await unseen[0]

    async def aclose(self) -> None:
        """Accept no more, and `flush`. Leaving the context does so.

        Raises:
            GazetteError: As of `flush`.
        """
        self._is_closed = True
        await self.flush()

    def _new(
        self,
        journal: str,
        content: bytes,
        after: Iterable[PendingAppend],
        guards: dict[str, Any],
        timeout_s: float | None,
    ) -> tuple[Append, PendingAppend]:
        if self._is_closed:
            raise RuntimeError(f"the append service is closed: append to {journal} by another one")
        if not self._queue.fits_ever(len(content)):
            raise ValueError(
                f"an append of {len(content)} bytes is more than the service may hold"
                f" ({self._queue.limits.bytes_max}): use Client.append, which streams"
            )
        bound = self._timeout_s if timeout_s is None else timeout_s
        append = Append(
            journal,
            content,
            deadline=self._clock.monotonic() + bound,
            after=[pending._append for pending in after],  # noqa: SLF001  # Ours.
            key=None if guards else (),
        )
        if guards:
            self._guards[append] = guards
        pending = self._pending[append] = PendingAppend(append)
        return append, pending

    def _forget(self, append: Append) -> None:
        self._pending.pop(append, None)
        self._guards.pop(append, None)

    # The pump: does what the queue says, after each event.

    def _pump_soon(self) -> None:
        # What comes within one step of the loop shares a call.
        if not self._is_pumping:
            self._is_pumping = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        self._is_pumping = False
        now = self._clock.monotonic()
        work = self._queue.work(now)
        for append in work.accepted:
            self._let_in(append)
        for append in work.settled:
            self._settle(append)
        for batch in work.batches:
            task = asyncio.create_task(self._send_batch(batch), name=f"append {batch.journal}")
            self._sending.add(task)  # Not in a group: `flush` waits for what it settles.
            task.add_done_callback(self._sending.discard)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        wake_at = self._queue.wake_at()
        if wake_at < inf:
            delay_s = max(0.0, wake_at - now)
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._pump)

    def _let_in(self, append: Append) -> None:
        room = self._rooms.get(append)
        if room is not None and not room.done():
            room.set_result(None)

    def _settle(self, append: Append) -> None:
        self._let_in(append)
        pending = self._pending[append]
        assert append.outcome is not None
        error = _error_of(append.journal, append.outcome)
        future = pending._future  # noqa: SLF001  # Ours.
        if isinstance(append.outcome, Committed):
            begin, end = append.outcome.begin, append.outcome.end
            result = append.outcome.answer
            assert isinstance(result, AppendResult)
            future.set_result(Appended(journal=append.journal, begin=begin, end=end, result=result))
            self._counts.service_appends[OK] += 1
        elif error is not None:
            self._counts.service_appends[outcome_of(error)] += 1
            future.set_exception(error)
            future.exception()  # It is looked at: `flush` tells what nobody awaits.
            self._keep_unseen(pending)
        else:
            self._counts.service_appends[CANCELLED] += 1
            future.cancel()
        self._forget(append)

    def _keep_unseen(self, failed: PendingAppend) -> None:
        # For `flush`, which raises the first: a service which never flushes keeps no more of them.
        self._unseen = [pending for pending in self._unseen if not pending.is_awaited]
        if not failed.is_awaited and len(self._unseen) < UNSEEN_MAX:
            self._unseen.append(failed)

    async def _send_batch(self, batch: Batch) -> None:
        queue, first = self._queue, batch.sent[0]
        guards = self._guards.get(first, {})
        if batch.attempts > 1:
            self._counts.retries["append"] += 1
        pieces = batch.content()
        content = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        try:
            left_s = batch.deadline - self._clock.monotonic()
            result = await self._send(
                batch.journal,
                content,
                retry=False,
                timeout_s=max(0.001, min(ATTEMPT_S_MAX, left_s)),
                **guards,
            )
        except errors.AppendOutcomeUnknownError as exc:
            if self._at_least_once:
                queue.refused(batch, self._retry_at(batch), is_doubtful=True)
            else:
                queue.failed(batch, exc)
        except errors.GazetteError as exc:
            if exc.retryable:
                queue.refused(batch, self._retry_at(batch))
            else:
                queue.failed(batch, _unknown(batch.journal, exc) if batch.is_doubtful else exc)
        except BaseException as exc:
            # A bug, or the loop ends: whoever waits must not do so for ever.
            queue.failed(batch, exc)
            raise
        else:
            queue.committed(batch, result.commit.begin, result)
        finally:
            self._pump_soon()

    def _retry_at(self, batch: Batch) -> float:
        return self._clock.monotonic() + backoff_s(batch.attempts - 1)


def _guards(
    offset: int,
    check_registers: LabelSelector | None,
    union_registers: LabelSet | None,
    subtract_registers: LabelSet | None,
) -> dict[str, Any]:
    given = {
        "offset": offset or None,
        "check_registers": check_registers,
        "union_registers": union_registers,
        "subtract_registers": subtract_registers,
    }
    return {name: value for name, value in given.items() if value is not None}


def _unknown(journal: str, cause: errors.GazetteError) -> errors.AppendOutcomeUnknownError:
    code = getattr(cause, "code", "") or type(cause).__name__
    return errors.AppendOutcomeUnknownError(
        journal, code, f"an earlier try may have been committed; the last one: {cause}"
    )


def _error_of(journal: str, outcome: Outcome) -> BaseException | None:
    match outcome:
        case Committed() | Withdrawn():
            return None
        case Failed(cause):
            assert isinstance(cause, BaseException)
            return cause
        case Late(is_doubtful):
            if is_doubtful:
                return errors.AppendOutcomeUnknownError(
                    journal, "DEADLINE_EXCEEDED", "no answer to the commit in time"
                )
            return errors.RpcDeadlineError(
                journal, "DEADLINE_EXCEEDED", "no broker took the append in time"
            )
        case Abandoned(on, is_doubtful):
            if is_doubtful:
                return errors.AppendOutcomeUnknownError(
                    journal, "ABORTED", f"an append to {on.journal} failed, which it comes after"
                )
            return errors.AppendAbandonedError(journal, on.journal)


@asynccontextmanager
async def running(
    make: Callable[[], AppendService],
) -> AsyncIterator[AppendService]:
    """Provide a service, and flush it at the end: also if the block fails."""
    service = make()
    try:
        yield service
    finally:
        await service.aclose()
