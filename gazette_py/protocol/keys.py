"""Keys of the cluster in etcd: items, members and assignments below one root.

The separator `#` sorts below every character which an ID may hold, so the order of keys is the
order of their parts, and nothing needs escaping.

    <root>/items/<journal>
    <root>/members/<zone>#<suffix>
    <root>/assign/<journal>#<zone>#<suffix>#<slot>
"""

from dataclasses import dataclass

from gazette_py.errors import ValidationError
from gazette_py.protocol.route import ProcessID

SEPARATOR = "#"


@dataclass(frozen=True, slots=True)
class ItemKey:
    """The key of a journal."""

    journal: str


@dataclass(frozen=True, slots=True)
class MemberKey:
    """The key of a broker."""

    member: ProcessID


@dataclass(frozen=True, slots=True)
class AssignmentKey:
    """The key of an assignment of a journal to a broker."""

    journal: str
    member: ProcessID
    slot: int


ParsedKey = ItemKey | MemberKey | AssignmentKey


def validate_root(root: str) -> None:
    """Refuse a root which is not lexically clean.

    Raises:
        ValidationError: The root has a trailing or doubled slash, or no leading one.
    """
    parts = root.split("/")
    if parts[0] or len(parts) < 2 or any(part in ("", ".", "..") for part in parts[1:]):
        raise ValidationError("etcd.prefix", f"is not a clean path such as /a/b ({root})")


def items_prefix(root: str) -> str:
    """Return the prefix of all item keys."""
    return f"{root}/items/"


def members_prefix(root: str) -> str:
    """Return the prefix of all member keys."""
    return f"{root}/members/"


def all_assignments_prefix(root: str) -> str:
    """Return the prefix of all assignment keys."""
    return f"{root}/assign/"


def item_key(root: str, journal: str) -> str:
    """Return the key of a journal's spec."""
    return f"{items_prefix(root)}{journal}"


def member_key(root: str, member: ProcessID) -> str:
    """Return the key of a broker's spec."""
    return f"{members_prefix(root)}{member.zone}{SEPARATOR}{member.suffix}"


def assignments_prefix(root: str, journal: str) -> str:
    """Return the prefix of a journal's assignment keys."""
    return f"{all_assignments_prefix(root)}{journal}{SEPARATOR}"


def assignment_key(root: str, journal: str, member: ProcessID, slot: int) -> str:
    """Return the key of an assignment."""
    prefix = assignments_prefix(root, journal)
    return f"{prefix}{member.zone}{SEPARATOR}{member.suffix}{SEPARATOR}{slot}"


def parse_key(root: str, key: bytes) -> ParsedKey | None:
    """Return what a key stands for, or None if it is not one of ours."""
    try:
        text = key.decode()
    except UnicodeDecodeError:
        return None
    if not text.startswith(f"{root}/"):
        return None
    kind, _, rest = text[len(root) + 1 :].partition("/")
    parts = rest.split(SEPARATOR)
    match kind, parts:
        case "items", [journal]:
            return ItemKey(journal)
        case "members", [zone, suffix]:
            return MemberKey(ProcessID(zone, suffix))
        case "assign", [journal, zone, suffix, slot] if slot.isascii() and slot.isdigit():
            return AssignmentKey(journal, ProcessID(zone, suffix), int(slot))
        case _:
            return None
