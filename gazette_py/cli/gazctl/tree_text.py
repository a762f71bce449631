"""Trees of journals in the YAML which gazctl prints.

It is `tree_yaml.write_tree` with other quotes and folds: a text which could be read as something
else is in double quotes, and lines are folded at 80 columns.

Source: gopkg.in/yaml.v2 v2.4.0, resolve.go and encode.go.
"""

import math
import re
from datetime import date
from typing import Any

import yaml

from gazette_py.cli.tree import Node
from gazette_py.cli.tree_fields import node_fields

_WORDS = frozenset(
    {"", "~", ".nan", ".NaN", ".NAN", "<<"}
    | {f"{sign}.{word}" for sign in ("", "+", "-") for word in ("inf", "Inf", "INF")}
    | {"y", "Y", "n", "N"}
    | {
        form
        for word in ("yes", "no", "on", "off", "true", "false", "null")
        for form in (word, word.capitalize(), word.upper())
    }
)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_PREFIXED = re.compile(r"[-+]?0([xX][0-9a-fA-F]+|[oO][0-7]+|[bB][01]+)")
_BASE_60 = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
_TIME = r"\d{1,2}:\d{1,2}:\d{1,2}(?:\.\d+)?"
_MOMENT = re.compile(
    rf"(\d{{4}})-(\d{{1,2}})-(\d{{1,2}})(?: {_TIME}|[Tt]{_TIME}(?:Z|[+-]\d\d:\d\d))?"
)


def is_ambiguous(text: str) -> bool:
    """Tell whether a bare text would be read as something else, or is quoted out of caution."""
    if text in _WORDS or _BASE_60.fullmatch(text):
        return True
    if text[0] in "0123456789+-":
        return _is_moment(text) or _is_number(text.replace("_", ""))
    return text[0] == "." and _is_number(text)


def _is_number(text: str) -> bool:
    if _FLOAT.fullmatch(text):
        return not math.isinf(float(text))
    if not _PREFIXED.fullmatch(text):
        return False
    value = int(text, 0)
    return -(1 << 63) <= value < (1 << 63 if text[0] in "+-" else 1 << 64)


def _is_moment(text: str) -> bool:
    found = _MOMENT.fullmatch(text)
    if not found:
        return False
    try:
        date(int(found[1]), int(found[2]), int(found[3]))
    except ValueError:
        return False
    return True


class _Dumper(yaml.SafeDumper):
    """Writes scalars as they are told to be: nothing is resolved once more."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write everything where it is."""
        return True


_Dumper.yaml_implicit_resolvers = {}

_TEXT = "tag:yaml.org,2002:str"


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else '"' if is_ambiguous(text) else None
    return dumper.represent_scalar(_TEXT, text, style=style)


def _represent_plain(dumper: _Dumper, value: bool | int) -> yaml.ScalarNode:
    return dumper.represent_scalar(_TEXT, str(value).lower())


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(int, _represent_plain)
_Dumper.add_representer(bool, _represent_plain)


def tree_text(node: Node | None) -> str:
    """Return the YAML of a tree; of none it is an empty mapping."""
    document = {} if node is None else node_fields(node)
    return str(
        yaml.dump(
            document, Dumper=_Dumper, sort_keys=False, default_flow_style=False, allow_unicode=True
        )
    )
