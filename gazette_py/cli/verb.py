"""Running a command of `journalctl`: its errors become exit codes, and signals end it in order."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

import click

from gazette_py.cli.color import color_option
from gazette_py.cli.errors import CommandError, TerminatedError, failure_of, usage
from gazette_py.cli.examples import WithExamples
from gazette_py.cli.settings import source_of
from gazette_py.errors import GazetteError

_T = TypeVar("_T")


class Verb(WithExamples):
    """A command whose failures become exit codes and words, in JSON where its output is."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(color_option())

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Parse arguments; a bad value which stood in a file is told with it.

        Raises:
            CommandError: Such a value.
            UsageError: Other bad arguments.
        """
        try:
            return super().make_context(*args, **kwargs)
        except click.BadParameter as exc:
            if exc.ctx is None or exc.param is None or exc.param.name is None:
                raise
            source = source_of(exc.ctx, exc.param.name)
            if not source or source.startswith(("flag", "$")):
                raise
            raise usage(source, f"{exc.param.opts[0]}: {exc.message}") from exc

    def invoke(self, ctx: click.Context) -> Any:
        """Run it.

        Raises:
            CommandError: It failed.
        """
        try:
            return super().invoke(ctx)
        except CommandError as exc:
            exc.is_json = self._is_json(ctx)
            raise
        except GazetteError as exc:
            raise CommandError(failure_of(exc), is_json=self._is_json(ctx)) from exc

    @staticmethod
    def _is_json(ctx: click.Context) -> bool:
        return str(ctx.params.get("output") or "").startswith("json")


def run(work: Coroutine[Any, Any, _T]) -> _T:
    """Run a command's work on an event loop; SIGTERM ends it as orderly as Ctrl-C does.

    Raises:
        KeyboardInterrupt: Ctrl-C.
        TerminatedError: SIGTERM.
    """
    termination = _Termination()
    try:
        return asyncio.run(termination.bounds(work))
    except (KeyboardInterrupt, asyncio.CancelledError):
        if termination.is_asked_for:
            raise TerminatedError from None
        raise


class _Termination:
    """SIGTERM, which ends work as Ctrl-C does: the second time, also where it can only wait.

    The event loop's own handlers run in between what it runs, and so not while a write waits for
    somebody to read. This one does.
    """

    def __init__(self) -> None:
        self.is_asked_for = False

    async def bounds(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do the work, which is cancelled if it is to end."""
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None, "runs as a task"

        def terminate(*_: object) -> None:
            if self.is_asked_for:
                raise KeyboardInterrupt
            self.is_asked_for = True
            loop.call_soon_threadsafe(task.cancel)

        before = signal.signal(signal.SIGTERM, terminate)
        try:
            return await work
        finally:
            signal.signal(signal.SIGTERM, before)
