"""The demo's second reading: DuckDB over fragment files, compared with the input row by row."""

import asyncio
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gazette_py.errors import GazetteError
from gazette_py.lake import Lake
from gazette_py.lake.file_views import JsonLinesView, create_view
from gazette_py.local.flights import COLUMNS, Flight

_COLUMNS = {name: "VARCHAR" if is_text else "BIGINT" for name, is_text in COLUMNS.items()}


class FilesUnreadableError(GazetteError):
    """The files are not what brokers wrote."""


@dataclass(slots=True)
class FilesReading:
    """What the files hold."""

    rows: int = 0
    distance: int = 0
    files: int = 0
    stored_bytes: int = 0
    differences: list[str] = field(default_factory=list)


async def read_files(
    store: str, file_root: str, journals: Sequence[str], expected: Sequence[Flight]
) -> FilesReading:
    """Return rows and sums of all journals, and how they differ from what was to be there.

    Raises:
        FilesUnreadableError: A file is damaged.
        OffsetJumpError: A file is missing.
        ValidationError: All of them are.
        StoreError: The store does not answer.
    """
    import duckdb

    try:
        return await _read_files(duckdb, store, file_root, journals, expected)
    except duckdb.Error as exc:
        raise FilesUnreadableError(f"DuckDB cannot read them: {exc}") from exc


async def _read_files(
    duckdb: Any, store: str, file_root: str, journals: Sequence[str], expected: Sequence[Flight]
) -> FilesReading:
    async with Lake(store, file_root=file_root) as lake:
        with (
            duckdb.connect() as connection,
            await create_view(connection, "flights", lake, journals, columns=_COLUMNS) as view,
        ):
            return await asyncio.to_thread(_compare, connection, view, expected)


def _compare(connection: Any, view: JsonLinesView, expected: Sequence[Flight]) -> FilesReading:
    query = connection.execute
    rows, distance = query("SELECT count(*), sum(distance) FROM flights").fetchone()
    reading = FilesReading(
        rows=int(rows),
        distance=int(distance or 0),
        files=len(view.parts),
        stored_bytes=sum(os.path.getsize(path) for path in view.paths),
    )
    with tempfile.NamedTemporaryFile(suffix=".json") as lines:
        lines.writelines(flight.line for flight in expected)
        lines.flush()
        types = ", ".join(f"'{name}': '{kind}'" for name, kind in _COLUMNS.items())
        query(
            "CREATE TABLE input AS SELECT * FROM read_json("  # noqa: S608  # Our own names.
            f"?, format = 'newline_delimited', columns = {{{types}}})",
            [lines.name],
        )
    names = ", ".join(f'"{name}"' for name in _COLUMNS)
    # Bags, not sets: a row which is there twice differs from one which is there once.
    for what, left, right in (("missing", "input", "flights"), ("unexpected", "flights", "input")):
        (count,) = query(
            f"SELECT count(*) FROM (SELECT {names} FROM {left}"  # noqa: S608  # As above.
            f" EXCEPT ALL SELECT {names} FROM {right})"
        ).fetchone()
        if count:
            reading.differences.append(f"files: {count:,} {what} rows")
    return reading
