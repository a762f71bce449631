"""Rules of journal specs, in the order in which they are checked."""

from dataclasses import replace
from typing import Any

import pytest

from gazette_py.errors import ValidationError
from gazette_py.protocol.enums import CompressionCodec, JournalFlag, SuspendLevel
from gazette_py.protocol.journal import FragmentSpec, JournalSpec, Suspend
from gazette_py.protocol.journal_rules import validate_journal_spec
from gazette_py.protocol.labels import Label, LabelSet

NS = 1_000_000_000
FRAGMENT = FragmentSpec(
    length=1 << 20,
    compression_codec=CompressionCodec.GZIP,
    stores=("s3://bucket/", "gs://bucket/prefix/"),
    refresh_interval_ns=60 * NS,
)
SPEC = JournalSpec(name="a/journal", replication=3, fragment=FRAGMENT)


def with_(**changes: Any) -> JournalSpec:
    return replace(SPEC, **changes)


def of_fragment(**changes: Any) -> JournalSpec:
    return replace(SPEC, fragment=replace(FRAGMENT, **changes))


@pytest.mark.parametrize(
    "spec",
    [
        SPEC,
        with_(replication=1),
        with_(replication=5),
        with_(flags=JournalFlag.O_RDWR, max_append_rate=1),
        with_(suspend=Suspend(SuspendLevel.PARTIAL, 123)),
        with_(name="../outside"),
        of_fragment(length=1 << 10),
        of_fragment(length=1 << 34),
        of_fragment(stores=()),
        of_fragment(refresh_interval_ns=NS),
        of_fragment(refresh_interval_ns=86_400 * NS, flush_interval_ns=60 * NS),
        of_fragment(path_postfix_template="{{ range . }}"),
        of_fragment(
            stores=("s3://b/", "file:///x/"),
            compression_codec=CompressionCodec.GZIP_OFFLOAD_DECOMPRESSION,
        ),
    ],
)
def test_specs(spec: JournalSpec) -> None:
    validate_journal_spec(spec)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (with_(name="abc"), "Spec.Name: invalid length (3"),
        (with_(name="a/journal;meta"), "Spec.Name: cannot have a metadata path segment"),
        (with_(replication=0), "Spec: invalid Replication (0; expected 1 <= Replication <= 5)"),
        (with_(replication=6), "Spec: invalid Replication (6"),
        (with_(labels=LabelSet((Label("a"),))), "Spec.Labels.Labels[0].Name: invalid length"),
        (with_(labels=LabelSet.of(("name", ""))), 'Spec: Labels cannot include label "name"'),
        (with_(labels=LabelSet.of(("prefix", ""))), 'Spec: Labels cannot include label "prefix"'),
        (with_(labels=LabelSet.of(("content-type", ""))), "Spec.Labels: label content-type"),
        (with_(flags=3), "Spec.Flags: invalid Flags combination (3)"),
        (with_(max_append_rate=-1), "Spec: invalid MaxAppendRate (-1; expected >= 0)"),
        (with_(suspend=Suspend(SuspendLevel.NONE, -1)), "Spec.Suspend.Offset: invalid Offset (-1"),
        (with_(suspend=Suspend(7)), "Spec.Suspend.Level: invalid Level variant (7)"),  # type: ignore[arg-type]
        (of_fragment(length=1023), "Spec.Fragment: invalid Length (1023; expected 1024 <="),
        (of_fragment(length=(1 << 34) + 1), "Spec.Fragment: invalid Length"),
        (
            of_fragment(compression_codec=CompressionCodec.INVALID),
            "Spec.Fragment.CompressionCodec: invalid value",
        ),
        (of_fragment(stores=("s3://b/", "s3://b/x")), "Spec.Fragment.Stores[1]: path component"),
        (
            of_fragment(
                stores=("file:///x/",),
                compression_codec=CompressionCodec.GZIP_OFFLOAD_DECOMPRESSION,
            ),
            "Spec.Fragment: GZIP_OFFLOAD_DECOMPRESSION is incompatible",
        ),
        (of_fragment(refresh_interval_ns=NS - 1), "Spec.Fragment: invalid RefreshInterval"),
        (of_fragment(refresh_interval_ns=86_401 * NS), "Spec.Fragment: invalid RefreshInterval"),
        (of_fragment(flush_interval_ns=60 * NS - 1), "Spec.Fragment: invalid FlushInterval"),
        # The first broken rule is the one reported.
        (replace(of_fragment(length=1), replication=0, flags=3), "Spec: invalid Replication"),
    ],
)
def test_broken_specs(spec: JournalSpec, expected: str) -> None:
    with pytest.raises(ValidationError) as caught:
        validate_journal_spec(spec, "Spec")
    assert str(caught.value).startswith(expected)


def test_without_a_context_the_field_is_the_path() -> None:
    with pytest.raises(ValidationError) as caught:
        validate_journal_spec(of_fragment(length=1))
    assert caught.value.path == "Fragment"


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        (with_(name="../outside"), "Name"),
        (with_(name="../../etc"), "Name"),
        (of_fragment(path_postfix_template="{{ range . }}"), "Fragment.PathPostfixTemplate"),
        (of_fragment(path_postfix_template="a b"), "Fragment.PathPostfixTemplate"),
    ],
)
def test_new_specs_are_held_to_more(spec: JournalSpec, path: str) -> None:
    with pytest.raises(ValidationError) as caught:
        validate_journal_spec(spec, is_new=True)
    assert caught.value.path == path


def test_new_specs() -> None:
    template = 'date={{ .Spool.FirstAppendTime.Format "2006-01-02" }}'
    validate_journal_spec(of_fragment(path_postfix_template=template), is_new=True)
    by_label = '{{ .JournalSpec.LabelSet.ValueOf "topic" }}/x'
    spec = of_fragment(path_postfix_template=by_label)
    validate_journal_spec(replace(spec, labels=LabelSet.of(("topic", "t"))), is_new=True)
    with pytest.raises(ValidationError):  # Without the label, the path is absolute.
        validate_journal_spec(spec, is_new=True)


@pytest.mark.parametrize(
    ("flags", "reads", "writes"),
    [
        (JournalFlag.NOT_SPECIFIED, True, True),
        (JournalFlag.O_RDONLY, True, False),
        (JournalFlag.O_WRONLY, False, True),
        (JournalFlag.O_RDWR, True, True),
    ],
)
def test_flags(flags: int, reads: bool, writes: bool) -> None:
    assert (with_(flags=flags).is_readable, with_(flags=flags).is_writable) == (reads, writes)


@pytest.mark.parametrize(
    ("level", "maximum", "expected"),
    [
        (SuspendLevel.NONE, 9, 3),
        (SuspendLevel.NONE, 2, 2),
        (SuspendLevel.PARTIAL, 9, 1),
        (SuspendLevel.FULL, 9, 0),
    ],
)
def test_effective_replication(level: SuspendLevel, maximum: int, expected: int) -> None:
    assert with_(suspend=Suspend(level)).desired_replication(maximum) == expected


def test_the_name_can_be_selected_by() -> None:
    spec = with_(labels=LabelSet.of(("zz", "1")))
    assert spec.selectable_labels() == LabelSet.of(("name", "a/journal"), ("zz", "1"))
