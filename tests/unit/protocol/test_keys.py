"""Keys of the cluster in etcd."""

import pytest

from gazette_py.errors import ValidationError
from gazette_py.protocol import keys
from gazette_py.protocol.keys import AssignmentKey, ItemKey, MemberKey, ParsedKey, parse_key
from gazette_py.protocol.route import ProcessID

ROOT = "/gazette/cluster"
BROKER = ProcessID("us-east-1a", "broker-0")


def test_golden_keys() -> None:
    assert keys.item_key(ROOT, "foo/bar") == "/gazette/cluster/items/foo/bar"
    assert keys.member_key(ROOT, BROKER) == "/gazette/cluster/members/us-east-1a#broker-0"
    assert (
        keys.assignment_key(ROOT, "foo/bar", BROKER, 0)
        == "/gazette/cluster/assign/foo/bar#us-east-1a#broker-0#0"
    )
    assert keys.items_prefix(ROOT) == "/gazette/cluster/items/"
    assert keys.members_prefix(ROOT) == "/gazette/cluster/members/"
    assert keys.assignments_prefix(ROOT, "foo/bar") == "/gazette/cluster/assign/foo/bar#"
    assert keys.all_assignments_prefix(ROOT) == "/gazette/cluster/assign/"


@pytest.mark.parametrize(
    ("key", "parsed"),
    [
        ("/gazette/cluster/items/foo/bar", ItemKey("foo/bar")),
        ("/gazette/cluster/members/us-east-1a#broker-0", MemberKey(BROKER)),
        ("/gazette/cluster/assign/foo#us-east-1a#broker-0#12", AssignmentKey("foo", BROKER, 12)),
        ("/gazette/cluster/items/foo#bar", None),
        ("/gazette/cluster/members/zone", None),
        ("/gazette/cluster/assign/foo#zone#suffix", None),
        ("/gazette/cluster/assign/foo#zone#suffix#x", None),
        ("/gazette/cluster/assign/foo#zone#suffix#-1", None),
        ("/gazette/cluster/assign/foo#zone#suffix#0#1", None),
        ("/gazette/cluster/other/foo", None),
        ("/gazette/cluster-b/items/foo", None),
        ("/gazette/cluster", None),
    ],
)
def test_parsing(key: str, parsed: ParsedKey | None) -> None:
    assert parse_key(ROOT, key.encode()) == parsed


def test_a_key_which_is_no_text() -> None:
    assert parse_key(ROOT, b"/gazette/cluster/items/\xff") is None


@pytest.mark.parametrize("root", ["/a", "/a/b"])
def test_roots(root: str) -> None:
    keys.validate_root(root)


@pytest.mark.parametrize("root", ["", "/", "a", "/a/", "/a//b", "/a/./b", "/a/../b"])
def test_broken_roots(root: str) -> None:
    with pytest.raises(ValidationError, match="clean path"):
        keys.validate_root(root)
