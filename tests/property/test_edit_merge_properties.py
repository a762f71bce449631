"""The merge of edited journals: neither side's change is lost, and equal ones are one."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gazette_py.cli.changes import Current
from gazette_py.cli.edit_merge import merge_journal
from gazette_py.cli.tree import Entry
from gazette_py.protocol.enums import CompressionCodec, SuspendLevel
from gazette_py.protocol.journal import FragmentSpec, JournalSpec, Suspend
from gazette_py.protocol.labels import LabelSet

SMALL = st.integers(0, 2)
SPECS = st.builds(
    JournalSpec,
    name=st.just("acme/a"),
    replication=SMALL,
    flags=SMALL,
    max_append_rate=SMALL,
    suspend=st.builds(Suspend, st.sampled_from(SuspendLevel), SMALL),
    labels=st.builds(
        lambda pairs: LabelSet.of(*pairs),
        st.sets(st.tuples(st.sampled_from(["env", "tag"]), st.sampled_from(["x", "y"]))),
    ),
    fragment=st.builds(
        FragmentSpec,
        length=SMALL,
        compression_codec=st.sampled_from(CompressionCodec),
        stores=st.lists(st.sampled_from(["s3://a/", "s3://b/"]), max_size=2).map(tuple),
        refresh_interval_ns=SMALL,
        retention_ns=SMALL,
        flush_interval_ns=SMALL,
        path_postfix_template=st.sampled_from(["", "p"]),
    ),
)


def merged(base: JournalSpec, mine: JournalSpec, theirs: JournalSpec) -> JournalSpec:
    entry, _ = merge_journal(
        Current(spec=base, revision=1),
        Entry(spec=mine, revision=1),
        Current(spec=theirs, revision=2),
    )
    assert entry is not None
    assert entry.revision == 2
    return entry.spec


@given(SPECS, SPECS)
def test_what_one_side_left_is_the_others(base: JournalSpec, changed: JournalSpec) -> None:
    assert merged(base, changed, base) == changed
    assert merged(base, base, changed) == changed


@given(SPECS, SPECS)
def test_the_same_change_is_made_once(base: JournalSpec, changed: JournalSpec) -> None:
    assert merged(base, changed, changed) == changed


@given(SPECS, SPECS, SPECS)
def test_what_both_changed_is_mine_and_the_rest_of_who_changed_it(
    base: JournalSpec, mine: JournalSpec, theirs: JournalSpec
) -> None:
    result = merged(base, mine, theirs)
    for name in ("replication", "flags", "max_append_rate", "suspend"):
        b, m, t = (getattr(spec, name) for spec in (base, mine, theirs))
        assert getattr(result, name) == (t if m == b else m)
    for label in ("env", "tag"):
        b, m, t = (spec.labels.values_of(label) for spec in (base, mine, theirs))
        assert result.labels.values_of(label) == (t if m == b else m)
    b, m, t = (spec.fragment.stores for spec in (base, mine, theirs))
    assert result.fragment.stores == (t if m == b else m)


@given(SPECS, SPECS, SPECS)
def test_a_note_names_what_changed_underneath(
    base: JournalSpec, mine: JournalSpec, theirs: JournalSpec
) -> None:
    entry, note = merge_journal(
        Current(spec=base, revision=1),
        Entry(spec=mine, revision=1),
        Current(spec=theirs, revision=2),
    )
    assert entry is not None
    assert bool(note) == (mine != theirs)
    is_clash = mine.replication not in (base.replication, theirs.replication)
    is_clash &= base.replication != theirs.replication
    if note:
        is_told = f"replication is now {theirs.replication}" in note
        assert is_told == (base.replication != theirs.replication)
        assert ("yours stays" in note) or not is_clash


@given(SPECS, SPECS)
def test_a_deletion_stays_one(base: JournalSpec, theirs: JournalSpec) -> None:
    mine = Entry(spec=base, revision=1, delete=True)
    entry, _ = merge_journal(Current(spec=base, revision=1), mine, Current(spec=theirs, revision=2))
    assert entry == replace(mine, spec=theirs, revision=2)
