"""The text which an editor is given: a tree of journals below lines of ours. Pure.

Lines of ours begin with one of two marks, and are not read back. The marks are those of Gazette's
gazctl, byte for byte, so that a text may go on in the other program. Other comments stay.

Source: gazette/core cmd/gazctl/gazctlcmd/editor/editor.go.
"""

from collections.abc import Sequence

NOTE_MARK = "#⚙"
WARNING_MARK = "#⚠"

_NOTES = (
    "Journals, to be changed as you like. What is left as it is will not be sent, nor what you",
    "remove: `delete: true` deletes a journal. Lines which begin as this one does, or with",
    f"{WARNING_MARK}, are not read. An empty file cancels, and so does one without a change.",
)
_AS_IT_IS = "To apply the text as it is, remove the lines which begin as this one does."


def with_header(text: str, warnings: Sequence[str]) -> str:
    """Return the text below notes for who edits it.

    Args:
        text: YAML.
        warnings: Lines which say why the editor opens once more; none the first time.
    """
    lines = [f"{NOTE_MARK} {note}" for note in _NOTES]
    if warnings:
        lines += [WARNING_MARK, *(f"{WARNING_MARK} {each}".rstrip() for each in warnings)]
        lines += [f"{WARNING_MARK} {_AS_IT_IS}", WARNING_MARK]
        count = len(lines) + 1
        lines.append(f"{NOTE_MARK} Line numbers do not count these {count} lines.")
    return "\n".join([*lines, text])


def without_header(text: str) -> str:
    """Return the text without lines of ours; each of the others ends with a newline."""
    kept = [line for line in _lines(text) if not line.startswith((NOTE_MARK, WARNING_MARK))]
    return "".join(f"{line}\n" for line in kept)


def has_warnings(text: str) -> bool:
    """Tell whether lines which say what is wrong are still there."""
    return any(line.startswith(WARNING_MARK) for line in _lines(text))


def _lines(text: str) -> list[str]:
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]
