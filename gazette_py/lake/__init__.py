"""Journals as tables and as files, for those who analyse what the log holds.

    from gazette_py import lake

    with lake.table("acme/orders", address="http://localhost:8080") as orders:
        orders.polars(), orders.pandas(), orders.reader(), orders.dataset()  # Arrow's
    with lake.duckdb(con, "acme/orders", address="http://localhost:8080"):
        con.sql('SELECT count(*) FROM "acme/orders"')

These hold stored fragments and the live tail, as of the call or of the last `refresh`. Given a
store instead of brokers, they hold what is stored. The store itself is read by

    async with Lake("s3://bucket/prefix/") as files:
        async for piece in files.read("acme/orders"):
            ...

Content is as it was acknowledged: whole appends, in order, each byte once. What is damaged or
missing is an error.
"""

from typing import TYPE_CHECKING, Any

from gazette_py.lake.cover import Gap, Slice, cover, cover_with_whole_files
from gazette_py.lake.files import Lake
from gazette_py.protocol.watermark import Watermark

if TYPE_CHECKING:
    from gazette_py.lake.engines import DuckDBView
    from gazette_py.lake.formats import Parsed
    from gazette_py.lake.journal_table import JournalTable
    from gazette_py.lake.tables import duckdb, table

__all__ = [
    "DuckDBView",
    "Gap",
    "JournalTable",
    "Lake",
    "Parsed",
    "Slice",
    "Watermark",
    "cover",
    "cover_with_whole_files",
    "duckdb",
    "table",
]

_OF_EXTRA = {
    "DuckDBView": "engines",
    "JournalTable": "journal_table",
    "Parsed": "formats",
    "duckdb": "tables",
    "table": "tables",
}


def __getattr__(name: str) -> Any:
    """Import what needs the libraries of the extra `lake` when it is asked for."""
    if name not in _OF_EXTRA:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    from importlib import import_module

    return getattr(import_module(f"gazette_py.lake.{_OF_EXTRA[name]}"), name)
