"""The demo's flights in journals, to be counted by whoever reads these."""

import asyncio

from local_clusters import apply

from gazette_py.client import Client
from gazette_py.local.flights import COLUMNS, flights
from gazette_py.protocol.enums import CompressionCodec
from gazette_py.protocol.journal import FragmentSpec, JournalSpec

JOURNALS = [f"demo/flights/part-{number:03}" for number in range(4)]
TYPES = {name: "string" if is_text else "int64" for name, is_text in COLUMNS.items()}
TAIL_ROWS = 100
"""Of each journal, appended last: where brokers go on, they are in no file."""

Counted = tuple[int, int]
"""Rows, and the sum of their distances."""


def expected_count() -> Counted:
    rows = list(flights())
    return len(rows), sum(row.distance for row in rows)


async def append_flights(client: Client, *, replication: int = 1) -> None:
    """Create the journals, and append all flights."""
    fragment = FragmentSpec(
        length=1 << 17,
        compression_codec=CompressionCodec.GZIP,
        stores=("file:///",),
        refresh_interval_ns=1_000_000_000,
        path_postfix_template='date={{ .Spool.FirstAppendTime.Format "2006-01-02" }}',
    )
    await apply(
        client,
        *(JournalSpec(name=name, replication=replication, fragment=fragment) for name in JOURNALS),
    )
    parts: dict[str, list[bytes]] = {name: [] for name in JOURNALS}
    for number, row in enumerate(flights()):
        parts[JOURNALS[number % len(JOURNALS)]].append(row.line)

    async def fill(name: str, lines: list[bytes]) -> None:
        for begin in range(0, len(lines) - TAIL_ROWS, 250):
            end = min(begin + 250, len(lines) - TAIL_ROWS)
            await client.append(name, b"".join(lines[begin:end]), timeout_s=30)
        await client.append(name, b"".join(lines[-TAIL_ROWS:]), timeout_s=30)

    async with asyncio.TaskGroup() as group:
        for name, lines in parts.items():
            group.create_task(fill(name, lines))
