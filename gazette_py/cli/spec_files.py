"""Finds and reads the YAML files of journal trees."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from gazette_py.cli.errors import usage
from gazette_py.cli.tree import Node

_SUFFIXES = (".yaml", ".yml")


def read_files(names: Sequence[str], *, recursive: bool) -> list[Node]:
    """Return the trees of files, of directories of files, and of standard input ("-").

    Raises:
        CommandError: A file cannot be read.
        ValidationError: A file is no tree.
    """
    return trees_of(read_texts(names, recursive=recursive))


def read_texts(names: Sequence[str], *, recursive: bool) -> list[tuple[str, str]]:
    """Return the text of each file, and what to call it. Arguments and errors as above."""
    texts: list[tuple[str, str]] = []
    for name in names:
        if name == "-":
            texts.append((sys.stdin.read(), "stdin"))
        else:
            found = _files(Path(name), recursive=recursive)
            texts += [(_text(path), str(path)) for path in found]
    return texts


def trees_of(texts: Sequence[tuple[str, str]]) -> list[Node]:
    """Return the trees of texts of files.

    Raises:
        CommandError: There is none.
        ValidationError: A text is no tree.
    """
    from gazette_py.cli.tree_yaml import read_trees

    trees = [tree for text, source in texts for tree in read_trees(text, source)]
    if not trees:
        raise usage(", ".join(source for _, source in texts), "no YAML document is in it")
    return trees


def _files(path: Path, *, recursive: bool) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    found = path.rglob("*") if recursive else path.glob("*")
    files = sorted(file for file in found if file.suffix in _SUFFIXES and file.is_file())
    if not files:
        raise usage(
            str(path),
            f"the directory has no file which ends in {' or '.join(_SUFFIXES)}",
            "Files deeper in it are found with -R.",
        )
    yield from files


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as exc:
        raise usage(
            str(path), f"it cannot be read: {exc.strerror}", "'-' is standard input."
        ) from exc
    except UnicodeDecodeError as exc:
        raise usage(str(path), f"it is not UTF-8 text, at byte {exc.start}") from exc
