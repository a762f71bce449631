"""Set algebra of specs."""

from gazette_py.protocol.enums import CompressionCodec, SuspendLevel
from gazette_py.protocol.journal import FragmentSpec, JournalSpec, Suspend
from gazette_py.protocol.labels import LabelSet
from gazette_py.protocol.spec_sets import intersect_specs, subtract_specs, union_specs

LEFT = JournalSpec(
    name="left",
    replication=3,
    labels=LabelSet.of(("aa", "1"), ("bb", "2")),
    fragment=FragmentSpec(
        length=1024, compression_codec=CompressionCodec.GZIP, stores=("s3://b/",)
    ),
    suspend=Suspend(SuspendLevel.FULL, 5),
)
RIGHT = JournalSpec(
    name="right",
    replication=3,
    labels=LabelSet.of(("aa", "1"), ("bb", "9"), ("cc", "3")),
    fragment=FragmentSpec(length=2048, stores=("s3://b/",), refresh_interval_ns=7),
    flags=4,
    max_append_rate=9,
)


def test_union_prefers_the_left() -> None:
    assert union_specs(LEFT, RIGHT) == JournalSpec(
        name="left",
        replication=3,
        labels=LabelSet.of(("aa", "1"), ("bb", "2"), ("cc", "3")),
        fragment=FragmentSpec(
            length=1024,
            compression_codec=CompressionCodec.GZIP,
            stores=("s3://b/",),
            refresh_interval_ns=7,
        ),
        flags=4,
        max_append_rate=9,
        suspend=LEFT.suspend,
    )


def test_intersection_is_what_both_have() -> None:
    assert intersect_specs(LEFT, RIGHT) == JournalSpec(
        name="left",
        replication=3,
        labels=LabelSet.of(("aa", "1")),
        fragment=FragmentSpec(stores=("s3://b/",)),
    )


def test_subtraction_leaves_what_is_the_left_s_own() -> None:
    assert subtract_specs(LEFT, RIGHT) == JournalSpec(
        name="left",
        labels=LabelSet.of(("bb", "2")),
        fragment=FragmentSpec(length=1024, compression_codec=CompressionCodec.GZIP),
        suspend=LEFT.suspend,
    )


def test_what_is_common_and_the_rest_make_the_whole() -> None:
    common = intersect_specs(LEFT, RIGHT)
    assert union_specs(subtract_specs(LEFT, common), common) == LEFT
