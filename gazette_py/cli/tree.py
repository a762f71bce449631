"""Journals as a tree of shared name prefixes and shared fields. Pure.

A node is a directory, whose name ends in a slash or is empty, or a journal. A directory's fields
are defaults of all journals below it, so that a tree is shorter than the specs it stands for, and
says the same.

Invariants:
    T1  `specs_of(tree_of(entries))` are the same entries.
    T2  A directory which `tree_of` makes has at least two children.

Source: gazette/core broker/journalspace/node.go. Unlike there, building takes linear time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from gazette_py.errors import ValidationError
from gazette_py.protocol.journal import JournalSpec, Suspend
from gazette_py.protocol.spec_sets import intersect_specs, subtract_specs, union_specs


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A directory or a journal of the tree, with the fields which it sets itself."""

    spec: JournalSpec  # Its name is the node's. Zero fields are inherited.
    comment: str = ""
    delete: bool | None = None  # None: as the directory above says.
    revision: int = 0  # Of journals: what an update expects. -1: any.
    children: tuple["Node", ...] = ()  # Of directories, ascending by name.
    is_without_stores: bool = False  # An empty list was written, which inherits none.
    zeros: frozenset[str] = field(default=frozenset(), compare=False)  # Fields written as zero.
    source: str = field(default="", compare=False)  # Where it was written, for messages.

    @property
    def is_directory(self) -> bool:
        """Tell whether it holds journals rather than being one."""
        return not self.spec.name or self.spec.name.endswith("/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A journal of the tree with all of its fields."""

    spec: JournalSpec
    revision: int = 0
    delete: bool = False
    comment: str = ""
    source: str = field(default="", compare=False)


def validate_tree(node: Node) -> None:
    """Refuse a tree whose names do not nest, or are out of order.

    Raises:
        ValidationError: The path names the source and the node.
    """
    at = _place(node)
    if not node.is_directory:
        if node.children:
            raise ValidationError(
                at, "a journal has no children; the name of a directory ends in '/'"
            )
        return
    if node.revision:
        raise ValidationError(at, f"a directory has no revision (it says {node.revision})")
    if not node.children:
        raise ValidationError(
            at, "a directory needs children; the name of a journal does not end in '/'"
        )
    previous = ""
    for i, child in enumerate(node.children):
        name = child.spec.name
        if not name.startswith(node.spec.name):
            raise ValidationError(
                _place(child), f"the name must begin with its directory's, {node.spec.name}"
            )
        if i and name <= previous:
            raise ValidationError(
                _place(child), f"children must ascend by name, but it follows {previous}"
            )
        previous = name
        validate_tree(child)


def _place(node: Node) -> str:
    name = node.spec.name or "the root"
    return f"{node.source}: {name}" if node.source else name


def specs_of(node: Node) -> Iterator[Entry]:
    """Yield the journals of a valid tree, ascending by name, with what they inherit."""
    if not node.is_directory:
        yield Entry(
            spec=node.spec,
            revision=node.revision,
            delete=bool(node.delete),
            comment=node.comment,
            source=node.source,
        )
        return
    for child in node.children:
        yield from specs_of(_inherited(child, node))


def _inherited(child: Node, parent: Node) -> Node:
    spec = union_specs(child.spec, replace(parent.spec, suspend=Suspend()))
    if child.is_without_stores:
        spec = replace(spec, fragment=replace(spec.fragment, stores=()))
    delete = parent.delete if child.delete is None else child.delete
    return replace(child, spec=replace(spec, name=child.spec.name), delete=delete)


def ineffective_zeros(node: Node) -> Iterator[str]:
    """Yield a warning for each zero below a directory which sets the field: it has no effect."""
    yield from _ineffective_zeros(node, {})


def _ineffective_zeros(node: Node, set_above: dict[str, str]) -> Iterator[str]:
    for name in sorted(node.zeros & set_above.keys()):
        yield (
            f"{_place(node)}: {name} is zero, which means absent, so {set_above[name]} still sets"
            " it; move the field down to the journals which need it"
        )
    values = {name: _place(node) for name, value in _scalars(node.spec).items() if value}
    for child in node.children:
        yield from _ineffective_zeros(child, set_above | values)


def _scalars(spec: JournalSpec) -> dict[str, object]:
    """Return the fields which zero does not override, by their names in YAML."""
    return {
        "replication": spec.replication,
        "flags": spec.flags,
        "max_append_rate": spec.max_append_rate,
        "fragment.length": spec.fragment.length,
        "fragment.compression_codec": spec.fragment.compression_codec,
        "fragment.refresh_interval": spec.fragment.refresh_interval_ns,
        "fragment.retention": spec.fragment.retention_ns,
        "fragment.flush_interval": spec.fragment.flush_interval_ns,
        "fragment.path_postfix_template": spec.fragment.path_postfix_template,
    }


def tree_of(entries: Sequence[Entry]) -> Node | None:
    """Return the tree of journals, which ascend by name; None if there are none."""
    root = _nested(
        [
            Node(
                spec=entry.spec,
                revision=entry.revision,
                delete=entry.delete or None,
                comment=entry.comment,
            )
            for entry in entries
        ]
    )
    return None if root is None else _hoisted(root)


def _nested(leaves: Sequence[Node]) -> Node | None:
    """Put leaves into the directories at which names branch.

    Open directories are kept on a stack. A leaf closes those which its name is not below of, and
    shares what is then the innermost one with the nodes before it, or opens it.
    """
    if not leaves:
        return None
    opened: list[tuple[int, list[Node]]] = []  # (length of the name, nodes below)
    last = leaves[0]
    for previous, leaf in pairwise(leaves):
        shared = _shared_length(previous.spec.name, leaf.spec.name)
        last = _close(opened, last, shared)
        if not opened or opened[-1][0] < shared:
            opened.append((shared, []))
        opened[-1][1].append(last)
        last = leaf
    return _close(opened, last, -1)


def _close(opened: list[tuple[int, list[Node]]], last: Node, shared: int) -> Node:
    """Close the directories of longer names than `shared`; `last` is the innermost one's end."""
    while opened and opened[-1][0] > shared:
        length, children = opened.pop()
        children.append(last)
        last = Node(spec=JournalSpec(name=children[0].spec.name[:length]), children=tuple(children))
    return last


def _shared_length(left: str, right: str) -> int:
    """Return the length of the longest prefix of both which ends in a slash."""
    shared = 0
    for i, (a, b) in enumerate(zip(left, right, strict=False)):
        if a != b:
            break
        if a == "/":
            shared = i + 1
    return shared


def _hoisted(node: Node) -> Node:
    """Move what all children of a directory have in common up to it, from the bottom."""
    if not node.is_directory:
        return node
    children = [_hoisted(child) for child in node.children]
    common = children[0].spec
    for child in children[1:]:
        common = intersect_specs(common, child.spec)
    common = replace(common, name=node.spec.name, suspend=Suspend())
    delete = children[0].delete
    if any(child.delete != delete for child in children):
        delete = None
    return replace(
        node,
        spec=common,
        delete=delete,
        children=tuple(_reduced(child, common, delete) for child in children),
    )


def _reduced(child: Node, common: JournalSpec, delete: bool | None) -> Node:
    """Return the child without what its directory says already."""
    spec = subtract_specs(child.spec, common)
    spec = replace(spec, name=child.spec.name, suspend=child.spec.suspend)
    return replace(child, spec=spec, delete=None if child.delete == delete else child.delete)
