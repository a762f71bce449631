"""Register changes of appends, by the reference's sequence."""

from gazette_py.core.append_stream import RegisterChange
from gazette_py.protocol.labels import LabelSet


def test_the_reference_sequence_of_registers() -> None:
    registers = LabelSet()
    for change, expected in (
        (
            RegisterChange(union=LabelSet.of(("AA", "11"), ("BB", "22"))),
            LabelSet.of(("AA", "11"), ("BB", "22")),
        ),
        (
            RegisterChange(
                union=LabelSet.of(("CC", "33")), subtract=LabelSet.of(("AA", "11"), ("BB", "XYZ"))
            ),
            LabelSet.of(("BB", "22"), ("CC", "33")),
        ),
        (
            RegisterChange(union=LabelSet.of(("AA", "44")), subtract=LabelSet.of(("CC", "33"))),
            LabelSet.of(("AA", "44"), ("BB", "22")),
        ),
        (RegisterChange(), LabelSet.of(("AA", "44"), ("BB", "22"))),
    ):
        registers = change.apply(registers)
        assert registers == expected


def test_an_empty_change_is_still_a_change() -> None:
    assert not RegisterChange()
    assert RegisterChange(union=LabelSet())
    assert RegisterChange(subtract=LabelSet())
