"""Journals and nodes of their tree as plain mappings, in the reference's names and order. Pure."""

from gazette_py.cli.quantities import format_duration
from gazette_py.cli.tree import Node
from gazette_py.protocol.enums import JournalFlag
from gazette_py.protocol.journal import FragmentSpec, JournalSpec, Suspend


def node_fields(node: Node) -> dict[str, object]:
    """Return the fields of a node as YAML has them; zero ones are left out."""
    spec = node.spec
    fields: dict[str, object] = {
        "comment": node.comment,
        "delete": node.delete,
        **spec_fields(spec),
        "revision": node.revision,
        "children": [node_fields(child) for child in node.children],
    }
    written = {key: value for key, value in fields.items() if value or value is False}
    if node.is_without_stores:
        written["fragment"] = {**fragment_fields(spec.fragment), "stores": []}
    return written


def spec_fields(spec: JournalSpec) -> dict[str, object]:
    """Return the fields of a spec as YAML has them; zero ones are left out."""
    fields: dict[str, object] = {
        "name": spec.name,
        "replication": spec.replication,
        "labels": [{"name": label.name, "value": label.value} for label in spec.labels],
        "fragment": fragment_fields(spec.fragment),
        "flags": _flags_name(spec.flags),
        "max_append_rate": spec.max_append_rate,
        "suspend": _suspend_fields(spec.suspend),
    }
    return {key: value for key, value in fields.items() if value}


def fragment_fields(spec: FragmentSpec) -> dict[str, object]:
    """Return the fields of a fragment spec as YAML has them; zero ones are left out."""
    fields: dict[str, object] = {
        "length": spec.length,
        "compression_codec": spec.compression_codec.name if spec.compression_codec else "",
        "stores": list(spec.stores),
        "refresh_interval": _duration_text(spec.refresh_interval_ns),
        "retention": _duration_text(spec.retention_ns),
        "flush_interval": _duration_text(spec.flush_interval_ns),
        "path_postfix_template": spec.path_postfix_template,
    }
    return {key: value for key, value in fields.items() if value}


def _duration_text(duration_ns: int) -> str:
    return format_duration(duration_ns) if duration_ns else ""


def _flags_name(flags: int) -> str | int:
    if not flags:
        return ""
    return JournalFlag(flags).name if flags in list(JournalFlag) else flags


def _suspend_fields(suspend: Suspend) -> dict[str, object]:
    fields = {
        "level": suspend.level.name if suspend.level else "",
        "offset": suspend.offset,
    }
    return {key: value for key, value in fields.items() if value}
