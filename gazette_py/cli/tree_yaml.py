"""The YAML of journal trees: strict reading, and writing in the reference's order of keys.

What is read knows its file and line, so that every complaint can say where.

Source: gazette/core broker/journalspace/node.go and its YAML conversions.
"""

from collections.abc import Callable
from difflib import get_close_matches
from enum import IntEnum
from typing import TypeVar

import yaml

from gazette_py.cli.quantities import parse_duration_ns
from gazette_py.cli.tree import Node
from gazette_py.cli.tree_fields import node_fields
from gazette_py.errors import ValidationError
from gazette_py.protocol.enums import CompressionCodec, JournalFlag, SuspendLevel
from gazette_py.protocol.journal import FragmentSpec, JournalSpec, Suspend
from gazette_py.protocol.labels import Label, LabelSet

_T = TypeVar("_T")
_Enum = TypeVar("_Enum", bound=IntEnum)

_Loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

BACKUP_KIND = "Backup"
"""Kind of a document which has a tree as its `journals`, among other things."""

_NODE_KEYS = (
    "comment", "delete", "name", "replication", "labels", "fragment", "flags", "max_append_rate",
    "suspend", "revision", "children",
)  # fmt: skip
_FRAGMENT_KEYS = (
    "length", "compression_codec", "stores", "refresh_interval", "retention", "flush_interval",
    "path_postfix_template",
)  # fmt: skip
_NULL = "tag:yaml.org,2002:null"


def read_trees(text: str, source: str) -> list[Node]:
    """Return the tree of each YAML document in `text`, also of a backup. They are not validated.

    Args:
        text: Any number of documents; empty ones are skipped.
        source: Name of the file, for messages.

    Raises:
        ValidationError: It is no YAML, or has unknown, repeated or mistyped fields.
    """
    try:
        documents = list(yaml.compose_all(text, _Loader))
    except yaml.MarkedYAMLError as exc:
        line = exc.problem_mark.line + 1 if exc.problem_mark else 1
        raise ValidationError(f"{source}:{line}", f"not YAML: {exc.problem}") from exc
    except yaml.YAMLError as exc:
        raise ValidationError(source, f"not YAML: {exc}") from exc
    reader = _TreeReader(source)
    trees = [_without_backup(document) for document in documents]
    return [reader.node(tree) for tree in trees if tree is not None and not _is_null(tree)]


def _without_backup(document: yaml.Node | None) -> yaml.Node | None:
    """Return the tree of a backup, and other documents as they are."""
    if not isinstance(document, yaml.MappingNode):
        return document
    fields = {str(key.value): value for key, value in document.value}
    if "kind" not in fields or fields["kind"].value != BACKUP_KIND:
        return document
    tree = fields.get("journals")
    return None if isinstance(tree, yaml.MappingNode) and not tree.value else tree


def _is_null(value: yaml.Node | None) -> bool:
    return value is None or value.tag == _NULL


