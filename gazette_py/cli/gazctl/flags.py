"""Flags in gazctl's spelling, and its log of what was done."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

import click

from gazette_py.cli.connection import broker_options, changing_broker_options
from gazette_py.cli.quantities import format_time
from gazette_py.cli.selection import Selection
from gazette_py.cli.verb import Verb
from gazette_py.clock import SYSTEM

_F = TypeVar("_F", bound=Callable[..., Any])

_LEVELS = ("trace", "debug", "info", "warn", "error", "fatal")
_SHORT_WITH_EQUALS = re.compile(r"-[A-Za-z]=")
_BARE = re.compile(r"[A-Za-z0-9\-._/@^+]+")


class GazctlVerb(Verb):
    """A verb whose short options may have an equals sign, as in `-l=name=acme/orders`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse them."""
        return super().parse_args(
            ctx, [arg[:2] + arg[3:] if _SHORT_WITH_EQUALS.match(arg) else arg for arg in args]
        )


@dataclass(frozen=True, slots=True)
class Log:
    """What gazctl tells on standard error, in its form, if it is asked for."""

    level: str
    format: str

    def info(self, message: str, **fields: object) -> None:
        """Tell what was done."""
        self._write("info", message, fields)

    def warning(self, message: str) -> None:
        """Tell what may not be meant."""
        self._write("warn", message, {})

    def debug(self, message: str, **fields: object) -> None:
        """Tell what went on."""
        self._write("debug", message, fields)

    def _write(self, level: str, message: str, fields: dict[str, object]) -> None:
        if _LEVELS.index(level) < _LEVELS.index(self.level):
            return
        name = "warning" if level == "warn" else level
        line = {"time": format_time(int(SYSTEM.now())), "level": name, "msg": message}
        if self.format == "json":
            document = dict(sorted((line | fields).items()))
            click.echo(json.dumps(document, separators=(",", ":")), err=True)
            return
        parts = [f'time="{line["time"]}"', f"level={name}", f"msg={_quoted(message)}"]
        parts += [f"{key}={_quoted(str(value))}" for key, value in sorted(fields.items())]
        click.echo(" ".join(parts), err=True)


def _quoted(text: str) -> str:
    return text if _BARE.fullmatch(text) else json.dumps(text, ensure_ascii=False)


_LOG_OPTIONS = (
    click.option(
        "--log.level",
        "log_level",
        type=click.Choice(_LEVELS),
        default="warn",
        show_default=True,
        envvar="LOG_LEVEL",
        help="What to tell on standard error; info: what was done. [$LOG_LEVEL]",
    ),
    click.option(
        "--log.format",
        "log_format",
        type=click.Choice(["json", "text", "color"]),
        default="text",
        show_default=True,
        envvar="LOG_FORMAT",
        help="How; color is text. [$LOG_FORMAT]",
    ),
)


def common_options(command: _F) -> Any:
    """Give a verb the options which all have, and parameters `broker` and `log` for them."""
    return broker_options(_with_log(command))


def changing_options(command: _F) -> Any:
    """Give a verb which changes something the same, and the question of a protected context."""
    return changing_broker_options(_with_log(command))


def _with_log(command: Callable[..., Any]) -> Any:
    @wraps(command)
    def with_log(*args: Any, log_level: str, log_format: str, **kwargs: Any) -> Any:
        return command(*args, log=Log(log_level, log_format), **kwargs)

    wrapped: Any = with_log
    for option in reversed(_LOG_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


def selector_option(*, is_required: bool = True) -> Callable[[Callable[..., Any]], Any]:
    """Give a verb `-l`, and a parameter `selection` for it."""

    def decorate(command: Callable[..., Any]) -> Any:
        @wraps(command)
        def with_selection(*args: Any, selector: str, **kwargs: Any) -> Any:
            selection = Selection(names=(), selector=selector, allow_empty=True)
            return command(*args, selection=selection, **kwargs)

        how: dict[str, Any] = {"required": True} if is_required else {"default": ""}
        option = click.option(
            "-l",
            "--selector",
            metavar="SELECTOR",
            help="Journals by their labels." + ("" if is_required else " Default: all."),
            **how,
        )
        return option(with_selection)

    return decorate


def txn_size_option(command: _F) -> _F:
    """Give a verb `--max-txn-size`, and a parameter `max_txn_size` for it."""
    return click.option(
        "--max-txn-size",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        help="Changes to make in one transaction of etcd; 0: all of them.",
    )(command)
