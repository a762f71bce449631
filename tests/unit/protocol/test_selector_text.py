"""Selectors as text."""

import pytest

from gazette_py.errors import ValidationError
from gazette_py.protocol.labels import Label, LabelSelector, LabelSet
from gazette_py.protocol.selector_text import format_selector, parse_selector


def side(text: str) -> LabelSet:
    """Return labels written as `name=value` or `name^prefix`, with spaces between them."""
    labels = []
    for part in text.split():
        mark = "^" if "^" in part else "="
        name, _, value = part.partition(mark)
        labels.append(Label(name, value, prefix=mark == "^"))
    return LabelSet(tuple(labels))


@pytest.mark.parametrize(
    ("text", "include", "exclude", "canonical"),
    [
        ("", "", "", ""),
        ("foo = bar", "foo=bar", "", "foo = bar"),
        ("foo=bar", "foo=bar", "", "foo = bar"),
        ("foo ", "foo=", "", "foo"),
        (" !foo", "", "foo=", "!foo"),
        ("!foo:prefix", "", "foo^", "!foo:prefix"),
        ("foo:prefix", "foo^", "", "foo:prefix"),
        (" foo in (bing, baz,bar)", "foo=bar foo=baz foo=bing", "", "foo in (bar, baz, bing)"),
        (" foo not in ( pear, apple )", "", "foo=apple foo=pear", "foo notin (apple, pear)"),
        ("foo notin (pear)", "", "foo=pear", "foo != pear"),
        (
            "foo==bar, baz !=bing ,apple:prefix in (fruit, banana)",
            "apple^banana apple^fruit foo=bar",
            "baz=bing",
            "apple:prefix in (banana, fruit), foo = bar, baz != bing",
        ),
        ("foo = ba=ar", "foo=ba=ar", "", "foo = ba=ar"),
        ("name:prefix=a/b/,", "name^a/b/", "", "name:prefix = a/b/"),
        ("foo = bar, foo = bar", "foo=bar", "", "foo = bar"),
        ("foo =", "foo=", "", "foo"),
        ("foo in (bar,)", "foo=bar", "", "foo = bar"),
        ("foo in ( )", "foo=", "", "foo"),
        ("foo ===bar", "foo==bar", "", "foo = =bar"),
        ("in in (in)", "in=in", "", "in = in"),
        ("not not in (in, a)", "", "not=a not=in", "not notin (a, in)"),
    ],
)
def test_what_texts_mean(text: str, include: str, exclude: str, canonical: str) -> None:
    selector = LabelSelector(side(include), side(exclude))
    assert parse_selector(text) == selector
    assert format_selector(selector) == canonical
    assert parse_selector(canonical) == selector


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("foo, foo in (bar)", "empty & non-empty"),
        ("ban=ana in (bar)", "could not match"),
        ("banana in (bar,err baz)", "could not match 'bar,err baz'"),
        ("a=b", "could not match"),
        ("foo & bar", "could not match"),
        ("foo in (bar", "could not match"),
        (",", "could not match"),
        ("f" * 65, "invalid length"),
        ("foo in ()", "could not match"),
        ("foo in (bar, )", "empty & non-empty"),
        ("foo = bar\n", r"could not match 'foo = bar\\n'"),
        ("foo  = bar", "could not match"),
        ("foo,, bar", "could not match"),
        ("foo = x, foo:prefix = x", "unique, sorted order"),
    ],
)
def test_what_means_nothing(text: str, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        parse_selector(text)
