"""Output formats: the same items as a table, separated values, JSON, YAML or bare names.

An item is a mapping of plain values in snake_case; a column takes one out of it. Machine formats
are versioned and do not depend on the terminal: whole numbers which a double cannot hold are
strings, times are RFC 3339 in UTC.
"""

import csv
import io
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import TracebackType
from typing import Any, Self

import click

from gazette_py.cli.errors import usage

API_VERSION = "gazette-py/v1"
_DOUBLE_MAX = 1 << 53

STREAM_BATCH = 200
"""Items which a stream prints at once. The first of them tell the widths of a table's columns."""

Item = Mapping[str, Any]

FORMATS = ("table", "wide", "name", "json", "jsonl", "yaml", "csv", "tsv")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of tables: its title, and an item's value in it."""

    title: str
    value: Callable[[Item], object]
    show: Callable[[object], str] = str  # For people, where that differs.
    is_wide: bool = False  # Only in `wide`, and where it is asked for.


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """How to print: the options which all commands with items share."""

    format: str  # One of FORMATS, "" for the default of where the output goes.
    columns: tuple[str, ...] = ()  # Titles, in any case; empty: the usual ones.
    query: str = ""  # JMESPath over the JSON document.

    @property
    def is_for_people(self) -> bool:
        """Tell whether a terminal reads it, as far as we know."""
        return not self.format and sys.stdout.isatty()

    @property
    def effective_format(self) -> str:
        """The format, chosen by where the output goes if none was asked for."""
        if self.format:
            return self.format
        if self.query:
            return "json"
        # As other tools do: programs which read a pipe want neither titles nor padding.
        return "table" if sys.stdout.isatty() else "plain"

    def print_items(
        self,
        kind: str,
        items: Sequence[Item],
        columns: Sequence[Column],
        *,
        cursor: object = None,
        name: str = "name",
    ) -> None:
        """Print items.

        Args:
            kind: Of the JSON document, such as "JournalList".
            items: What to print.
            columns: Those of tables.
            cursor: Where a later listing would go on, if that has a meaning.
            name: What `-o name` prints of an item; those without it are left out.
        """
        chosen = self.chosen(columns)
        if self.query:
            self.print_query(items, cursor)
            return
        match self.effective_format:
            case "json":
                document = {"apiVersion": API_VERSION, "kind": kind}
                document |= {"items": jsonable(items), "cursor": jsonable(cursor)}
                click.echo(json.dumps(document, indent=2, ensure_ascii=False))
            case "csv":
                _print_separated(items, chosen, ",")
            case "tsv":
                _print_separated(items, chosen, "\t")
            case "table" | "wide":
                print_rows(items, chosen)
            case lines:
                _print_lines(lines, items, chosen, name)

    def stream(self, kind: str, columns: Sequence[Column], *, name: str = "name") -> "ItemStream":
        """Return what prints items as they come; arguments are those of `print_items`."""
        return ItemStream(self, kind, columns, name)

    def chosen(self, columns: Sequence[Column]) -> list[Column]:
        """Return the columns to print."""
        if not self.columns:
            return [c for c in columns if not c.is_wide or self.format == "wide"]
        by_title = {column.title.lower(): column for column in columns}
        unknown = [name for name in self.columns if name.lower() not in by_title]
        if unknown:
            raise usage("--columns", f"no column {unknown[0]}", f"There are {', '.join(by_title)}.")
        return [by_title[name.lower()] for name in self.columns]

    def print_query(self, items: Sequence[Item], cursor: object = None) -> None:
        """Print what `query` takes out of the document of the items."""
        jmespath = import_module("jmespath")  # Used by this option only; it has no types.

        if self.effective_format not in ("json", "jsonl", "yaml"):
            raise usage("--query", f"not for -o {self.format}", "Use it with -o json or -o yaml.")
        try:
            result = jmespath.search(
                self.query, {"items": jsonable(items), "cursor": jsonable(cursor)}
            )
        except jmespath.exceptions.JMESPathError as exc:
            raise usage("--query", str(exc), "See https://jmespath.org; try items[].name") from exc
        if self.effective_format == "yaml":
            print_yaml(result)
        elif self.effective_format == "jsonl" and isinstance(result, list):
            for item in result:
                print_json_line(item)
        else:
            click.echo(json.dumps(result, indent=2, ensure_ascii=False))


