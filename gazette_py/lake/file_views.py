"""Journals of JSON lines as views of DuckDB, over their fragment files.

Rows are told apart by where they lie, never by their values: equal rows which were appended twice
are there twice.
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gazette_py.clock import SYSTEM
from gazette_py.errors import OffsetJumpError, ValidationError
from gazette_py.lake.cover import Gap, Slice, beginning, cover
from gazette_py.lake.files import Lake
from gazette_py.lake.sql import select


class JsonLinesView:
    """A view over the covering set of some journals, as of its making. Made by `create_view`.

    Files which had to be copied are removed when it is closed.
    """

    def __init__(self, name: str, directory: "tempfile.TemporaryDirectory[str]") -> None:
        self.name = name
        self.paths: list[str] = []
        self.parts: list[Slice] = []
        self._directory = directory

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove copied files. The view cannot be read any more."""
        self._directory.cleanup()


async def create_view(
    connection: Any,
    name: str,
    lake: Lake,
    journals: Sequence[str],
    *,
    columns: Mapping[str, str] | None = None,
) -> JsonLinesView:
    """Create a view of all stored rows.

    Args:
        connection: Of DuckDB.
        name: Of the view; it replaces one of this name.
        lake: Where the fragments are.
        journals: Their names. Their path postfixes must have the same partitions.
        columns: DuckDB types by name; None: found out from the content.

    Raises:
        OffsetJumpError: Content is missing from a journal.
        ValidationError: There is no content.
        StoreError: The store does not answer.
    """
    view = JsonLinesView(name, tempfile.TemporaryDirectory(prefix="gazette-py-lake-"))
    try:
        for journal in journals:
            files = await lake.files(journal, journals)
            for part in cover(files, beginning(files, 0, SYSTEM.now())):
                if isinstance(part, Gap):
                    raise OffsetJumpError(journal, part.begin, part.end)
                view.parts.append(part)
                view.paths.append(
                    await lake.path_for_others(part, Path(view._directory.name))  # noqa: SLF001  # Ours.
                )
        if not view.paths:
            raise ValidationError("journals", f"nothing is stored of {', '.join(journals)}")
        connection.execute(_statement(name, view, columns))
    except BaseException:
        view.close()
        raise
    return view


def _statement(name: str, view: JsonLinesView, columns: Mapping[str, str] | None) -> str:
    identifier = '"' + name.replace('"', '""') + '"'
    postfixes = [part.file.fragment.path_postfix for part in view.parts]
    query = select(view.paths, postfixes, columns=columns)
    return f"CREATE OR REPLACE TEMP VIEW {identifier} AS {query}"
