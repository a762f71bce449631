"""`gazette-py demo`: the main job, on real data, with real parts."""

import asyncio
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import click

from gazette_py.cli.cluster_options import (
    cluster_options,
    parse_zones,
    run_until_signal,
)
from gazette_py.cli.errors import CommandError, ExitCode, Failure, usage
from gazette_py.cli.examples import WithExamples

if TYPE_CHECKING:
    from gazette_py.local.cluster import LocalCluster
    from gazette_py.local.demo import DemoResult


_EXAMPLES = """
gazette-py demo
gazette-py demo --rows 5000 --json
gazette-py demo --store 's3://bucket/prefix/?region=eu-west-1'
gazette-py demo --keep
"""


@click.command(
    "demo",
    short_help="The main job on real data, start to finish, in a minute.",
    cls=WithExamples,
    epilog=_EXAMPLES,
)
@cluster_options
@click.option("--rows", type=click.IntRange(0), default=0, help="Only so many rows; 0: all 27,004.")
@click.option("--keep", is_flag=True, help="Leave the cluster up until Ctrl-C, for a look around.")
@click.option("--json", "as_json", is_flag=True, help="The table as one line of JSON on stdout.")
def command(
    *, brokers: int, zones: str, store: str, etcd: str, rows: int, keep: bool, as_json: bool
) -> None:
    """Append 27,004 flights, kill a primary half way, and read all of them back twice.

    It starts etcd and brokers on this machine, appends to four replicated journals, kills a primary
    which holds acknowledged bytes that are in no store, lets the others take over, persists
    everything, and reads it back through the brokers and, with the brokers stopped, with DuckDB
    from the files. Any difference is a failure.
    """
    if find_spec("duckdb") is None:
        raise usage("duckdb", "it is not installed", "Try `pip install 'gazette-py[dev]'`.")

    async def work(directory: Path) -> int:
        return await _run(
            directory,
            rows=rows,
            keep=keep,
            as_json=as_json,
            brokers=brokers,
            zones=parse_zones(zones),
            store=store,
            etcd=etcd,
        )

    sys.exit(run_until_signal(work, None))


async def _run(directory: Path, *, rows: int, keep: bool, as_json: bool, **options: Any) -> int:
    from gazette_py.clock import SYSTEM
    from gazette_py.local.cluster import ClusterConfig, LocalCluster
    from gazette_py.local.demo import Demo, DemoFailedError

    auth_keys = os.environ.get("BROKER_AUTH_KEYS", "")
    config = ClusterConfig(data_dir=directory, lease_s=_LEASE_S, auth_keys=auth_keys, **options)
    with _Screen() as screen:
        screen.step(f"starting etcd and {config.brokers} brokers")
        async with LocalCluster(config, tell=screen.step) as cluster:
            demo = Demo(cluster, screen.reporter(), SYSTEM, rows)
            try:
                await demo.run_live()
                await demo.stop_brokers()
                result = await demo.read_files()
            except DemoFailedError as exc:
                raise CommandError(
                    Failure(code=ExitCode.ERROR, status="FAILED", what="demo", detail=str(exc)),
                    is_json=as_json,
                ) from exc
            _print(result, as_json=as_json)
            if not keep:
                return 1 if result.differences else 0
            await demo.start_brokers_again()
            screen.close()
            try:
                return await _stay(cluster)
            except asyncio.CancelledError:  # Ctrl-C is how it ends.
                return 1 if result.differences else 0


_LEASE_S = 2
"""Short, so that the others take over soon."""


async def _stay(cluster: "LocalCluster") -> int:
    address = cluster.endpoints[0]
    click.echo(
        "\n".join(
            (
                "The cluster stays up. In another terminal:",
                f"  export BROKER_ADDRESS={address}",
                "  gazette-journalctl list",
                "  gazette-journalctl read demo/flights/part-000 | head",
                "  gazette-journalctl fragments demo/flights/part-000",
                f"  ls -R {cluster.file_root}",
                "Ctrl-C stops all of it, and removes its files.",
            )
        ),
        err=True,
    )
    click.echo(f"error: {await cluster.wait_broken()}", err=True)
    return 1


class _Screen:
    """Tells what happens: a progress bar on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("rows acknowledged"),
            BarColumn(),
            MofNCompleteColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Take the progress bar off."""
        self._progress.stop()

    def step(self, text: str) -> None:
        """Tell a step."""
        self._console.print(f"- {text}", highlight=False, markup=False, soft_wrap=True)

    def _update(self, done: int, total: int) -> None:
        if self._task is None:
            self._task = self._progress.add_task("", total=total)
            self._progress.start()
        self._progress.update(self._task, completed=done)
        if done == total:
            self._progress.stop()

    def reporter(self) -> Any:
        """Return what a demo reports to."""
        from gazette_py.local.demo import Reporter

        return Reporter(step=self.step, progress=self._update)


def _print(result: "DemoResult", *, as_json: bool) -> None:
    if as_json:
        click.echo(result.as_json())
        return
    rows = (
        ("", "appended", "from brokers", "from files"),
        ("rows", result.rows_appended, result.rows_from_brokers, result.rows_from_files),
        (
            "sum of distance",
            result.distance_expected,
            result.distance_from_brokers,
            result.distance_from_files,
        ),
    )
    click.echo()
    for label, *values in rows:
        cells = (f"{v:,}" if isinstance(v, int) else v for v in values)
        click.echo(f"{label:<18}" + "".join(f"{cell:>16}" for cell in cells))
    click.echo()
    for label, text in (
        ("bytes appended", f"{result.bytes_appended:,}"),
        ("fragments", f"{result.fragments:,} files of {result.stored_bytes:,} bytes"),
        (
            "throughput",
            f"{result.rows_per_second:,.0f} rows/s,"
            f" {result.bytes_appended / result.seconds_appending / 1e6:.1f} MB/s",
        ),
        ("longest pause", f"{result.longest_append_s:.2f} s for one append, with its retries"),
        (
            "broker killed",
            f"{result.killed}, {result.bytes_at_risk:,} acknowledged bytes were in no store;"
            f" others took over within {result.take_over_s:.1f} s"
            if result.killed
            else "none",
        ),
        (
            "appends retried",
            f"{result.appends_retried}, of which {result.appends_found_landed} had happened",
        ),
    ):
        click.echo(f"{label:<18}{text}")
    for difference in result.differences:
        click.echo(f"DIFFERENCE: {difference}", err=True)
    click.echo("\nfailed" if result.differences else "\nall of it is there, once, in order")