class ItemStream:
    """Prints items as they come, and holds few of them; all, if there is a query over them.

    Use it as a context. One which fails leaves a JSON document open, so that nobody takes what was
    printed for all there is.
    """

    def __init__(self, output: Output, kind: str, columns: Sequence[Column], name: str) -> None:
        self._output = output
        self._format = output.effective_format
        self._kind = kind
        self._columns = output.chosen(columns)
        self._name = name
        self._waiting: list[Item] = []
        self._widths: list[int] = []
        self._is_begun = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _exc: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if self._output.query:
            if kind is None:
                self._output.print_query(self._waiting)
            return
        if kind is None or self._waiting:
            self._print_waiting()
        if kind is None and self._format == "json":
            click.echo('\n  ],\n  "cursor": null\n}')

    def add(self, item: Item) -> None:
        """Print an item, soon."""
        self._waiting.append(item)
        if len(self._waiting) >= STREAM_BATCH and not self._output.query:
            self._print_waiting()

    def _print_waiting(self) -> None:
        items, self._waiting = self._waiting, []
        is_first, self._is_begun = not self._is_begun, True
        match self._format:
            case "json":
                if is_first:
                    head = json.dumps({"apiVersion": API_VERSION, "kind": self._kind}, indent=2)
                    click.echo(head.removesuffix("\n}") + ',\n  "items": [', nl=False)
                lines = [json.dumps(jsonable(item), ensure_ascii=False) for item in items]
                between = "\n    " if is_first else ",\n    "
                if lines:
                    click.echo(between + ",\n    ".join(lines), nl=False)
            case "csv" | "tsv":
                delimiter = "," if self._format == "csv" else "\t"
                _print_separated(items, self._columns, delimiter, with_titles=is_first)
            case "table" | "wide":
                self._widths = print_rows(
                    items, self._columns, with_titles=is_first, widths_min=self._widths
                )
            case lines:
                # An empty list of YAML is one only where it is all there is.
                if items or is_first:
                    _print_lines(lines, items, self._columns, self._name)


def jsonable(value: object) -> Any:
    """Return the value with whole numbers beyond 2**53 as text, which JSON readers would round."""
    if isinstance(value, Mapping):
        return {key: jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= _DOUBLE_MAX:
        return str(value)
    return value


def json_line(item: object) -> str:
    """Return one value as one line of JSON."""
    return json.dumps(jsonable(item), ensure_ascii=False, separators=(",", ":"))


def print_json_line(item: object) -> None:
    """Print one value as one line of JSON."""
    click.echo(json_line(item))


def print_yaml(value: object) -> None:
    """Print a value as a YAML document."""
    import yaml

    click.echo(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=1 << 30), nl=False)


def _print_lines(form: str, items: Sequence[Item], columns: Sequence[Column], name: str) -> None:
    """Print items in a format of which each has its own lines."""
    match form:
        case "jsonl":
            for item in items:
                print_json_line(item)
        case "yaml":
            print_yaml(jsonable(items))
        case "name":
            for item in items:
                if item[name] is not None:
                    click.echo(item[name])
        case _:
            assert form == "plain", form
            for item in items:
                click.echo("\t".join(str(column.value(item)) for column in columns))


def _print_separated(
    items: Iterable[Item], columns: Sequence[Column], delimiter: str, *, with_titles: bool = True
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    if with_titles:
        writer.writerow([column.title.lower() for column in columns])
    for item in items:
        writer.writerow([column.value(item) for column in columns])
    click.echo(text.getvalue(), nl=False)


def print_rows(
    items: Sequence[Item],
    columns: Sequence[Column],
    *,
    with_titles: bool = True,
    widths_min: Sequence[int] = (),
) -> list[int]:
    """Print a table, or more rows of one whose columns are so wide already; return the widths."""
    rows = [[column.title for column in columns]] if with_titles else []
    rows += [[column.show(column.value(item)) for column in columns] for item in items]
    widths = list(widths_min) or [0] * len(columns)
    for row in rows:
        widths = [max(w, len(click.unstyle(cell))) for w, cell in zip(widths, row, strict=True)]
    for row in rows:
        padded = [
            cell + " " * (width - len(click.unstyle(cell)))
            for cell, width in zip(row, widths, strict=True)
        ]
        click.echo("  ".join(padded).rstrip())
    return widths
