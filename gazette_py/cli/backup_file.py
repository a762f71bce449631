"""Files of backups: specs as the tree which `apply` reads, and beside them what brokers knew.

    apiVersion: gazette-py/v1
    kind: Backup
    made: 2026-11-26T19:00:00Z
    etcd: {cluster_id: 8f2a..., revision: 1234}
    journals: the tree, with suspensions and revisions
    states: of each journal its head, and its registers

YAML, or JSON, which is YAML. Specs are what a backup is for; states are of the moment, and nothing
sets registers but appends.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from gazette_py.cli.render import API_VERSION
from gazette_py.cli.tree import Entry, tree_of
from gazette_py.cli.tree_fields import node_fields
from gazette_py.cli.tree_yaml import BACKUP_KIND
from gazette_py.errors import ValidationError
from gazette_py.protocol.labels import LabelSet

_Loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper: type[yaml.SafeDumper] = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalState:
    """What brokers told of a journal beside its spec."""

    name: str
    head: int | None = None  # Offset at which its content ended; None: nobody could tell.
    registers: LabelSet | None = None  # Likewise.
    problem: str = ""  # Why not.


def backup_text(
    entries: Sequence[Entry],
    states: Sequence[JournalState],
    *,
    made: str,
    etcd: Mapping[str, object],
    form: str,
) -> str:
    """Return the text of a backup.

    Args:
        entries: Journals, ascending by name.
        states: Of those of which something is known.
        made: When, in RFC 3339.
        etcd: Which cluster, and at which revision.
        form: "yaml" or "json".
    """
    tree = tree_of(entries)
    document: dict[str, Any] = {
        "apiVersion": API_VERSION,
        "kind": BACKUP_KIND,
        "made": made,
        "etcd": dict(etcd),
        "journals": node_fields(tree) if tree is not None else {},
        "states": [_state_fields(state) for state in states],
    }
    if form == "json":
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    return str(
        yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=1 << 30, allow_unicode=True)
    )


def _state_fields(state: JournalState) -> dict[str, object]:
    fields: dict[str, object] = {"name": state.name}
    if state.head is not None:
        fields["head"] = state.head
    if state.registers is not None:
        fields["registers"] = [{"name": r.name, "value": r.value} for r in state.registers]
    if state.problem:
        fields["problem"] = state.problem
    return fields


def read_heads(text: str, source: str) -> dict[str, int]:
    """Return the heads which the backups in a file know; files of trees know none.

    Raises:
        ValidationError: A backup's states are not as they are written.
    """
    heads: dict[str, int] = {}
    for document in yaml.load_all(text, _Loader):
        if not isinstance(document, dict) or document.get("kind") != BACKUP_KIND:
            continue
        try:
            states = [(state["name"], state.get("head")) for state in document["states"]]
        except (KeyError, TypeError, AttributeError) as exc:
            raise ValidationError(source, f"the states of the backup are none: {exc!r}") from exc
        for name, head in states:
            if head is None:
                continue
            if not isinstance(name, str) or type(head) is not int or head < 0:
                raise ValidationError(source, f"journal {name} has no head like {head}")
            heads[name] = head
    return heads
