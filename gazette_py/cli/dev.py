"""`gazette-py dev`: a cluster on this machine, until it is told to stop."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from gazette_py.cli.cluster_options import (
    cluster_options,
    parse_zones,
    run_until_signal,
)
from gazette_py.cli.examples import WithExamples

_EXAMPLES = """
gazette-py dev
gazette-py dev --data-dir ./data --brokers 3 --port 9000
gazette-py dev --store 's3://bucket/prefix/?region=eu-west-1'
"""


@click.command(
    "dev",
    short_help="A cluster on this machine: etcd, brokers and a store.",
    cls=WithExamples,
    epilog=_EXAMPLES,
)
@cluster_options
@click.option(
    "--port",
    type=click.IntRange(0, 65000),
    default=8080,
    show_default=True,
    help="gRPC port of the first broker; HTTP is on the next, and so on. 0: free ports.",
)
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False),
    default=None,
    help="Keep state here between starts. Not given: a temporary directory.",
)
def command(
    *, brokers: int, zones: str, store: str, etcd: str, port: int, data_dir: str | None
) -> None:
    """Start etcd and brokers on this machine, and stay until SIGINT or SIGTERM.

    When all are up, one line of JSON on standard output tells where. A stop persists everything,
    and leaves no process behind. With BROKER_AUTH_KEYS in the environment, brokers ask for tokens.
    """

    async def work(directory: Path) -> int:
        return await _run(
            directory,
            brokers=brokers,
            zones=parse_zones(zones),
            store=store,
            etcd=etcd,
            port=port,
        )

    sys.exit(run_until_signal(work, data_dir))


async def _run(directory: Path, **options: Any) -> int:
    from gazette_py.local.cluster import ClusterConfig, LocalCluster

    auth_keys = os.environ.get("BROKER_AUTH_KEYS", "")
    cluster = LocalCluster(ClusterConfig(data_dir=directory, auth_keys=auth_keys, **options))
    try:
        async with cluster:
            click.echo(json.dumps(_ready_line(cluster)))
            click.echo(_hints(cluster), err=True)
            sys.stdout.flush()
            broken = await cluster.wait_broken()
            click.echo(f"error: {broken}", err=True)
            return 1
    except asyncio.CancelledError:
        if not cluster.is_clean:
            click.echo("warning: a broker had to be killed: its spools may not be stored", err=True)
            return 1
        return 0


def _ready_line(cluster: Any) -> dict[str, Any]:
    return {
        "ready": True,
        "brokers": [broker.endpoint for broker in cluster.brokers],
        "http": [broker.http for broker in cluster.brokers],
        "zones": [broker.zone for broker in cluster.brokers],
        "etcd": cluster.etcd_url,
        "store": cluster.config.store,
        "file_root": str(cluster.file_root),
        "data_dir": str(cluster.config.data_dir),
        "replication": cluster.config.replication,
    }


def _hints(cluster: Any) -> str:
    address = cluster.brokers[0].endpoint
    return "\n".join(
        (
            f"{len(cluster.brokers)} brokers are up. In another terminal:",
            f"  export BROKER_ADDRESS={address}",
            f"  gazette-journalctl apply -f {cluster.example_path}",
            "  echo hello | gazette-journalctl append examples/hello",
            "  gazette-journalctl read examples/hello",
            f"  curl {cluster.brokers[0].http}/examples/hello",
            "Ctrl-C stops all of it.",
        )
    )
