"""Asking before what cannot be undone."""

import sys

import click

from gazette_py.cli.errors import usage


def confirm(question: str, *, is_sure: bool) -> None:
    """Ask, unless `--yes` was given; where nobody can answer, refuse and name the flag.

    Raises:
        CommandError: Nobody can be asked.
        click.Abort: The answer is no.
    """
    if is_sure:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise usage(question, "there is no terminal to ask on", "Give --yes if you are sure.")
    click.confirm(question, abort=True, err=True)


def confirm_name(context: str, given: str) -> None:
    """Ask for the name of a protected context, unless it was given.

    Raises:
        CommandError: It is not the name, or nobody can be asked.
    """
    what = f"context {context}"
    if not given:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise usage(
                what,
                "it is protected, and there is no terminal to ask on",
                f"Give --confirm-context {context} if you are sure.",
            )
        given = click.prompt(f"Context {context} is protected; type its name to go on", err=True)
    if given != context:
        raise usage(what, f"it is protected, and {given!r} is not its name")
