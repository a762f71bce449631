"""Opens tables of journals: where from, which, and how their records are read."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gazette_py.client.client import connect
from gazette_py.errors import ConfigError, ValidationError
from gazette_py.lake.files import Lake
from gazette_py.lake.formats import Columns, Format
from gazette_py.lake.journal_table import JournalTable
from gazette_py.lake.loop import LoopThread
from gazette_py.lake.sources import BrokerSource, Source, StoreSource

if TYPE_CHECKING:
    from gazette_py.lake.engines import DuckDBView


def table(
    journals: str | Sequence[str],
    *,
    address: str = "",
    store: str = "",
    file_root: str = "",
    format: "str | Format" = "auto",
    columns: "Columns | None" = None,
    offset: int = 0,
    partitions: bool = True,
    skip_gaps: bool = False,
    skip_foreign: bool = False,
    timeout_s: float = 30.0,
    **options: Any,
) -> JournalTable:
    """Return a table of what journals hold now. Close it, or use it as `with`.

    Args:
        journals: Names. With brokers also of directories, which end in a slash; "" is all.
        address: Of brokers, as `connect` takes it. They know what is in no file yet.
        store: Instead, URL of a store, as journal specs spell it: what is stored, without brokers.
        file_root: Directory of file:// stores.
        format: Of records: "json" (an object per line), "csv" (no header), "lines" (as they are), a
            `Parsed` with a function of yours, or "auto": as the label content-type says.
        columns: Types of Arrow by name, or a schema; None: as the first MiB of journals has them.
        offset: Where to begin, in every journal: where a record does. 0: where there is content,
            as retention may have removed what was before.
        partitions: Have columns of partitions, `day=1/` in path postfixes.
        skip_gaps: Pass over content which is missing, rather than fail.
        skip_foreign: Pass over objects in a store which are no fragments, rather than fail.
        timeout_s: Of calls of brokers.
        options: More of `connect`.

    Raises:
        ConfigError: An argument, or a library, is missing.
        ValidationError: Journals, or records, cannot be read as asked for.
        OffsetJumpError: Content is missing.
        GazetteError: Brokers, or the store, do not answer as they should.
    """
    if bool(address) == bool(store):
        raise ConfigError("address", "give the address of brokers, or the URL of a store")
    names = [journals] if isinstance(journals, str) else list(journals)
    loop = LoopThread()

    async def open_source() -> Source:
        if address:
            client = connect(address, file_root=file_root, timeout_s=timeout_s, **options)
            return BrokerSource(client, skip_gaps=skip_gaps, timeout_s=timeout_s)
        lake = Lake(store, file_root=file_root)
        return StoreSource(lake, skip_gaps=skip_gaps, skip_foreign=skip_foreign)

    try:
        source = loop.run(open_source())
    except BaseException:
        loop.close()
        raise
    made = JournalTable(
        loop,
        source,
        names,
        offset=offset,
        format=format,
        columns=columns,
        partitions=partitions,
    )
    try:
        return made.refresh()
    except BaseException:
        made.close()
        raise


def duckdb(
    connection: Any, journals: str | Sequence[str], name: str | None = None, **options: Any
) -> "DuckDBView":
    """Register a view over journals with a connection of DuckDB, as of now.

        with lake.duckdb(con, "acme/orders", address="http://localhost:8080") as view:
            con.view("acme/orders").filter("day >= '2026-11-26'").count("*")
            view.refresh()

    Predicates on `_journal`, `_offset` and partitions leave out whole files. The view reads again
    with every query; `CREATE TABLE t AS FROM ...` keeps rows.

    Args:
        connection: Of DuckDB.
        journals: As of `table`.
        name: Of the view; None: that of the journal, or of the directory without its last slash.
        options: Those of `table`. Errors are the same.
    """
    from gazette_py.lake.engines import DuckDBView

    if name is None:
        if not isinstance(journals, str) or not journals.strip("/"):
            raise ValidationError("name", "give the view a name, as there are several journals")
        name = journals.rstrip("/")
    made = table(journals, **options)
    try:
        return DuckDBView(connection, name, made)
    except BaseException:
        made.close()
        raise
