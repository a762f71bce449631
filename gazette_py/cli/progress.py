"""Bars for people who wait: how far a long command is, how fast, and how long it will take.

    with Progress.on_terminal(hidden=no_progress) as progress:
        meter = progress.meter("acme/orders", total=1 << 30)
        meter.move(4096)                  # As often as there is something new: it costs nothing.
        progress.say("reached the end")   # A line on standard error, above the bars.
        meter.close()

Invariants:
    PR1  Nothing is drawn unless standard error is a terminal which can move its cursor.
    PR2  Who moves a meter stores numbers; they are drawn by another thread, a few times a second.
    PR3  A command which is done soon draws nothing, and does not pay for loading what draws.

Units: bytes, unless things are counted, and seconds of the monotonic clock.
"""

import os
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import click

from gazette_py.cli.quantities import format_size
from gazette_py.clock import SYSTEM, Clock

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table

_DELAY_S = 0.5
"""Until bars are drawn: what takes no longer is better left alone."""

_DRAWINGS_PER_S = 4
_RATE_WINDOW_S = 5.0
_ROWS_MAX = 8
_BAR_WIDTH = 24


class Meter:
    """How far one thing is. Its numbers may lag, but are never mixed up (PR2)."""

    def __init__(
        self,
        progress: "Progress",
        name: str,
        *,
        total: int | None,
        is_following: bool = False,
        is_count: bool = False,
    ) -> None:
        self.name = name
        self.begin: int | None = None  # Where it started; None before it did.
        self.done = 0
        self.total = total  # None while it is not known.
        self.is_following = is_following  # There is no end: what is left is a lag.
        self._format = str if is_count else format_size
        self._progress = progress
        self._samples: deque[tuple[float, int]] = deque()  # Times, and what was done then.

    def move(self, done: int, total: int | None = None, *, begin: int = 0) -> None:
        """Tell how far it is.

        Args:
            done: Position.
            total: Position of the end, as it is known now; None: as it was.
            begin: Position where it started, which the first call tells.
        """
        if self.begin is None:
            self.begin = begin
        self.done = done
        if total is not None:
            self.total = total
        self._progress.moved()

    def advance(self, count: int = 1) -> None:
        """Tell that so much more was done."""
        self.move(self.done + count)

    def close(self) -> None:
        """Be done: the bar goes away."""
        self._progress.closed(self)

    def sample(self, now: float) -> float:
        """Take note of the time, and return the rate of the last seconds."""
        if self.begin is None:
            return 0.0
        self._samples.append((now, self.done))
        while len(self._samples) > 2 and self._samples[0][0] < now - _RATE_WINDOW_S:
            self._samples.popleft()
        since, done = self._samples[0]
        return (self.done - done) / (now - since) if now > since else 0.0

    def as_texts(self, rate: float) -> tuple[str, str, str]:
        """Return what was done of what, the rate, and the time or bytes which are left."""
        begin = self.begin or 0
        amount = self._format(self.done - begin)
        if self.total is not None and not self.is_following:
            amount += f"/{self._format(self.total - begin)}"
        left = "" if self.total is None else self._left(max(0, self.total - self.done), rate)
        return amount, f"{self._format(int(rate))}/s", left

    def _left(self, left: int, rate: float) -> str:
        if self.is_following:
            return f"lag {self._format(left)}"
        if rate < 1:
            return "ETA -:--"
        minutes, seconds = divmod(round(left / rate), 60)
        hours, minutes = divmod(minutes, 60)
        return f"ETA {hours}:{minutes:02}:{seconds:02}" if hours else f"ETA {minutes}:{seconds:02}"


