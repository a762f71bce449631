"""Flow control of appends: a journal's maximum rate, and the minimum rate of each client.

Pure, in integers: rates are bytes per second, times are milliseconds of any clock.

The balance of a journal accrues at its maximum rate and is kept between appends, up to 10 seconds'
worth. A client must spend at the minimum rate: it has one second's worth in advance, which drains
while we wait for it. It does not drain while a chunk of the client waits for the maximum rate, so a
throttled client is not aborted, however low its journal's rate.

Source: gazette/core broker/append_flow_control.go. The global maximum also binds journals which
have no rate of their own. There a minimum rate of 0 aborts everything, and so does a maximum rate
below the minimum.
"""

from dataclasses import dataclass
from typing import Final

QUANTUM_MS: Final = 50
"""How often the shell ticks."""

_BALANCE_S_MAX: Final = 10

_DRAIN_MS_MAX: Final = 4 * QUANTUM_MS
"""What one tick drains at most: a longer one means that this process was held up, not the
client."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The chunk may be used."""


@dataclass(frozen=True, slots=True)
class Wait:
    """The chunk is not paid for yet: tick."""


@dataclass(frozen=True, slots=True)
class Underflow:
    """The client is slower than the minimum rate: abort."""


Outcome = Ready | Wait | Underflow


class FlowControl:
    """Of one journal. Only the append which owns the pipeline uses it.

    Args:
        min_rate: Of each client; 0: none.
        max_rate: Of any journal; 0: none.
    """

    __slots__ = (
        "_balance_milli",
        "_charge",
        "_global_max_rate",
        "_last_ms",
        "_max_rate",
        "_min_rate",
        "_spent",
    )

    def __init__(self, min_rate: int, max_rate: int) -> None:
        self._min_rate = min_rate
        self._global_max_rate = max_rate
        self._max_rate = 0
        self._balance_milli: int | None = None  # In thousandths: short ticks accrue little.
        self._spent = 0
        self._charge = 0
        self._last_ms = 0

    def start_append(self, now_ms: int, max_append_rate: int) -> None:
        """Begin an append, given the journal's own maximum rate (0: none)."""
        rates = [rate for rate in (max_append_rate, self._global_max_rate) if rate > 0]
        self._max_rate = min(rates, default=0)
        if self._balance_milli is None:
            self._balance_milli = self._max_rate * 1000
            self._last_ms = now_ms
        else:
            self._accrue(now_ms)  # For the time since the append before.
        self._spent = self._min_rate
        self._charge = 0
        self._last_ms = now_ms

    def on_chunk(self, length: int) -> Outcome:
        """Charge a chunk. The one before must have been Ready."""
        assert self._charge == 0, "chunks are taken one by one"
        self._charge = length
        self._debit()
        return self._outcome()

    def tick(self, now_ms: int) -> Outcome:
        """Let time pass. Ready: the chunk charged last, if any, is paid for."""
        elapsed_ms = self._accrue(now_ms)
        if not self._charge:
            drained = self._min_rate * min(elapsed_ms, _DRAIN_MS_MAX) // 1000
            self._spent -= min(drained, self._spent)
            if self._min_rate and self._spent <= 0:
                return Underflow()
        self._debit()
        return self._outcome()

    def lift_limit(self) -> None:
        """Lift the maximum rate for the rest of this append."""
        self._max_rate = 0

    def _accrue(self, now_ms: int) -> int:
        assert self._balance_milli is not None, "an append has started"
        elapsed_ms = max(0, now_ms - self._last_ms)  # A clock set back is ignored.
        self._last_ms = max(self._last_ms, now_ms)
        self._balance_milli = min(
            self._balance_milli + self._max_rate * elapsed_ms,
            _BALANCE_S_MAX * self._max_rate * 1000,
        )
        return elapsed_ms

    def _debit(self) -> None:
        assert self._balance_milli is not None, "an append has started"
        paid = self._charge
        if self._max_rate:
            paid = min(self._balance_milli // 1000, self._charge)
            self._balance_milli -= paid * 1000
        self._charge -= paid
        self._spent = min(self._spent + paid, self._min_rate)

    def _outcome(self) -> Outcome:
        return Wait() if self._charge else Ready()
