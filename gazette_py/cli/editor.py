"""The user's editor, and the files which it edits.

Touches: a temporary file for each text, only for the user to read. The last text is never lost: it
is in a file until `Draft.discard`, whatever ends the command before.
"""

import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from gazette_py.cli.errors import CommandError, ExitCode, Failure, TerminatedError, usage

_END_WAIT_S = 5.0


class Draft:
    """A text which is edited, perhaps several times."""

    def __init__(self, env: Mapping[str, str]) -> None:
        """Prepare it.

        Raises:
            CommandError: There is neither an editor nor a terminal.
        """
        self._editor = _editor(env)
        self._path: Path | None = None
        self._kept: list[Path] = []

    def edit(self, text: str) -> str:
        """Have the user edit a text, in a new file in place of the one before, and return it.

        Raises:
            CommandError: The editor failed.
            click.Abort: Ctrl-C ended it.
            TerminatedError: SIGTERM ended us.
        """
        before = self._path
        self._path = _new_file(text)
        if before is not None:
            before.unlink(missing_ok=True)
        _run_editor(self._editor, self._path)
        try:
            return self._path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise usage(str(self._path), f"what the editor left cannot be read: {exc}") from exc

    def keep(self) -> Path:
        """Keep the present file beside those to come, until all are discarded."""
        assert self._path is not None, "something was edited"
        path, self._path = self._path, None
        self._kept.append(path)
        return path

    def save(self, text: str) -> None:
        """Put a text in place of the one which was edited last."""
        assert self._path is not None, "something was edited"
        self._path.write_text(text, encoding="utf-8")

    def discard(self) -> None:
        """Remove all files."""
        for path in (*self._kept, *filter(None, [self._path])):
            path.unlink(missing_ok=True)
        self._kept, self._path = [], None

    def tell(self) -> None:
        """Say where the texts are, if there are any."""
        for path in (*self._kept, *filter(None, [self._path])):
            if path.exists():
                click.echo(f"The text is saved in {path}", err=True)


def _editor(env: Mapping[str, str]) -> str:
    chosen = env.get("GAZ_EDITOR") or env.get("EDITOR")
    if not chosen and not sys.stdin.isatty():
        raise usage(
            "editor",
            "there is no terminal to edit on",
            "Name a program which edits the file that it is given: EDITOR='sed -i s/1/2/'.",
        )
    return chosen or "vi"


def _new_file(text: str) -> Path:
    descriptor, name = tempfile.mkstemp(prefix="gazette-journals-edit-", suffix=".yaml")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return Path(name)


def _run_editor(editor: str, path: Path) -> None:
    with _signals_left_to_editor():
        # By the shell, since people give options with it.
        process = subprocess.Popen(["/bin/sh", "-c", f"{editor} {shlex.quote(str(path))}"])  # noqa: S603
        try:
            code = process.wait()
        except BaseException:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_END_WAIT_S)
            raise
    if code in (-signal.SIGINT, 128 + signal.SIGINT):
        raise click.Abort
    if code:
        raise CommandError(
            Failure(
                code=ExitCode.ERROR,
                status="EDITOR_FAILED",
                what=f"editor {editor}",
                detail=f"it ended with {code}; nothing was changed",
                hints=("Choose another one by EDITOR.",),
            )
        )


@contextmanager
def _signals_left_to_editor() -> Iterator[None]:
    """Have Ctrl-C be the editor's, which shares our terminal; SIGTERM ends us in order."""

    def terminate(*_: object) -> None:
        raise TerminatedError

    # No SIG_IGN, which the editor would inherit.
    before = {signal.SIGINT: signal.signal(signal.SIGINT, lambda *_: None)}
    before[signal.SIGTERM] = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
