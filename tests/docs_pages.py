"""Pages of docs/, and the commands which they show.

A block of ```console has commands behind `$ `, continued behind `> `, each followed by its output.
`...` in an output stands for any text, or in a line of its own for any lines. A block marked
```console background has one command, which stays: it is what a reader leaves running.
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"

_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Command:
    """One command, and what the page says that it prints."""

    text: str
    output: str
    is_background: bool


def pages() -> list[Path]:
    """Return all pages."""
    return sorted(DOCS.rglob("*.md"))


def without_code(text: str) -> str:
    """Return a page's text without its fenced blocks and code spans."""
    return re.sub(r"`[^`\n]+`", "", _FENCE.sub("", text))


def commands(page: Path) -> list[Command]:
    """Return the commands of a page, in order."""
    found = []
    for fence in _FENCE.finditer(page.read_text()):
        language, *marks = fence["info"].split() or [""]
        if language == "console":
            found += _commands(fence["text"], is_background="background" in marks)
    return found


def matches(expected: str, actual: str) -> bool:
    """Tell whether an output is as expected."""
    pattern = ""
    for line in expected.splitlines():
        if line == "...":
            pattern += r"(?:.*\n)*"
        else:
            pattern += ".*".join(re.escape(part) for part in line.split("...")) + r"\n"
    return re.fullmatch(pattern, actual) is not None


def _commands(text: str, *, is_background: bool) -> list[Command]:
    found: list[Command] = []
    lines, output = [], []
    for line in [*text.splitlines(), "$ "]:
        if line.startswith("$ "):
            if lines:
                shown = "".join(f"{each}\n" for each in output)
                found.append(Command("\n".join(lines), shown, is_background))
            lines, output = [line.removeprefix("$ ")], []
        elif (line == ">" or line.startswith("> ")) and not output:
            lines.append(line[2:])
        else:
            output.append(line)
    return found
