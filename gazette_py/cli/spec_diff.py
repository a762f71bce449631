"""What a change does to the spec of a journal, for people and for programs. Pure."""

from collections.abc import Iterator
from difflib import unified_diff
from typing import Any

import click

from gazette_py.cli.changes import Action, Planned
from gazette_py.cli.tree_fields import spec_fields


def diff_text(change: Planned) -> str:
    """Return a change as a unified diff of YAML; colours go to terminals only, if it is echoed."""
    before, after = (_yaml_lines(fields) for fields in _specs(change))
    name = change.spec.name
    names = (name if before else "/dev/null", name if after else "/dev/null")
    color = {"-": "red", "+": "green", "@": "cyan"}
    lines = unified_diff(before, after, *names)
    return "".join(click.style(line, fg=color.get(line[0])) for line in lines)


def field_changes(change: Planned) -> Iterator[dict[str, Any]]:
    """Yield each field which changes, with its old and new value."""
    before, after = (_flat(fields) for fields in _specs(change))
    op = {Action.CREATED: "create", Action.DELETED: "delete"}.get(change.action, "update")
    for path in dict.fromkeys((*before, *after)):
        if before.get(path) != after.get(path):
            yield {
                "name": change.spec.name,
                "op": op,
                "path": path,
                "old": before.get(path),
                "new": after.get(path),
            }


def _specs(change: Planned) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the fields before and after; none where there is no journal."""
    before = spec_fields(change.current) if change.current is not None else {}
    after = {} if change.action is Action.DELETED else spec_fields(change.spec)
    return before, after


def _yaml_lines(fields: dict[str, Any]) -> list[str]:
    import yaml

    if not fields:
        return []
    return yaml.safe_dump(fields, sort_keys=False).splitlines(keepends=True)


def _flat(fields: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return fields by their paths, such as fragment.length."""
    found: dict[str, Any] = {}
    for key, value in fields.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found
