"""Tasks which run as long as the process, and end in an order.

A task which fails ends the process: whoever waits through `first` gets its error.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

from gazette_py.telemetry.log import get_logger

log = get_logger(__name__)


class Tasks:
    """Tasks of the process. None of them ends by itself, unless by an error which ends all."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run work until it is stopped."""
        # Not a TaskGroup: they are stopped one by one, in an order.
        self._tasks.append(asyncio.create_task(work, name=name))

    async def first(self, work: Coroutine[Any, Any, None]) -> None:
        """Do work. The error of a task which fails meanwhile is raised instead."""
        doing = asyncio.create_task(work, name="main")
        try:
            await asyncio.wait([doing, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in self._tasks:
                if task.done():
                    task.result()
            await doing
        finally:
            doing.cancel()

    async def stop(self, *names: str) -> None:
        """Cancel tasks, and wait for them."""
        stopped = [task for task in self._tasks if task.get_name() in names]
        while running := [task for task in stopped if not task.done()]:
            for task in running:
                task.cancel()
            # Again and again: gRPC may take a cancellation for an end of its call.
            await asyncio.wait(running, timeout=1)
        for task in stopped:
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("task_failed", task=task.get_name(), err=str(error))

    async def stop_all(self) -> None:
        """Cancel all tasks, and wait for them."""
        await self.stop(*{task.get_name() for task in self._tasks})
