"""Building a tree and pushing its fields down again changes nothing, and builds as specified."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gazette_py.cli.tree import Entry, Node, specs_of, tree_of, validate_tree
from gazette_py.cli.tree_yaml import read_trees, write_tree
from gazette_py.protocol.enums import CompressionCodec, SuspendLevel
from gazette_py.protocol.journal import FragmentSpec, JournalSpec, Suspend
from gazette_py.protocol.labels import LabelSet

# Few values of each field, so that journals share them.
_SEGMENTS = st.sampled_from(["a", "b", "ab", "b-c", "x.y"])
NAMES = st.lists(_SEGMENTS, min_size=2, max_size=5).map("/".join)
LABELS = st.lists(
    st.tuples(st.sampled_from(["one", "two"]), st.sampled_from(["", "x", "y"])), unique=True
).map(lambda pairs: LabelSet.of(*pairs))
FRAGMENTS = st.builds(
    FragmentSpec,
    length=st.sampled_from([0, 1024]),
    compression_codec=st.sampled_from(list(CompressionCodec)),
    stores=st.sampled_from([(), ("file:///",), ("s3://b/", "file:///")]),
    refresh_interval_ns=st.sampled_from([0, 60_000_000_000]),
    retention_ns=st.sampled_from([0, 1]),
    path_postfix_template=st.sampled_from(["", "date={{ .X }}"]),
)
SPECS = st.builds(
    JournalSpec,
    name=NAMES,
    replication=st.integers(0, 2),
    labels=LABELS,
    fragment=FRAGMENTS,
    flags=st.sampled_from([0, 1, 4]),
    max_append_rate=st.sampled_from([0, 100]),
    suspend=st.sampled_from([Suspend(), Suspend(SuspendLevel.FULL, 9), Suspend(offset=3)]),
)
ENTRIES = st.lists(
    st.builds(
        Entry,
        spec=SPECS,
        revision=st.integers(-1, 3),
        delete=st.booleans(),
        comment=st.sampled_from(["", "why: # this"]),
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda entry: entry.spec.name,
).map(lambda entries: sorted(entries, key=lambda entry: entry.spec.name))


@given(ENTRIES)
def test_pushing_down_undoes_hoisting(entries: list[Entry]) -> None:
    tree = tree_of(entries)

    assert tree is not None
    validate_tree(tree)
    assert list(specs_of(tree)) == entries


@given(ENTRIES)
def test_what_is_written_reads_the_same(entries: list[Entry]) -> None:
    tree = tree_of(entries)

    assert read_trees(write_tree(tree), "f") == [tree]


@given(st.lists(NAMES, min_size=1, max_size=20, unique=True).map(sorted))
def test_nesting_is_that_of_the_quadratic_definition(names: list[str]) -> None:
    tree = tree_of([Entry(spec=JournalSpec(name=name)) for name in names])

    assert tree is not None
    assert _shape(tree) == _shape(_defined([Node(spec=JournalSpec(name=n)) for n in names]))


def _shape(node: Node) -> object:
    return (node.spec.name, [_shape(child) for child in node.children])


def _defined(nodes: list[Node]) -> Node:
    """Put the first run of the longest shared prefix into a directory, until one node is left."""
    while len(nodes) > 1:
        best, low, high = -1, 0, 0
        for i in range(1, len(nodes)):
            length = _shared(nodes[i].spec.name, nodes[i - 1].spec.name)
            if length > best:
                best, low, high = length, i - 1, i + 1
            elif length == best and i == high:
                high = i + 1
        run = nodes[low:high]
        directory = Node(spec=JournalSpec(name=run[0].spec.name[:best]), children=tuple(run))
        nodes = [*nodes[:low], directory, *nodes[high:]]
    return replace(nodes[0])


def _shared(left: str, right: str) -> int:
    length = max(i for i in range(len(left) + 1) if right.startswith(left[:i]))
    return left.rfind("/", 0, length) + 1
