"""Label sets: their rules, their algebra, and what selects them."""

import pytest

from gazette_py.errors import ValidationError
from gazette_py.protocol.labels import (
    Label,
    LabelSelector,
    LabelSet,
    intersect,
    subtract,
    union,
    validate_constraints,
    validate_label_set,
    validate_selector,
)


def of(*pairs: str) -> LabelSet:
    """Return labels in the order given; `name=value`, `name^prefix`."""
    labels = []
    for pair in pairs:
        if "^" in pair:
            name, _, value = pair.partition("^")
            labels.append(Label(name, value, prefix=True))
        else:
            name, _, value = pair.partition("=")
            labels.append(Label(name, value))
    return LabelSet(tuple(labels))


@pytest.mark.parametrize(
    "labels", [of(), of("aa"), of("aa=1", "aa=2", "bb"), of("aa=x=y%z"), of("aa=" + "v" * 1024)]
)
def test_valid_sets(labels: LabelSet) -> None:
    validate_label_set(labels, "Labels")


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (of("a=1"), "Labels.Labels[0].Name: invalid length"),
        (of("aa", "b b"), "Labels.Labels[1].Name: not a valid token"),
        (of("aa=" + "v" * 1025), "Labels.Labels[0].Value: invalid length"),
        (of("aa=a b"), "Labels.Labels[0].Value: not a valid token"),
        (of("aa^x"), "Labels.Labels[0]: Prefix may not be set outside"),
        (of("bb", "aa"), "Labels: Labels not in unique, sorted order (index 1"),
        (of("aa=2", "aa=1"), "Labels: Labels not in unique, sorted order (index 1"),
        (of("aa=1", "aa=1"), "Labels: Labels not in unique, sorted order (index 1"),
        (of("aa", "aa=1"), "Labels: Label has empty & non-empty values (index 1"),
    ],
)
def test_broken_sets(labels: LabelSet, expected: str) -> None:
    with pytest.raises(ValidationError) as caught:
        validate_label_set(labels, "Labels")
    assert str(caught.value).startswith(expected)


def test_prefix_takes_no_part_in_the_order() -> None:
    with pytest.raises(ValidationError, match="sorted order"):
        validate_selector(LabelSelector(of("aa=x", "aa^x")))


def test_selectors_name_their_side() -> None:
    validate_selector(LabelSelector(of("aa^x"), of("bb^")))
    for selector, path in (
        (LabelSelector(of("a=1")), "Selector.Include.Labels[0].Name"),
        (LabelSelector(of(), of("a=1")), "Selector.Exclude.Labels[0].Name"),
    ):
        with pytest.raises(ValidationError) as caught:
            validate_selector(selector, "Selector")
        assert caught.value.path == path
    with pytest.raises(ValidationError) as caught:
        validate_selector(LabelSelector(of("a=1")))
    assert caught.value.path == "Include.Labels[0].Name"


def test_reading_a_set() -> None:
    labels = of("aa=1", "aa=2", "bb")
    assert labels.values_of("aa") == ("1", "2")
    assert (labels.value_of("aa"), labels.value_of("bb"), labels.value_of("cc")) == ("1", "", "")
    assert len(labels) == 3
    assert labels.with_value("aa", "9") == of("aa=9", "bb")
    assert LabelSet.of(("bb", ""), ("aa", "2"), ("aa", "1")) == labels


@pytest.mark.parametrize(
    ("left", "right", "united", "common", "rest"),
    [
        (of(), of("aa=1"), of("aa=1"), of(), of()),
        (of("aa=1"), of(), of("aa=1"), of(), of("aa=1")),
        (of("aa=1"), of("aa=1"), of("aa=1"), of("aa=1"), of()),
        (of("aa=1"), of("aa=2"), of("aa=1"), of(), of("aa=1")),
        (of("aa=1", "aa=2"), of("aa=1"), of("aa=1", "aa=2"), of(), of("aa=1", "aa=2")),
        (
            of("bb=1", "cc=2"),
            of("aa=9", "cc=2"),
            of("aa=9", "bb=1", "cc=2"),
            of("cc=2"),
            of("bb=1"),
        ),
        (of("aa"), of("aa"), of("aa"), of("aa"), of()),
    ],
)
def test_algebra_is_by_name(
    left: LabelSet, right: LabelSet, united: LabelSet, common: LabelSet, rest: LabelSet
) -> None:
    assert union(left, right) == united
    assert intersect(left, right) == common
    assert subtract(left, right) == rest


@pytest.mark.parametrize(
    ("include", "exclude", "selected"),
    [
        (of(), of(), True),
        (of("foo=bar"), of(), True),
        (of("foo"), of(), True),
        (of("foo=other"), of(), False),
        (of("foo=bar", "foo=other"), of(), True),
        (of("foo=bar", "multi=1"), of(), True),
        (of("foo=bar", "multi=9"), of(), False),
        (of("missing"), of(), False),
        (of("foo^ba"), of(), True),
        (of("foo^baz"), of(), False),
        (of("foo=ba"), of(), False),
        (of(), of("foo"), False),
        (of(), of("multi=2"), False),
        (of(), of("missing", "multi=9"), True),
        (of("foo"), of("multi^"), False),
        (of("empty"), of(), True),
        (of("empty=x"), of(), False),
    ],
)
def test_selection(include: LabelSet, exclude: LabelSet, selected: bool) -> None:
    labels = of("empty", "foo=bar", "multi=1", "multi=2")
    assert LabelSelector(include, exclude).matches(labels) is selected


@pytest.mark.parametrize(
    "labels",
    [
        of(),
        of("app.gazette.dev/tag=a", "app.gazette.dev/tag=b"),
        of("content-type=text/csv"),
        of("content-type=x"),
        of("app.gazette.dev/message-type=T", "content-type=application/x-ndjson"),
        of(
            "app.gazette.dev/message-subtype=S",
            "app.gazette.dev/message-type=T",
            "content-type=application/x-protobuf-fixed",
        ),
    ],
)
def test_well_known_labels(labels: LabelSet) -> None:
    validate_constraints(labels, "Labels")


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (of("app.gazette.dev/region=a", "app.gazette.dev/region=b"), "multiple values (index 1"),
        (of("content-type="), "not a media type"),
        (of("content-type=a/b/c"), "not a media type"),
        (of("app.gazette.dev/message-type=T"), "expected label content-type"),
        (of("app.gazette.dev/message-subtype=S"), "expected label app.gazette.dev/message-type"),
    ],
)
def test_broken_well_known_labels(labels: LabelSet, reason: str) -> None:
    with pytest.raises(ValidationError) as caught:
        validate_constraints(labels, "Labels")
    assert reason in str(caught.value)
