"""A child process: started, watched until it is ready, and ended for sure."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from gazette_py.clock import Clock
from gazette_py.errors import ConfigError

_POLL_S = 0.05


class ChildProcess:
    """One child. Its output goes to a file."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self.log = log
        self._process = process

    @classmethod
    async def start(
        cls, name: str, command: Sequence[str], log: Path, env: Mapping[str, str] | None = None
    ) -> "ChildProcess":
        """Start a command, whose output is appended to `log`."""
        with open(log, "ab") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "gazette_py.local.child",
                str(os.getpid()),
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **(env or {})},
                # A Ctrl-C is the parent's to act upon: it ends children in an order.
                start_new_session=True,
            )
        return cls(name, process, log)

    @property
    def pid(self) -> int:
        """The process ID."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended, None while it runs."""
        return self._process.returncode

    async def wait_listening(self, url: str, timeout_s: float, clock: Clock) -> None:
        """Wait until a GET of `url` (http://host:port/path) is answered with 200.

        Raises:
            ConfigError: The process has ended, or takes too long. It tells the end of its output.
        """
        deadline = clock.monotonic() + timeout_s
        while True:
            if self.exit_code is not None:
                raise ConfigError(self.name, f"ended with {self.exit_code}: {self.last_output()}")
            if await _is_ok(url):
                return
            if clock.monotonic() > deadline:
                raise ConfigError(
                    self.name, f"not ready after {timeout_s:.0f} s: {self.last_output()}"
                )
            await clock.sleep(_POLL_S)

    def last_output(self) -> str:
        """Return the last line which it wrote, and where the rest is."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return f"{lines[-1] if lines else 'no output'} (see {self.log})"

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        if self.exit_code is None:
            self._process.send_signal(number)

    async def kill(self) -> None:
        """Kill it, and wait until it is gone."""
        self.send(signal.SIGKILL)
        await self._process.wait()

    async def stop(self, timeout_s: float) -> bool:
        """Ask it to end; kill it after `timeout_s`. Return whether it ended by itself."""
        self.send(signal.SIGTERM)
        try:
            async with asyncio.timeout(timeout_s):
                await self._process.wait()
        except TimeoutError:
            await self.kill()
            return False
        return True

    async def wait(self) -> int:
        """Wait for its end, and return its exit code."""
        return await self._process.wait()


async def _is_ok(url: str) -> bool:
    address, _, path = url.removeprefix("http://").partition("/")
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection(host, int(port))
            try:
                writer.write(f"GET /{path} HTTP/1.0\r\nHost: {address}\r\n\r\n".encode())
                status = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
    return b" 200 " in status
