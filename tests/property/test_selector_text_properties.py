"""Selectors survive being written and read; set operations of specs join what they took apart."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gazette_py.errors import ValidationError
from gazette_py.protocol.enums import CompressionCodec, SuspendLevel
from gazette_py.protocol.journal import FragmentSpec, JournalSpec, Suspend
from gazette_py.protocol.labels import Label, LabelSelector, LabelSet, validate_selector
from gazette_py.protocol.selector_text import format_selector, parse_selector
from gazette_py.protocol.spec_sets import intersect_specs, subtract_specs, union_specs

# Words of the grammar are names and values too; few others, so that names have several values.
_LETTERS = st.characters(categories=["L", "N"])
_NAMES = st.sampled_from(["in", "not", "notin", "aa", "a-b", "é1"]) | st.text(
    _LETTERS | st.sampled_from("-_+/."), min_size=2, max_size=8
)
_VALUES = st.sampled_from(["", "in", "=", "=x", "%2F", "a/b=c"]) | st.text(
    _LETTERS | st.sampled_from("-_+/.=%"), max_size=8
)


@st.composite
def _sides(draw: st.DrawFn) -> LabelSet:
    found = draw(st.lists(st.builds(Label, _NAMES, _VALUES, st.booleans()), max_size=6))
    by_key = {(label.name, label.value): label for label in found}
    several = {name for name, _ in by_key if sum(name == other for other, _ in by_key) > 1}
    kept = [label for key, label in by_key.items() if label.value or key[0] not in several]
    return LabelSet(tuple(sorted(kept)))


SELECTORS = st.builds(LabelSelector, _sides(), _sides())


@given(SELECTORS)
def test_a_selector_reads_as_it_was_written(selector: LabelSelector) -> None:
    validate_selector(selector)

    assert parse_selector(format_selector(selector)) == selector


@given(
    st.lists(st.sampled_from([*" ,=!()\n", "in", "not", "aa", "b", ":prefix", "é"])).map("".join)
)
def test_whatever_can_be_read_is_valid_and_can_be_written(text: str) -> None:
    try:
        selector = parse_selector(text)
    except ValidationError:
        return
    validate_selector(selector)
    assert parse_selector(format_selector(selector)) == selector


# Few values of each field, so that two specs share some of them.
SPECS = st.builds(
    JournalSpec,
    name=st.sampled_from(["a/b", "a/c"]),
    replication=st.integers(0, 2),
    labels=st.lists(
        st.tuples(st.sampled_from(["one", "two"]), st.sampled_from(["x", "y"])), unique=True
    ).map(lambda pairs: LabelSet.of(*pairs)),
    fragment=st.builds(
        FragmentSpec,
        length=st.sampled_from([0, 1024, 2048]),
        compression_codec=st.sampled_from(list(CompressionCodec)[:3]),
        stores=st.sampled_from([(), ("file:///",), ("s3://b/", "file:///")]),
        refresh_interval_ns=st.integers(0, 2),
        retention_ns=st.integers(0, 2),
        flush_interval_ns=st.integers(0, 2),
        path_postfix_template=st.sampled_from(["", "a", "b"]),
    ),
    flags=st.sampled_from([0, 1, 4]),
    max_append_rate=st.integers(0, 2),
    suspend=st.sampled_from([Suspend(), Suspend(SuspendLevel.FULL, 9), Suspend(offset=3)]),
)


@given(SPECS, SPECS)
def test_what_is_shared_and_what_is_not_make_the_whole(
    left: JournalSpec, right: JournalSpec
) -> None:
    shared, own = intersect_specs(left, right), subtract_specs(left, right)

    assert union_specs(own, shared) == left
    assert union_specs(shared, own) == replace(left, suspend=Suspend())
    assert intersect_specs(own, shared) == JournalSpec(name=left.name)


@given(SPECS, SPECS)
def test_hoisting_what_is_shared_loses_nothing_of_either(
    left: JournalSpec, right: JournalSpec
) -> None:
    shared = intersect_specs(left, right)

    for spec in (left, right):
        assert union_specs(subtract_specs(spec, shared), shared) == spec


@given(SPECS)
def test_a_spec_with_itself(spec: JournalSpec) -> None:
    assert union_specs(spec, spec) == spec
    assert intersect_specs(spec, spec) == replace(spec, suspend=Suspend())
    assert subtract_specs(spec, spec) == JournalSpec(name=spec.name, suspend=spec.suspend)


@given(SPECS, SPECS)
def test_sharing_has_no_direction(left: JournalSpec, right: JournalSpec) -> None:
    there, back = intersect_specs(left, right), intersect_specs(right, left)
    assert replace(there, name="") == replace(back, name="")