class _TreeReader:
    """Turns composed YAML into nodes, and complains with the line."""

    def __init__(self, source: str) -> None:
        self._source = source

    def node(self, value: yaml.Node) -> Node:
        fields = self._mapping(value, "a journal or directory", _NODE_KEYS)
        zeros: set[str] = set()
        fragment = self._mapping_in(fields, "fragment", _FRAGMENT_KEYS)
        stores = fragment.get("stores")
        return Node(
            spec=JournalSpec(
                name=self._get(fields, "name", self._text, ""),
                replication=self._get(fields, "replication", self._int, 0, zeros),
                labels=self._labels(fields.get("labels")),
                fragment=self._fragment(fragment, zeros),
                flags=self._get(fields, "flags", self._flags, 0, zeros),
                max_append_rate=self._get(fields, "max_append_rate", self._int, 0, zeros),
                suspend=self._suspend(fields),
            ),
            comment=self._get(fields, "comment", self._text, ""),
            delete=self._get(fields, "delete", self._bool, None),
            revision=self._get(fields, "revision", self._int, 0),
            children=tuple(map(self.node, self._items(fields.get("children"), "children"))),
            is_without_stores=isinstance(stores, yaml.SequenceNode) and not stores.value,
            zeros=frozenset(zeros),
            source=self._at(value),
        )

    def _fragment(self, fields: dict[str, yaml.Node], zeros: set[str]) -> FragmentSpec:
        written: set[str] = set()
        spec = FragmentSpec(
            length=self._get(fields, "length", self._int, 0, written),
            compression_codec=self._get(
                fields, "compression_codec", self._codec, CompressionCodec.INVALID, written
            ),
            stores=tuple(map(self._text, self._items(fields.get("stores"), "stores"))),
            refresh_interval_ns=self._get(fields, "refresh_interval", self._duration, 0, written),
            retention_ns=self._get(fields, "retention", self._duration, 0, written),
            flush_interval_ns=self._get(fields, "flush_interval", self._duration, 0, written),
            path_postfix_template=self._get(
                fields, "path_postfix_template", self._text, "", written
            ),
        )
        zeros.update(f"fragment.{name}" for name in written)
        return spec

    def _suspend(self, fields: dict[str, yaml.Node]) -> Suspend:
        suspend = self._mapping_in(fields, "suspend", ("level", "offset"))
        return Suspend(
            self._get(suspend, "level", self._level, SuspendLevel.NONE),
            self._get(suspend, "offset", self._int, 0),
        )

    def _labels(self, value: yaml.Node | None) -> LabelSet:
        """Return the labels, sorted: order has no meaning to who writes them."""
        labels: set[Label] = set()
        for item in self._items(value, "labels"):
            fields = self._mapping(item, "a label", ("name", "value"))
            if "name" not in fields:
                raise self._error(item, "a label needs a name")
            label = Label(
                self._get(fields, "name", self._text, ""),
                self._get(fields, "value", self._text, ""),
            )
            if label in labels:
                raise self._error(item, f"label {label.name}={label.value} is repeated")
            labels.add(label)
        return LabelSet(tuple(sorted(labels)))

    def _get(
        self,
        fields: dict[str, yaml.Node],
        key: str,
        read: Callable[[yaml.Node], _T],
        default: _T,
        zeros: set[str] | None = None,
    ) -> _T:
        """Return a field, and add its key to `zeros` if it is written though zero."""
        value = fields.get(key)
        if value is None or _is_null(value):
            return default
        result = read(value)
        if zeros is not None and not result:
            zeros.add(key)
        return result

    def _mapping_in(
        self, fields: dict[str, yaml.Node], key: str, keys: tuple[str, ...]
    ) -> dict[str, yaml.Node]:
        value = fields.get(key)
        return {} if value is None or _is_null(value) else self._mapping(value, key, keys)

    def _mapping(self, value: yaml.Node, what: str, keys: tuple[str, ...]) -> dict[str, yaml.Node]:
        if not isinstance(value, yaml.MappingNode):
            raise self._error(value, f"expected {what}, with fields such as {keys[0]}")
        fields: dict[str, yaml.Node] = {}
        for key, item in value.value:
            name = str(key.value)
            if name not in keys:
                near = get_close_matches(name, keys, 1)
                rest = f"did you mean {near[0]}?" if near else f"it has {', '.join(keys)}"
                raise self._error(key, f"unknown field {name}: {rest}")
            if name in fields:
                raise self._error(key, f"field {name} is repeated")
            fields[name] = item
        return fields

    def _items(self, value: yaml.Node | None, what: str) -> list[yaml.Node]:
        if value is None or _is_null(value):
            return []
        if not isinstance(value, yaml.SequenceNode):
            raise self._error(value, f"{what} is a list")
        return list(value.value)

    def _text(self, value: yaml.Node) -> str:
        if not isinstance(value, yaml.ScalarNode):
            raise self._error(value, "expected text")
        return "" if _is_null(value) else str(value.value)

    def _int(self, value: yaml.Node) -> int:
        try:
            return int(self._text(value).replace("_", ""), 0)
        except ValueError:
            raise self._error(value, f"expected an integer, not {value.value}") from None

    def _bool(self, value: yaml.Node) -> bool | None:
        match self._text(value).lower():
            case "true" | "yes" | "on":
                return True
            case "false" | "no" | "off":
                return False
            case text:
                raise self._error(value, f"expected true or false, not {text}")

    def _duration(self, value: yaml.Node) -> int:
        text = self._text(value)
        try:
            return int(text) if text.lstrip("-").isdigit() else parse_duration_ns(text)
        except ValueError as exc:
            raise self._error(value, str(exc)) from None

    def _codec(self, value: yaml.Node) -> CompressionCodec:
        return self._enum(value, CompressionCodec)

    def _level(self, value: yaml.Node) -> SuspendLevel:
        return self._enum(value, SuspendLevel)

    def _flags(self, value: yaml.Node) -> int:
        text = self._text(value)
        return int(text) if text.isdigit() else self._enum(value, JournalFlag)

    def _enum(self, value: yaml.Node, kind: type[_Enum]) -> _Enum:
        text = self._text(value)
        try:
            return kind(int(text)) if text.isdigit() else kind[text]
        except (KeyError, ValueError):
            names = ", ".join(member.name for member in kind)
            raise self._error(value, f"{text} is none of {names}") from None

    def _at(self, value: yaml.Node) -> str:
        return f"{self._source}:{value.start_mark.line + 1}"

    def _error(self, value: yaml.Node, reason: str) -> ValidationError:
        return ValidationError(self._at(value), reason)


def write_tree(node: Node | None) -> str:
    """Return the YAML of a tree; of none it is an empty mapping."""
    document = {} if node is None else node_fields(node)
    return str(
        yaml.safe_dump(
            document, sort_keys=False, default_flow_style=False, width=1 << 30, allow_unicode=True
        )
    )
