"""How records become columns: JSON lines, CSV, lines as they are, or as a caller's function says.

Rows are records one to one: blank lines are none, and a line which is two values or half of one is
an error which names its offset.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Any, Protocol

from gazette_py.errors import RecordError, ValidationError
from gazette_py.lake.content_types import format_name_of
from gazette_py.lake.extras import require
from gazette_py.lake.records import Block

pa = require("pyarrow")

Columns = Mapping[str, Any]
"""Types by name: those of Arrow, or their names such as "int64", "string", "timestamp[us]"."""


class Format(Protocol):
    """Makes columns of lines.

    Attributes:
        schema: Of all columns, where the format has but one; else None.
    """

    schema: Any

    def infer(self, data: bytes) -> Any:
        """Return the schema which lines seem to have.

        Raises:
            pyarrow.ArrowInvalid: They are not of the format.
        """

    def parse(self, data: bytes, schema: Any, columns: Sequence[str]) -> Any:
        """Return a table of some columns, with a row for each line.

        Raises:
            pyarrow.ArrowInvalid: Lines are not of the format, or not of the schema.
        """


class Json:
    """An object per line. Fields which are no columns are passed over; missing ones are null."""

    schema = None

    def infer(self, data: bytes) -> Any:
        """Return the fields of the lines, in the order in which they come."""
        return self._read(data, None, "infer").schema

    def parse(self, data: bytes, schema: Any, columns: Sequence[str]) -> Any:
        """Return the columns."""
        wanted = pa.schema([schema.field(name) for name in columns])
        return self._read(data, wanted, "ignore")

    def _read(self, data: bytes, schema: Any, unexpected: str) -> Any:
        json = require("pyarrow.json")
        return json.read_json(
            pa.BufferReader(data),
            json.ReadOptions(use_threads=False, block_size=len(data) + 1),
            json.ParseOptions(
                explicit_schema=schema,
                newlines_in_values=False,
                unexpected_field_behavior=unexpected,
            ),
        )


class Csv:
    """Values with commas between them; no line is a header. Columns are named by the caller."""

    schema = None

    def infer(self, data: bytes) -> Any:
        """Return columns f0, f1, and so on."""
        return self._read(data, None, None).schema

    def parse(self, data: bytes, schema: Any, columns: Sequence[str]) -> Any:
        """Return the columns."""
        return self._read(data, schema, columns)

    def _read(self, data: bytes, schema: Any, columns: Sequence[str] | None) -> Any:
        csv = require("pyarrow.csv")
        return csv.read_csv(
            pa.BufferReader(data),
            csv.ReadOptions(
                use_threads=False,
                block_size=len(data) + 1,
                column_names=None if schema is None else schema.names,
                autogenerate_column_names=schema is None,
            ),
            csv.ParseOptions(newlines_in_values=False),
            csv.ConvertOptions(
                column_types=schema, include_columns=columns, strings_can_be_null=True
            ),
        )


class Lines:
    """Lines as they are, without their ends, as column `line`."""

    schema = pa.schema([("line", pa.string())])

    def infer(self, data: bytes) -> Any:
        """Return the one column."""
        return self.schema

    def parse(self, data: bytes, schema: Any, columns: Sequence[str]) -> Any:
        """Return it."""
        lines = data[:-1].replace(b"\r\n", b"\n").split(b"\n")
        values = pa.array(lines, pa.binary()).cast(schema.field("line").type)
        return pa.table([values], ["line"]).select(list(columns))


class Parsed:
    """Records as a function makes them.

    Args:
        schema: Of what it returns.
        parse: Given lines without their newlines, returns a record batch or table with a row for
            each.
    """

    def __init__(self, schema: Any, parse: Callable[[list[bytes]], Any]) -> None:
        self.schema = schema
        self._parse = parse

    def infer(self, data: bytes) -> Any:
        """Return the schema."""
        return self.schema

    def parse(self, data: bytes, schema: Any, columns: Sequence[str]) -> Any:
        """Return columns of what the function makes."""
        made = self._parse(data[:-1].split(b"\n"))
        if not made.schema.equals(self.schema):
            raise pa.ArrowInvalid(f"parsed to {made.schema}, announced was {self.schema}")
        return made.select(list(columns))


_FORMATS: dict[str, Callable[[], Format]] = {"json": Json, "csv": Csv, "lines": Lines}


def format_of(chosen: "str | Format", content_types: Mapping[str, str]) -> Format:
    """Return the format which was chosen, or for "auto" the one of journals' content types.

    Raises:
        ValidationError: There is none, or journals differ.
    """
    if not isinstance(chosen, str):
        return chosen
    if chosen != "auto":
        if chosen not in _FORMATS:
            raise ValidationError("format", f"{chosen!r} is none of {', '.join(_FORMATS)}")
        return _FORMATS[chosen]()
    return _FORMATS[format_name_of(content_types)]()


def schema_of(columns: Any) -> Any:
    """Return the schema of columns which the caller has named.

    Raises:
        ValidationError: A type does not exist.
    """
    if isinstance(columns, pa.Schema):
        return columns
    fields = []
    for name, kind in columns.items():
        try:
            fields.append((name, pa.type_for_alias(kind) if isinstance(kind, str) else kind))
        except ValueError as exc:
            raise ValidationError(
                f"columns.{name}", f"{kind!r} is no type of Arrow, such as int64 or string"
            ) from exc
    return pa.schema(fields)


def without_blanks(block: Block) -> tuple[bytes, list[int]]:
    """Return the lines of a block which are not blank, and the offset of each."""
    lines = block.data[:-1].split(b"\n")
    offsets = list(accumulate((len(line) + 1 for line in lines[:-1]), initial=block.begin))
    if all(map(bytes.strip, lines)):
        return block.data, offsets
    kept = [(line, at) for line, at in zip(lines, offsets, strict=True) if line.strip()]
    return b"".join(line + b"\n" for line, _ in kept), [at for _, at in kept]


def parse(
    made_by: Format,
    journal: str,
    data: bytes,
    offsets: Sequence[int],
    schema: Any,
    columns: Sequence[str],
) -> Any:
    """Return the columns of lines.

    Raises:
        RecordError: A line is not of the format, or not of the schema.
    """
    try:
        table = made_by.parse(data, schema, columns)
        if table.num_rows == len(offsets):
            return table
        reason = f"{len(offsets)} lines are {table.num_rows} rows"
    except (pa.ArrowInvalid, pa.ArrowTypeError) as exc:
        reason = str(exc)
    if len(offsets) == 1:
        start = data[:80].decode(errors="replace").rstrip("\n")
        raise RecordError(
            journal, offsets[0], f"{reason}: {start!r}; `columns` gives types, `format` another way"
        )
    middle = len(offsets) // 2
    cut = _position(data, middle)
    for half, at in ((data[:cut], offsets[:middle]), (data[cut:], offsets[middle:])):
        parse(made_by, journal, half, at, schema, columns)
    # Each line alone is right, such as a quoted newline of CSV, which is two of them.
    raise RecordError(journal, offsets[0], reason)


def _position(data: bytes, lines: int) -> int:
    """Return where a number of lines ends."""
    position = 0
    for _ in range(lines):
        position = data.index(b"\n", position) + 1
    return position
