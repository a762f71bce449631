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
