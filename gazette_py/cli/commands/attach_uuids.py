"""`journalctl attach-uuids`: give each line of files a UUID, by which readers know it again."""

import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import IO

import click

from gazette_py.cli.byte_input import open_file
from gazette_py.cli.errors import usage
from gazette_py.cli.options import size_option
from gazette_py.cli.stamping import Stamps
from gazette_py.cli.verb import Verb
from gazette_py.clock import SYSTEM
from gazette_py.errors import ValidationError
from gazette_py.protocol.template_syntax import Fields, Print, Text, parse_template

_READ_BYTES = 1 << 16

_DEFAULT = "{{.UUID}},{{.Line}}\\n"


@click.command(
    "attach-uuids",
    cls=Verb,
    epilog="""
    journalctl attach-uuids orders.csv > orders.uuids.csv
    journalctl attach-uuids --skip-header monday.csv tuesday.csv > week.csv
    journalctl attach-uuids --template '{"uuid":"{{.UUID}}","order":{{.Line}}}\\n' orders.ndjson
    cat app.log | journalctl attach-uuids | journalctl append acme/logs --framing lines
    """,
)
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option(
    "--template",
    default=_DEFAULT,
    show_default=True,
    help="What is written for a line: text with {{.UUID}}, {{.Line}}, and \\n, \\t, \\\\.",
)
@size_option("--max-length", default="4MiB", help="The longest line, in bytes.")
@click.option("--skip-header", is_flag=True, help="Drop the first line of each file.")
def command(files: Sequence[str], template: str, max_length: int, skip_header: bool) -> None:
    """Give each line of files, or of standard input, a UUID.

    Readers who sequence messages take a line whose UUID they have seen for a repetition. So write
    the result to a file, and append that: if either step fails, both can be repeated. Each run is
    a new producer, whom readers remember: few large files are better than many small ones.
    """
    try:
        render = _line_template(template)
    except ValidationError as exc:
        raise usage(f"--template {template!r}", str(exc), f"The default is {_DEFAULT!r}.") from exc
    stamps = Stamps(SYSTEM)
    out = sys.stdout.buffer
    for name in files or ("-",):
        with open_file(name) as file:
            skipped = 1 if skip_header else 0
            for lines in _Lines(name, file, max_length):
                stamps.refresh()
                made = (render(str(stamps.next()).encode(), line) for line in lines[skipped:])
                out.write(b"".join(chain.from_iterable(made)))
                out.flush()  # What was read is written, before more is waited for.
                skipped = 0


class _Lines:
    """The lines of a file, without their ends: as many at once as there are."""

    def __init__(self, name: str, file: IO[bytes], length_max: int) -> None:
        self._name = name
        self._file = file
        self._length_max = length_max
        self._count = 0

    def __iter__(self) -> Iterator[list[bytes]]:
        rest = b""
        while data := self._read():
            *lines, rest = (rest + data).split(b"\n")
            if lines:
                yield self._checked(lines)
            self._check(rest)
        if rest:
            yield self._checked([rest])

    def _read(self) -> bytes:
        read: Callable[[int], bytes] = getattr(self._file, "read1", self._file.read)
        return read(_READ_BYTES)

    def _checked(self, lines: list[bytes]) -> list[bytes]:
        for line in lines:
            self._check(line)
            self._count += 1
        return [line.removesuffix(b"\r") for line in lines]

    def _check(self, line: bytes) -> None:
        if len(line) > self._length_max:
            raise usage(
                f"input {self._name}, line {self._count + 1}",
                f"it is longer than {self._length_max} bytes",
                "--max-length allows longer ones.",
            )


def _line_template(text: str) -> Callable[[bytes, bytes], Iterator[bytes]]:
    """Return what writes a UUID and a line.

    Raises:
        ValidationError: The text is no template of these two.
    """
    parts: list[bytes | str] = []
    for node in parse_template(_unescaped(text), ()):
        match node:
            case Text(literal):
                parts.append(literal.encode())
            case Print(((Fields((("UUID" | "Line") as name,)),),)):
                parts.append(name)
            case _:
                raise ValidationError("", "there are {{.UUID}} and {{.Line}}, and no more")

    def render(uuid: bytes, line: bytes) -> Iterator[bytes]:
        for part in parts:
            yield part if isinstance(part, bytes) else uuid if part == "UUID" else line

    return render


def _unescaped(text: str) -> str:
    r"""Replace \n, \t and \\, which shells do not."""
    halves = text.split("\\\\")
    return "\\".join(half.replace("\\n", "\n").replace("\\t", "\t") for half in halves)
