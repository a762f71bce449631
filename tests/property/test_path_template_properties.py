"""Whatever text a spec has as its template, it is taken or refused, and makes only clean paths."""

import posixpath

from hypothesis import given
from hypothesis import strategies as st

from gazette_py.errors import ValidationError
from gazette_py.protocol.fragment import Fragment
from gazette_py.protocol.journal import JournalSpec
from gazette_py.protocol.labels import LabelSet
from gazette_py.protocol.path_template import PathTemplate, SpoolView, validate_template

_OPERANDS = st.sampled_from(
    [
        ".",
        ".Name",
        ".Spool.Begin",
        ".Spool.FirstAppendTime",
        ".Spool.FirstAppendTime.Month",
        "1",
        "true",
        '"%d"',
        '"%-4s|%v"',
        '"author"',
        '""',
        "``",
        "(len",
        "(",
        ")",
        "|",
    ]
)
_HEADS = st.sampled_from(
    [
        ".Spool.Registers.ValueOf",
        ".Spool.FirstAppendTime.Format",
        "printf",
        "eq",
        "lt",
        "and",
        "or",
        "not",
        "len",
        "index",
        "if",
        "with",
        "else",
        "end",
        "/*",
    ]
)
_ACTIONS = st.tuples(
    st.sampled_from(["{{", "{{ ", "{{- "]),
    _HEADS,
    st.lists(_OPERANDS, max_size=3),
    st.sampled_from(["}}", " }}", " -}}"]),
).map(lambda parts: parts[0] + " ".join([parts[1], *parts[2]]) + parts[3])
TEMPLATES = st.lists(
    st.one_of(_ACTIONS, st.sampled_from(["{{end}}", "a", "/", "..", " "]), st.text(max_size=3)),
    max_size=6,
).map("".join)


@given(TEMPLATES, st.sampled_from(["", "me", "../..", "/x"]), st.integers(0, 1 << 61))
def test_a_template_makes_a_clean_path_or_a_validation_error(
    text: str, author: str, time_ns: int
) -> None:
    view = SpoolView(Fragment(journal="a/b"), LabelSet.of(("author", author)), time_ns)
    try:
        result = PathTemplate.parse(text).evaluate(view, JournalSpec(name="a/b"))
    except ValidationError:
        return
    assert len(result.encode()) <= 512
    inside = posixpath.normpath(posixpath.join("a/b", result, "name"))
    assert inside.startswith("a/b/")


@given(TEMPLATES)
def test_what_is_refused_names_the_field(text: str) -> None:
    assert _path_of_error(text) in (None, "Fragment.PathPostfixTemplate")


def _path_of_error(text: str) -> str | None:
    try:
        validate_template(text, "Fragment.PathPostfixTemplate")
    except ValidationError as exc:
        return exc.path
    return None
