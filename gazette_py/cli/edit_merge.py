"""Three-way merge of journals which were edited while somebody else changed them. Pure.

For each journal there are *base*, as it was shown; *mine*, as it was edited; and *theirs*, as it is
now. Fields are merged one by one: labels by name, all values of a name together; stores as one
list; the suspension as one.

Invariants:
    M1  A field which one side left as it was becomes the other side's.
    M2  A field which both changed, differently, stays mine, and the note tells both values.
    M3  What comes out expects the revision of theirs, so that it can be applied.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import Enum
from typing import Any

from gazette_py.cli.changes import ANY_REVISION, Current
from gazette_py.cli.quantities import format_duration
from gazette_py.cli.tree import Entry
from gazette_py.protocol.journal import FragmentSpec, JournalSpec, Suspend
from gazette_py.protocol.labels import LabelSet

_PLAIN = ("replication", "flags", "max_append_rate", "suspend")
_FRAGMENT = "fragment."
_LABEL = "labels."


@dataclass(frozen=True, slots=True)
class Merge:
    """What the editor shows next."""

    entries: list[Entry]  # Ascending by name, as those which were merged.
    notes: list[str]  # A line for each journal which changed underneath.


def merge(
    base: Mapping[str, Current], mine: Sequence[Entry], theirs: Mapping[str, Current]
) -> Merge:
    """Merge the journals of an edited text with what became of them meanwhile.

    Args:
        base: Journals as they were shown.
        mine: Journals of the text. One which was shown and is not here stays out of it.
        theirs: Those of both which exist now.
    """
    entries, notes = [], []
    for entry in mine:
        name = entry.spec.name
        merged, note = merge_journal(base.get(name), entry, theirs.get(name))
        if merged is not None:
            entries.append(merged)
        if note:
            notes.append(f"{name} {note}")
    return Merge(entries, notes)


def merge_journal(
    base: Current | None, mine: Entry, theirs: Current | None
) -> tuple[Entry | None, str]:
    """Return the journal merged, if anything is left to do to it, and what became of it."""
    if theirs is None:
        return _without_theirs(base, mine)
    before = base.spec if base else JournalSpec(name=mine.spec.name)
    merged = replace(
        mine, spec=_merged_spec(before, mine.spec, theirs.spec), revision=_revision(mine, theirs)
    )
    if base == theirs or (theirs.spec == mine.spec and not mine.delete):
        return merged, ""  # Nothing happened, or just what was wanted.
    what = "was changed" if base else "was created"
    told = _differences(before, mine, theirs.spec)
    rest = f": {', '.join(told)}" if told else ""
    return merged, f"{what} meanwhile, and is at revision {theirs.revision}{rest}"


def _without_theirs(base: Current | None, mine: Entry) -> tuple[Entry | None, str]:
    anew = replace(mine, revision=min(mine.revision, 0))
    if base is None:
        return anew, ""
    if mine.delete:
        return None, ""
    if mine.spec == base.spec:
        return None, "was deleted meanwhile"
    return anew, "was deleted meanwhile; what you changed would create it anew"


def _revision(mine: Entry, theirs: Current) -> int:
    """Return what to expect: any revision, if that was asked for."""
    return ANY_REVISION if mine.revision == ANY_REVISION else theirs.revision


def _merged_spec(base: JournalSpec, mine: JournalSpec, theirs: JournalSpec) -> JournalSpec:
    b, m, t = _flat(base), _flat(mine), _flat(theirs)
    chosen = {key: t.get(key) if m.get(key) == b.get(key) else m.get(key) for key in m | t}
    return _unflat(mine.name, {key: value for key, value in chosen.items() if value is not None})


def _differences(base: JournalSpec, mine: Entry, theirs: JournalSpec) -> list[str]:
    """Return what theirs changed, with both values where mine did, too."""
    b, m, t = _flat(base), _flat(mine.spec), _flat(theirs)
    told = []
    for key in sorted(b | t, key=[*(b | t)].index):
        if t.get(key) == b.get(key):
            continue
        name, value = key.removesuffix("_ns"), _shown(key, t.get(key))
        if mine.delete or m.get(key) in (b.get(key), t.get(key)):
            told.append(f"{name} is now {value}")
        else:
            told.append(f"{name} is now {value}, yours stays {_shown(key, m.get(key))}")
    return told


def _flat(spec: JournalSpec) -> dict[str, Any]:
    """Return fields by name; labels which a journal lacks have none."""
    flat = {name: getattr(spec, name) for name in _PLAIN}
    for field in fields(FragmentSpec):
        flat[f"{_FRAGMENT}{field.name}"] = getattr(spec.fragment, field.name)
    for label in spec.labels:
        flat[f"{_LABEL}{label.name}"] = spec.labels.values_of(label.name)
    return flat


def _unflat(name: str, flat: Mapping[str, Any]) -> JournalSpec:
    fragment = {
        key.removeprefix(_FRAGMENT): value
        for key, value in flat.items()
        if key.startswith(_FRAGMENT)
    }
    labels = [
        (key.removeprefix(_LABEL), value)
        for key, values in flat.items()
        if key.startswith(_LABEL)
        for value in values
    ]
    return JournalSpec(
        name=name,
        labels=LabelSet.of(*labels),
        fragment=FragmentSpec(**fragment),
        **{key: flat[key] for key in _PLAIN},
    )


def _shown(key: str, value: Any) -> str:
    """Return a value as people know it from the text."""
    match value:
        case None | () | "":
            return "none"
        case Suspend(level=level, offset=offset):
            return f"{level.name} at {offset}"
        case Enum():
            return value.name
        case tuple():
            return " and ".join(value)
        case int() if key.endswith("_ns"):
            return format_duration(value)
        case _:
            return str(value)