class Progress:
    """The meters of a command. Those which are open are drawn below each other.

    Args:
        is_shown: Draw them.
        clock: Tells when to.
    """

    def __init__(self, *, is_shown: bool = False, clock: Clock = SYSTEM) -> None:
        self._clock = clock
        self._starts_at = clock.monotonic() + _DELAY_S if is_shown else float("inf")
        self._live: Live | None = None
        self._meters: dict[int, Meter] = {}

    @property
    def is_drawn(self) -> bool:
        """Tell whether there are bars now."""
        return self._live is not None

    @classmethod
    def on_terminal(cls, *, hidden: bool = False) -> Self:
        """Return one which is shown if standard error is a terminal, unless it is hidden (PR1)."""
        is_dumb = os.environ.get("TERM", "") in ("", "dumb", "unknown")
        return cls(is_shown=sys.stderr.isatty() and not is_dumb and not hidden)

    def meter(
        self,
        name: str,
        *,
        total: int | None = None,
        is_following: bool = False,
        is_count: bool = False,
    ) -> Meter:
        """Return a new meter: of bytes, or of things which are counted."""
        meter = Meter(self, name, total=total, is_following=is_following, is_count=is_count)
        self._meters[id(meter)] = meter
        return meter

    def say(self, text: str) -> None:
        """Print a line on standard error, above the bars."""
        if self._live is None:
            click.echo(text, err=True)
        else:
            self._print(self._live.console, text)

    def print(self, text: str) -> None:
        """Print a line of output, above the bars if it goes to a terminal, too."""
        if self._live is None or not sys.stdout.isatty():
            click.echo(text)
        else:
            self._print(self._live.console, text)

    @staticmethod
    def _print(console: "Console", text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    def moved(self) -> None:
        """Begin to draw if it is time (PR3)."""
        if self._live is None and self._clock.monotonic() >= self._starts_at:
            self._start()

    def closed(self, meter: Meter) -> None:
        """Forget a meter."""
        self._meters.pop(id(meter), None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        """Remove the bars."""
        self._starts_at = float("inf")
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _start(self) -> None:
        from rich.console import Console
        from rich.live import Live

        context = click.get_current_context(silent=True)
        has_color = context is None or context.color is not False
        self._live = Live(
            console=Console(stderr=True, no_color=not has_color),
            get_renderable=self._render,
            refresh_per_second=_DRAWINGS_PER_S,
            transient=True,
            # It would have output, which goes to a file, go to the terminal.
            redirect_stdout=False,
        )
        self._live.start()

    def _render(self) -> "Table":
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        now = self._clock.monotonic()
        meters = list(self._meters.values())
        rates = [meter.sample(now) for meter in meters]
        table = Table.grid(padding=(0, 1))
        table.add_column(overflow="ellipsis", no_wrap=True, ratio=1)
        for _ in range(4):
            table.add_column(no_wrap=True, justify="right")
        rows: list[tuple[Meter, float]] = list(zip(meters, rates, strict=True))[:_ROWS_MAX]
        if len(meters) > 1:
            rows.append((self._sum(meters), sum(rates)))
        for meter, rate in rows:
            begin = meter.begin or 0
            total: Any = None if meter.total is None else max(1, meter.total - begin)
            bar = ProgressBar(total=total, completed=meter.done - begin, width=_BAR_WIDTH)
            table.add_row(Text(meter.name), bar, *meter.as_texts(rate))
        return table

    def _sum(self, meters: Sequence[Meter]) -> Meter:
        """Return a meter of all which have begun."""
        begun = [meter for meter in meters if meter.begin is not None]
        totals = [meter.total for meter in begun]
        known = [total for total in totals if total is not None]
        made = Meter(
            self,
            f"all {len(meters)}",
            total=sum(known) if len(known) == len(totals) else None,
            is_following=any(meter.is_following for meter in begun),
        )
        made.begin = sum(meter.begin or 0 for meter in begun)
        made.done = sum(meter.done for meter in begun)
        return made


@contextmanager
def counted(name: str, total: int | None = None) -> Iterator[Meter]:
    """Provide a meter of things which a command counts, shown while the context lasts."""
    with Progress.on_terminal() as progress:
        yield progress.meter(name, total=total, is_count=True)


no_progress_option = click.option(
    "--no-progress",
    is_flag=True,
    help="Show no progress, which is shown where standard error is a terminal.",
)
