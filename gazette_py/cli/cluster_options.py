"""Options which `gazette-py dev` and `gazette-py demo` share."""

import asyncio
import os
import signal
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from gazette_py.cli.errors import usage


def cluster_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a cluster."""
    for option in (
        click.option("--etcd", default="", metavar="URL", help="A running etcd; else a child."),
        click.option(
            "--store", default="file:///", show_default=True, metavar="URL", help="Fragment store."
        ),
        click.option("--zones", default="a,b,c", show_default=True, help="Failure zones."),
        click.option(
            "--brokers", type=click.IntRange(1, 32), default=4, show_default=True, help="How many."
        ),
    ):
        command = option(command)
    return command


def parse_zones(text: str) -> tuple[str, ...]:
    """Return the zones of a comma-separated list."""
    zones = tuple(zone.strip() for zone in text.split(","))
    if not all(zones):
        raise usage("--zones", f"{text!r} has an empty name", "Write them like --zones a,b,c.")
    return zones


@contextmanager
def data_directory(path: str | None) -> Iterator[Path]:
    """Yield the directory, or a temporary one which is removed at the end."""
    if path is not None:
        yield Path(path).absolute()
        return
    with tempfile.TemporaryDirectory(prefix="gazette-py-", ignore_cleanup_errors=True) as temporary:
        yield Path(temporary)


def run_until_signal(work: Callable[[Path], Awaitable[int]], directory: str | None) -> int:
    """Run work, which SIGINT and SIGTERM cancel; return its exit code, or 128 + the signal.

    Cancelled work stops its cluster. Further signals do not hurry it: it is bounded.

    Args:
        work: Called with its directory.
        directory: Path of it; None: a temporary one, which is removed at the end.
    """
    received: list[int] = []

    async def main() -> int:
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(in_directory())

        def on_signal(number: int) -> None:
            received.append(number)
            if len(received) == 1:
                task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, on_signal, number)
        try:
            return await task
        except asyncio.CancelledError:
            return 128 + received[0]

    async def in_directory() -> int:
        # Made only now that signals are handled: none ends us before it is removed.
        with data_directory(directory) as path:
            return await work(path)

    # gRPC's own log would show through ours while children come and go.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    return asyncio.run(main())
