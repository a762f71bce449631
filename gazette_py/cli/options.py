"""Kinds of options which the commands of `journalctl` share, and those of its output."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar, cast

import click

from gazette_py.cli.quantities import parse_duration_ns, parse_size, parse_time
from gazette_py.cli.render import FORMATS, Output
from gazette_py.clock import SYSTEM

_F = TypeVar("_F", bound=Callable[..., Any])

_NS = 1_000_000_000


def duration_option(*names: str, default: str | None = "0s", **more: Any) -> Callable[[_F], _F]:
    """Return an option whose value is a Go duration, given to the command in seconds."""
    return _parsed_option(
        names, "DURATION", lambda text: parse_duration_ns(text) / _NS, default, more
    )


def size_option(*names: str, default: str | None, **more: Any) -> Callable[[_F], _F]:
    """Return an option whose value is a number of bytes, with or without a unit."""
    return _parsed_option(names, "SIZE", parse_size, default, more)


def time_option(*names: str, **more: Any) -> Callable[[_F], _F]:
    """Return an option whose value is a moment, given in Unix seconds; 0 if it is left out."""
    return _parsed_option(names, "TIME", lambda text: parse_time(text, SYSTEM.now()), "0", more)


def _parsed_option(
    names: Sequence[str],
    metavar: str,
    parse: Callable[[str], object],
    default: str | None,
    more: dict[str, Any],
) -> Callable[[_F], _F]:
    return click.option(
        *names, **{"metavar": metavar, "default": default, "callback": parsed_by(parse)} | more
    )


def parsed_by(
    parse: Callable[[str], object],
) -> Callable[[click.Context, click.Parameter, str | None], object]:
    """Return a callback of an option which parses its text.

    Args:
        parse: Returns the value, or raises a `ValueError` which says what is wrong.
    """

    def callback(ctx: click.Context, param: click.Parameter, value: str | None) -> object:
        if value is None:
            return None
        try:
            return parse(value)
        except ValueError as exc:
            raise click.BadParameter(str(exc), ctx, param) from exc

    return callback


def output_options(*more: str, only: Sequence[str] = FORMATS) -> Callable[[_F], _F]:
    """Give a command `-o`, `--columns` and `--query`, and a parameter `output` for them."""

    def decorate(command: _F) -> _F:
        @wraps(command)
        def with_output(
            *args: Any, output: str | None, columns: str, query: str, **kwargs: Any
        ) -> Any:
            chosen = tuple(filter(None, (name.strip() for name in columns.split(","))))
            made = Output(format=output or "", columns=chosen, query=query)
            return command(*args, output=made, **kwargs)

        options = (
            click.option(
                "-o",
                "--output",
                type=click.Choice([*only, *more]),
                help="Format. Default: a table on a terminal, else its bare columns.",
            ),
            click.option(
                "--columns", metavar="A,B", default="", help="Columns of tables, in this order."
            ),
            click.option(
                "--query", metavar="JMESPATH", default="", help="Part of the JSON to print."
            ),
        )
        return with_options(with_output, options)

    return decorate


def with_options(command: Callable[..., Any], options: Sequence[Callable[[_F], _F]]) -> _F:
    """Give a command options, the first of them first in its help."""
    for option in reversed(options):
        command = option(command)
    return cast("_F", command)
