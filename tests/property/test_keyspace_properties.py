"""The mirror of a key space: batches of events leave it as a fresh load would."""

from hypothesis import given
from hypothesis import strategies as st
from keyspaces import ROOT, Maker, header, process

from gazette_py.core.keyspace import KeySpace
from gazette_py.core.resolver import ResolveOptions, resolve
from gazette_py.etcd.base import Event
from gazette_py.protocol.enums import Status

JOURNALS = st.sampled_from(["aa/one", "aa/two", "bb/three"])
MEMBERS = st.sampled_from(["a/broker-1", "b/broker-2", "c/broker-3"])
FOREIGN = st.sampled_from(
    [f"{ROOT}/other/key", f"{ROOT}/items/no", f"{ROOT}/assign/aa/one#a", f"{ROOT}/members/a"]
)
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("item"), JOURNALS, st.integers(1, 3)),
        st.tuples(st.just("member"), MEMBERS, st.integers(1, 3)),
        st.tuples(st.just("assign"), JOURNALS, MEMBERS, st.integers(0, 2)),
        st.tuples(st.just("foreign"), FOREIGN),
        st.tuples(st.just("broken"), JOURNALS),
        st.tuples(st.just("delete"), st.integers(0, 20)),
    ),
    max_size=20,
)


def make(maker: Maker, change: tuple) -> Event | None:  # type: ignore[type-arg]  # Any of the above.
    match change:
        case ("item", name, replication):
            return Event(maker.item(name, replication), is_delete=False)
        case ("member", member, limit):
            return Event(maker.member(member, limit), is_delete=False)
        case ("assign", journal, member, slot):
            return Event(maker.assign(journal, member, slot), is_delete=False)
        case ("foreign", key):
            return Event(maker.put(key, b"\xff"), is_delete=False)
        case ("delete", index) if maker.kvs:
            key = sorted(maker.kvs)[index % len(maker.kvs)]
            return Event(maker.delete(key), is_delete=True)
        case _:
            return None


def content(keyspace: KeySpace) -> object:
    return (
        keyspace.items,
        keyspace.members,
        {j: keyspace.assignments_of(j) for j in sorted(keyspace.assigned_journals())},
        [item.name for item in keyspace.items_sorted()],
    )


@given(CHANGES, st.integers(1, 5))
def test_batches_of_events_leave_what_a_fresh_load_has(changes: list[tuple], size: int) -> None:  # type: ignore[type-arg]
    maker = Maker()
    mirror = maker.keyspace()
    batch = []
    for number, change in enumerate(changes, start=1):
        if (event := make(maker, change)) is not None:
            batch.append((header(maker.revision), [event]))
        if batch and (number % size == 0 or number == len(changes)):
            mirror.apply(batch)
            batch = []
            assert content(mirror) == content(maker.keyspace())
            assert mirror.header.revision == maker.revision


@given(CHANGES, JOURNALS, MEMBERS, st.booleans(), st.booleans())
def test_whatever_there_is_resolves(
    changes: list[tuple],  # type: ignore[type-arg]
    journal: str,
    us: str,
    may_proxy: bool,
    requires_primary: bool,
) -> None:
    maker = Maker()
    for change in changes:
        make(maker, change)
    keyspace = maker.keyspace()
    options = ResolveOptions(may_proxy=may_proxy, requires_primary=requires_primary)
    found = resolve(keyspace, process(us), journal, options)
    is_there = f"{ROOT}/items/{journal}".encode() in maker.kvs
    assert (found.status is Status.JOURNAL_NOT_FOUND) is not is_there
    if found.status is Status.OK:
        route = found.header.route
        assert route.members
        if requires_primary:
            assert found.header.process_id == route.primary_id
        if not may_proxy:
            assert found.header.process_id == process(us)
