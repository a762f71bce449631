"""SQL of DuckDB over fragment files, which needs nothing of ours to run. Pure.

It names each file, so that nothing else in the bucket, and nothing twice, slips in.
"""

from collections.abc import Mapping, Sequence

from gazette_py.core.fragment_index import IndexEntry
from gazette_py.errors import ValidationError
from gazette_py.lake.cover import cover_with_whole_files
from gazette_py.lake.snapshot import partitions_of
from gazette_py.protocol.enums import CompressionCodec
from gazette_py.protocol.fragment import content_path

READABLE = frozenset({CompressionCodec.NONE, CompressionCodec.GZIP, CompressionCodec.ZSTANDARD})
"""Codecs which other programs know by the file's extension."""

FORMATS = ("json", "csv", "lines")


def whole_files(journal: str, files: Sequence[IndexEntry], begin: int = 0) -> list[IndexEntry]:
    """Return files which hold a journal's stored content once, and which others can read.

    Raises:
        ValidationError: There are none such.
    """
    if not files:
        raise ValidationError(f"journal {journal}", "nothing of it is stored yet")
    whole = cover_with_whole_files(files, begin)
    if whole is None:
        raise ValidationError(
            f"journal {journal}",
            f"its files have a gap after offset {begin}, or overlap, so that whole files do not"
            " hold each row once",
        )
    for file in whole:
        if file.fragment.compression_codec not in READABLE:
            raise ValidationError(
                f"journal {journal}",
                f"other programs do not know the codec of {content_path(file.fragment)}",
            )
    return whole


def select(
    paths: Sequence[str],
    postfixes: Sequence[str],
    *,
    format: str = "json",
    columns: Mapping[str, str] | None = None,
) -> str:
    """Return a query of all rows of some files.

    Args:
        paths: Of the files, at least one.
        postfixes: Path postfixes of the files.
        format: "json", "csv" without header, or "lines", which have one column `line`.
        columns: Types of DuckDB by name; None: found out from the content.
    """
    partitions = {tuple(partitions_of(postfix)) for postfix in postfixes}
    is_hive = len(partitions) == 1 and partitions != {()}
    options = [f"hive_partitioning = {str(is_hive).lower()}"]
    match format:
        case "json":
            function = "read_json"
            options.insert(0, "format = 'newline_delimited'")
        case "csv":
            function = "read_csv"
            options.insert(0, "header = false")
        case _:
            function = "read_csv"
            options.insert(
                0, "header = false, delim = '\\0', quote = '', escape = '', auto_detect = false"
            )
            columns = {"line": "VARCHAR"}
    if columns is not None:
        pairs = ", ".join(f"{quoted(key)}: {quoted(kind)}" for key, kind in columns.items())
        options.append(f"columns = {{{pairs}}}")
    listed = ",\n    ".join(quoted(path) for path in paths)
    return f"SELECT * FROM {function}([\n    {listed}\n], {', '.join(options)})"  # noqa: S608  # All of it is quoted.


def quoted(text: str) -> str:
    """Return a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"
