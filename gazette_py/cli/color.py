"""Whether to print in color: as asked for, else on terminals of those who did not ask for none."""

import os
from collections.abc import Mapping

import click


def color_option() -> click.Option:
    """Return the option which all commands have. What is printed by click heeds it."""
    return click.Option(
        ["--color"],
        type=click.Choice(["auto", "always", "never"]),
        default="auto",
        show_default=True,
        expose_value=False,
        callback=_choose,
        help="Color: auto is on terminals, but for $NO_COLOR and $TERM=dumb.",
    )


def is_unwanted(env: Mapping[str, str]) -> bool:
    """Tell whether the environment asks for no color."""
    return bool(env.get("NO_COLOR")) or env.get("TERM") == "dumb"


def _choose(ctx: click.Context, _param: click.Parameter, value: str) -> None:
    match value:
        case "always":
            ctx.color = True
        case "never":
            ctx.color = False
        case _:
            ctx.color = False if is_unwanted(os.environ) else None
