"""A UUID which is attached to a record is found in it, and nothing else of it has changed."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gazette_py.message.csv_rows import make_row
from gazette_py.message.framings import splitter_of
from gazette_py.message.serdes import serde_of
from gazette_py.message.uuids import make_uuid

UUIDS = st.builds(
    make_uuid,
    st.binary(min_size=6, max_size=6),
    st.integers(0, (1 << 64) - 1),
    st.integers(0, 1023),
)
NAMES = st.sampled_from(["a", "b", "UUID", "_meta", "uuid", "é/~"])
DOCUMENTS = st.dictionaries(
    NAMES,
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=4),
        lambda inner: st.dictionaries(NAMES, inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)
POINTERS = st.lists(st.sampled_from(["x", "y", "~1", "~0"]), max_size=3).map(
    lambda names: "".join(f"/{name}" for name in names)
)


def without(document: Any, names: list[str]) -> Any:
    """Return the document without what a pointer leads to, and objects which it alone needs."""
    name, *rest = names
    inner = without(document[name], rest) if rest else None
    kept = {key: value for key, value in document.items() if key != name}
    return kept | {name: inner} if inner else kept


@given(DOCUMENTS.filter(lambda d: "UUID" not in d), UUIDS, POINTERS, st.sampled_from([None, 1]))
def test_json(document: dict[str, Any], uuid: Any, pointer: str, indent: int | None) -> None:
    serde = serde_of("lines", pointer)
    line = json.dumps(document, indent=indent).replace("\n", " ").encode()

    record = serde.attach(line, uuid)

    assert record.endswith(b"\n")
    assert record.count(b"\n") == 1
    found = serde.decode(record)
    assert serde.uuid_of(found) == uuid
    names = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    assert without(found, names or ["UUID"]) == document
    assert serde.attach(record, uuid) == serde.attach(serde.attach(record, uuid), uuid)


@given(st.lists(st.text(st.sampled_from('ab,"\n\té'), max_size=6), min_size=1, max_size=4), UUIDS)
def test_csv(fields: list[str], uuid: Any) -> None:
    serde, splitter = serde_of("csv"), splitter_of("csv")
    (row,) = splitter.feed(make_row(fields))

    record = serde.attach(splitter.value_of(row), uuid)

    assert list(splitter_of("csv").feed(record)) == [record]
    assert serde.decode(record) == [str(uuid), *fields]
    assert serde.uuid_of(serde.decode(record)) == uuid
