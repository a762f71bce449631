"""`journalctl explain`: what a field of a journal's YAML means. It asks nobody."""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from textwrap import fill
from typing import Any

import click

from gazette_py.cli.errors import usage
from gazette_py.cli.options import output_options
from gazette_py.cli.render import Column, Output
from gazette_py.cli.spec_help import FIELDS, ROOT, FieldHelp, children_of
from gazette_py.cli.verb import Verb

_LINK = re.compile(r"\[([^]]+)\]\(([^)]+)\)")
_WIDTH = 80

_COLUMNS = (
    Column("FIELD", lambda item: item["field"]),
    Column("RANGE", lambda item: item["range"]),
    Column("MEANING", lambda item: item["meaning"]),
)


@click.command(
    "explain",
    cls=Verb,
    epilog="""
    journalctl explain journal
    journalctl explain journal.fragment.flush_interval
    journalctl explain journal.suspend -o yaml
    """,
)
@click.argument("field", metavar="FIELD")
@output_options()
def command(field: str, output: Output) -> None:
    """Explain a field of the YAML which `journalctl apply` reads and `list -o yaml` writes.

    FIELD is `journal`, or a path below it such as journal.fragment.length.
    """
    path = _resolved(field)
    known = next((each for each in FIELDS if each.path == path), None)
    below = list(children_of(path))
    if output.format or output.columns or output.query:
        shown = ([known] if known is not None else []) + below
        output.print_items("FieldList", [_item(each) for each in shown], _COLUMNS, name="field")
        return
    click.echo("\n".join(_lines(field if known is None else f"{ROOT}.{path}", known, below)))


def _resolved(text: str) -> str:
    """Return the path below the root; "" for the root.

    Raises:
        CommandError: There is no such field.
    """
    root, _, rest = text.partition(".")
    path = rest if root == ROOT else text
    if text == ROOT or any(path == field.path for field in FIELDS):
        return "" if text == ROOT else path
    paths = [field.path for field in FIELDS]
    # By their last part, too: who knows the name often does not know where it is.
    same = [field.path for field in FIELDS if field.name == path.rpartition(".")[2]]
    near = same or get_close_matches(path, paths, 1) or _by_name(path)
    rest = f"Did you mean {' or '.join(f'{ROOT}.{p}' for p in near)}? " if near else ""
    raise usage(f"field {text}", "there is none", f"{rest}`journalctl explain {ROOT}` lists all.")


def _by_name(path: str) -> list[str]:
    names = [field.name for field in FIELDS]
    near = get_close_matches(path.rpartition(".")[2], names, 1)
    return [field.path for field in FIELDS if field.name in near]


def plain(text: str) -> str:
    """Return a text of Markdown as terminals show it: links name the page of docs/."""

    def page(found: "re.Match[str]") -> str:
        target = found[2]
        while target.startswith("../"):
            target = target.removeprefix("../")
        if target == found[2]:
            target = f"reference/{target}"
        return found[1] if target.startswith("gazette_py/") else f"{found[1]} (docs/{target})"

    return _LINK.sub(page, text).replace("`", "")


def _item(field: FieldHelp) -> dict[str, Any]:
    return {
        "field": f"{ROOT}.{field.path}",
        "range": plain(field.range),
        "meaning": plain(f"{field.meaning}. {field.more}".rstrip()),
        "example": field.example,
    }


def _lines(title: str, known: FieldHelp | None, below: list[FieldHelp]) -> Iterator[str]:
    yield click.style(title, bold=True)
    if known is None:
        yield "  A journal, or a directory of journals: a node of the YAML's tree."
    else:
        yield _wrapped(f"{plain(known.meaning)}.")
        if known.more:
            yield _wrapped(plain(known.more))
        yield ""
        yield _wrapped(f"Range:   {plain(known.range)}", "           ")
        yield f"  Example: {known.example}"
    if below:
        yield ""
        yield "  Fields"
        width = max(len(field.name) for field in below) + 2
        for field in below:
            indent = " " * (4 + width)
            text = f"  {field.name:{width}}{plain(field.meaning)}"
            yield _wrapped(text, indent)


def _wrapped(text: str, indent: str = "  ") -> str:
    return fill(
        text,
        _WIDTH,
        initial_indent="  ",
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=False,
    )
