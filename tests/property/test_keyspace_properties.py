"""The mirror of a key space: batches of events leave it as a fresh load would."""

from hypothesis import given, settings
from hypothesis import strategies as st
from keyspaces import ROOT, Maker, header, process

from gazette_py.core.keyspace import KeySpace
from gazette_py.core.resolver import MISSING_MEMBER, ResolveOptions, resolve
from gazette_py.etcd.base import Event
from gazette_py.protocol.enums import Status
from gazette_py.protocol.keys import parse_key
from gazette_py.protocol.labels import Label, LabelSelector, LabelSet
from gazette_py.protocol.route import ProcessID

JOURNALS = st.sampled_from(["aa/one", "aa/two", "bb/three"])
NAMES_OF_MEMBERS = ("a/broker-1", "b/broker-2", "c/broker-3")
MEMBERS = st.sampled_from(NAMES_OF_MEMBERS)
FOREIGN = st.sampled_from(
    [f"{ROOT}/other/key", f"{ROOT}/items/no", f"{ROOT}/assign/aa/one#a", f"{ROOT}/members/a"]
)
SELECTORS = st.sampled_from(
    [
        LabelSelector(),
        LabelSelector(include=LabelSet((Label("name", "aa/", prefix=True),))),
        LabelSelector(exclude=LabelSet((Label("name", "aa/one"),))),
    ]
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
        case ("broken", journal):
            # What a mirror which saw the value before keeps, and one which loads anew never had.
            return Event(maker.broken_item(journal), is_delete=False)
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
        [
            sorted(a.key for a in keyspace.assignments_by_member(process(member)))
            for member in NAMES_OF_MEMBERS
        ],
    )


@given(CHANGES, st.integers(1, 5))
def test_batches_of_events_leave_what_a_load_of_the_last_good_values_has(
    changes: list[tuple], size: int
) -> None:  # type: ignore[type-arg]
    maker = Maker()
    mirror = maker.keyspace()
    batch = []
    for number, change in enumerate(changes, start=1):
        if (event := make(maker, change)) is not None:
            batch.append((header(maker.revision), [event]))
        if batch and (number % size == 0 or number == len(changes)):
            mirror.apply(batch)
            batch = []
            assert content(mirror) == content(maker.keyspace(last_good=True))
            assert mirror.header.revision == maker.revision
            listed = {kv.key: kv.mod_revision for kv in maker.kvs.values()}
            assert mirror.holding().differing(listed, maker.revision) == set()


def expected_status(
    keyspace: KeySpace, journal: str, us: str, options: ResolveOptions
) -> tuple[Status, ProcessID]:
    """Say by the protocol's table (3.2), read from top to bottom, who answers what."""
    here = process(us) if process(us) in keyspace.members else MISSING_MEMBER
    item = keyspace.items.get(journal)
    if item is None or not options.selector.matches(item.spec.selectable_labels()):
        return Status.JOURNAL_NOT_FOUND, here
    slots: dict[int, ProcessID] = {}
    for assignment in keyspace.assignments_of(journal):
        slots.setdefault(assignment.slot, assignment.member)  # Of two primaries, the first by key.
    if options.requires_primary:
        if 0 not in slots:
            return Status.NO_JOURNAL_PRIMARY_BROKER, here
        if slots[0] != here and not options.may_proxy:
            return Status.NOT_JOURNAL_PRIMARY_BROKER, here
        return Status.OK, slots[0]
    if not slots:
        return Status.INSUFFICIENT_JOURNAL_BROKERS, here
    if here in [assignment.member for assignment in keyspace.assignments_of(journal)]:
        return Status.OK, here
    return (Status.OK, ProcessID()) if options.may_proxy else (Status.NOT_JOURNAL_BROKER, here)


@settings(max_examples=300)
@given(CHANGES, JOURNALS, MEMBERS, st.booleans(), st.booleans(), SELECTORS)
def test_every_request_is_resolved_as_the_table_of_the_protocol_says(
    changes: list[tuple],  # type: ignore[type-arg]
    journal: str,
    us: str,
    may_proxy: bool,
    requires_primary: bool,
    selector: LabelSelector,
) -> None:
    maker = Maker()
    for change in [("item", journal, 1), ("assign", journal, us, 0), *changes]:
        make(maker, change)
    keyspace = maker.keyspace()
    options = ResolveOptions(
        may_proxy=may_proxy, requires_primary=requires_primary, selector=selector
    )
    found = resolve(keyspace, process(us), journal + ";meta", options)
    assert (found.status, found.header.process_id) == expected_status(
        keyspace, journal, us, options
    )
    if found.status is Status.JOURNAL_NOT_FOUND and keyspace.item(journal):  # R3: it is hidden.
        absent = resolve(Maker().keyspace(), process(us), journal, options)
        assert (found.item, found.assignments, found.header.route) == (
            absent.item,
            absent.assignments,
            absent.header.route,
        )


@given(CHANGES, CHANGES)
def test_an_audit_tells_just_what_differs(
    changes: list[tuple],  # type: ignore[type-arg]
    more: list[tuple],  # type: ignore[type-arg]
) -> None:
    maker = Maker()
    for change in changes:
        make(maker, change)
    mirror, before = maker.keyspace(), dict(maker.kvs)
    for change in more:
        make(maker, change)
    foreign = {key for key in maker.kvs.keys() | before.keys() if not is_ours(key)}
    differing = {
        (key, kv.mod_revision) for key, kv in maker.kvs.items() if before.get(key) != kv
    } | {(key, 0) for key in before.keys() - maker.kvs.keys()}
    listed = {kv.key: kv.mod_revision for kv in maker.kvs.values()}
    assert mirror.holding().differing(listed, maker.revision) == {
        d for d in differing if d[0] not in foreign
    }


def is_ours(key: bytes) -> bool:
    try:
        return parse_key(ROOT, key) is not None
    except ValueError:
        return False
