"""The same call for many journals, some of which may fail."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import click

from gazette_py.cli.errors import CommandError, ExitCode, Failure, failure_of
from gazette_py.errors import GazetteError

_T = TypeVar("_T")

_CALLS_MAX = 32
"""Calls under way at once: enough to hide latency, few enough for one connection's streams."""


@dataclass(frozen=True, slots=True)
class Outcomes(Generic[_T]):
    """What came of each journal, in the order given."""

    results: dict[str, _T] = field(default_factory=dict)
    errors: dict[str, GazetteError] = field(default_factory=dict)

    def raise_errors(self) -> None:
        """Print what failed, and end with the code of it, or of a partial success."""
        if not self.errors:
            return
        raise failed(self.errors, is_partial=bool(self.results))


async def for_each(
    journals: Iterable[str], call: Callable[[str], Awaitable[_T]], *, calls_max: int = _CALLS_MAX
) -> Outcomes[_T]:
    """Make a call for each journal, some at a time. Failures of the package are collected."""
    names = list(journals)
    slots = asyncio.Semaphore(calls_max)
    results: dict[str, _T] = {}
    errors: dict[str, GazetteError] = {}

    async def one(name: str) -> None:
        async with slots:
            try:
                results[name] = await call(name)
            except GazetteError as exc:
                errors[name] = exc

    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(one(name), name=f"call {name}")
    return Outcomes(
        {name: results[name] for name in names if name in results},
        {name: errors[name] for name in names if name in errors},
    )


def failed(errors: Mapping[str, GazetteError], *, is_partial: bool) -> CommandError:
    """Return the error of a command in which some journals failed."""
    failures = [failure_of(exc) for exc in errors.values()]
    if len(failures) == 1 and not is_partial:
        return CommandError(failures[0])
    for failure in failures:
        click.echo(failure.as_text(), err=True)
    return CommandError(
        Failure(
            code=ExitCode.PARTIAL if is_partial else failures[0].code,
            status="PARTIAL" if is_partial else failures[0].status,
            what="some journals" if is_partial else "all journals",
            detail=f"{len(failures)} failed, as said above",
        )
    )
