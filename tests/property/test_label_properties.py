"""The algebra of label sets and specs, and what selectors match, by brute force."""

from hypothesis import given
from hypothesis import strategies as st

from gazette_py.protocol.enums import CompressionCodec
from gazette_py.protocol.journal import FragmentSpec, JournalSpec
from gazette_py.protocol.labels import (
    Label,
    LabelSelector,
    LabelSet,
    intersect,
    subtract,
    union,
    validate_label_set,
)
from gazette_py.protocol.spec_sets import intersect_specs, subtract_specs, union_specs

NAMES = ("aa", "bb", "cc")
VALUES = st.lists(st.sampled_from(["x", "xy", "y", "z"]), min_size=1, max_size=3, unique=True)
BY_NAME = st.dictionaries(st.sampled_from(NAMES), st.one_of(VALUES, st.just([""])))


def set_of(by_name: dict[str, list[str]]) -> LabelSet:
    return LabelSet.of(*((name, value) for name in by_name for value in by_name[name]))


SETS = BY_NAME.map(set_of)
WANTED = st.dictionaries(
    st.sampled_from(NAMES), st.lists(st.sampled_from(["", "x", "xy", "z"]), min_size=1, unique=True)
)


def by_name(labels: LabelSet) -> dict[str, tuple[str, ...]]:
    return {label.name: labels.values_of(label.name) for label in labels}


@given(SETS, SETS)
def test_sets_combine_name_by_name(left: LabelSet, right: LabelSet) -> None:
    a, b = by_name(left), by_name(right)
    assert by_name(union(left, right)) == b | a
    assert by_name(intersect(left, right)) == {n: v for n, v in a.items() if b.get(n) == v}
    assert by_name(subtract(left, right)) == {n: v for n, v in a.items() if b.get(n) != v}
    for combined in (union(left, right), intersect(left, right), subtract(left, right)):
        validate_label_set(combined, "")  # Sorted, and no empty value beside others.


@given(WANTED, WANTED, st.booleans(), SETS)
def test_a_selector_matches_by_its_definition(
    include: dict[str, list[str]], exclude: dict[str, list[str]], prefix: bool, have: LabelSet
) -> None:
    def side(wanted: dict[str, list[str]]) -> LabelSet:
        labels = (Label(n, v, prefix and v != "") for n in wanted for v in wanted[n])
        return LabelSet(tuple(sorted(labels)))

    def is_matched(name: str, wanted: list[str]) -> bool:
        values = have.values_of(name)
        if not values:
            return False
        if "" in wanted:
            return True
        return any(v.startswith(w) if prefix else v == w for v in values for w in wanted)

    assert LabelSelector(side(include), side(exclude)).matches(have) == (
        all(is_matched(n, wanted) for n, wanted in include.items())
        and not any(is_matched(n, wanted) for n, wanted in exclude.items())
    )


SPECS = st.builds(
    JournalSpec,
    replication=st.sampled_from([0, 1, 3]),
    labels=SETS,
    flags=st.sampled_from([0, 1, 4]),
    max_append_rate=st.sampled_from([0, 1000]),
    fragment=st.builds(
        FragmentSpec,
        length=st.sampled_from([0, 1024, 4096]),
        compression_codec=st.sampled_from(
            [CompressionCodec.INVALID, CompressionCodec.GZIP, CompressionCodec.NONE]
        ),
        stores=st.sampled_from([(), ("s3://a/",), ("s3://a/", "s3://b/")]),
    ),
)


@given(st.lists(SPECS, min_size=1, max_size=4))
def test_what_is_hoisted_comes_back_when_it_is_pushed_down(specs: list[JournalSpec]) -> None:
    common = specs[0]
    for spec in specs[1:]:
        common = intersect_specs(common, spec)
    for spec in specs:
        rest = subtract_specs(spec, common)
        assert union_specs(rest, common) == spec
        # Nothing of what is common is left below: what is left is a part of the spec.
        assert intersect_specs(rest, common) == JournalSpec()
        assert union_specs(spec, rest) == spec
