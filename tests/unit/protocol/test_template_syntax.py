"""The syntax of path templates. What is accepted must mean the same to Go brokers."""

import pytest

from gazette_py.errors import ValidationError
from gazette_py.protocol.template_syntax import (
    Branch,
    Fields,
    Function,
    Group,
    Literal,
    Print,
    Text,
    parse_template,
)

FUNCTIONS = ("len", "eq")
ONE = ((Literal(1),),)


def parse(text: str) -> list[object]:
    """Return the nodes but for empty texts, which stand between actions."""
    return [node for node in parse_template(text, FUNCTIONS) if node != Text("")]


def test_commands_and_operands() -> None:
    text = '{{ eq (.A.b "x" | len) `y\\` -7 true . }}'

    inner = ((Fields(("A", "b")), Literal("x")), (Function("len"),))
    operands = (
        Function("eq"),
        Group(inner),
        Literal("y\\"),
        Literal(-7),
        Literal(True),
        Fields(()),
    )
    assert parse(text) == [Print((operands,))]


def test_a_chain_of_branches_has_one_end() -> None:
    text = "{{if 1}}a{{else if .X}}b{{else}}c{{end}}d"

    inner = Branch(((Fields(("X",)),),), [Text("b")], [Text("c")], moves_dot=False)
    assert parse(text) == [Branch(ONE, [Text("a")], [inner], moves_dot=False), Text("d")]


def test_with_moves_the_dot() -> None:
    assert parse("{{with 1}}a{{end}}") == [Branch(ONE, [Text("a")], (), moves_dot=True)]


@pytest.mark.parametrize(
    ("text", "texts"),
    [
        ("a \t\r\n{{- 1 }} b", ["a", " b"]),
        ("a {{ 1 -}} \n b", ["a ", "b"]),
        ("a {{ 1   -}} b", ["a ", "b"]),
        ("a {{- /* c */ -}} b", ["a", "b"]),
        # White space to Python, but not to Go.
        ("a\u00a0{{- 1 -}}\u2028b", ["a\u00a0", "\u2028b"]),
        # No trim markers: they need white space inside.
        ("a {{-1}} b", ["a ", " b"]),
    ],
)
def test_trim_markers_drop_white_space(text: str, texts: list[str]) -> None:
    assert [node.text for node in parse_template(text, ()) if isinstance(node, Text)] == texts


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{{ "a\\t\\n\\r\\"\\\\" }}', 'a\t\n\r"\\'),
        ('{{ "}} -}}" }}', "}} -}}"),
        ("{{ `a\n}}` }}", "a\n}}"),
        ("{{ 0 }}", 0),
        ("{{ -0 }}", 0),
        ("{{ 9223372036854775807 }}", (1 << 63) - 1),
        ("{{ -9223372036854775808 }}", -1 << 63),
        ("{{\n1\t}}", 1),
    ],
)
def test_literals(text: str, value: object) -> None:
    assert parse(text) == [Print(((Literal(value),),))]  # type: ignore[arg-type]  # Of any kind.


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        # Go reads an octal number, a fraction, and digits of other scripts not at all.
        ("{{ 010 }}", "a space is missing before '10'"),
        ("{{ 1.5 }}", "a space is missing before '.5'"),
        ("{{ .5 }}", ".5 is no field"),
        ("{{ 0x10 }}", "a space is missing before 'x10'"),
        ("{{ 1_000 }}", "a space is missing before '_000'"),
        ("{{ \u0663 }}", "cannot read"),
        ("{{ 9223372036854775808 }}", "beyond 64 bits"),
        ("{{ -9223372036854775809 }}", "beyond 64 bits"),
        ("{{ 1" + "0" * 5000 + " }}", "a space is missing"),
        # Of an escape, Go knows more, but not this one.
        ('{{ "\\\'" }}', "\\' is no escape"),
        ('{{ "a\nb" }}', "cannot read"),
        ("{{ `a\rb` }}", "cannot read"),
        ("{{ 'a' }}", "cannot read"),
        ('{{ len"a" }}', "a space is missing"),
        ("{{ len(1) }}", "a space is missing before '('"),
        ("{{ (1).Hour }}", "a space is missing before '.Hour'"),
        ("{{ .a. }}", "is no field"),
        ("{{ .. }}", "is no field"),
        ("{{ $ }}", "cannot read"),
        ("{{-1 }}{{- -}}", "cannot read"),
        ("{{ 1 -}", "cannot read"),
        ("{{ 1 | 2 }}", "a literal takes no arguments"),
        ("{{ (1) 2 }}", "only fields and functions"),
        ("{{ 1 | . }}", "only fields and functions"),
        ("{{ () }}", "lacks a value"),
        ("{{ if }}{{ end }}", "lacks a value"),
        ("{{ /* not at once */ }}", "cannot read"),
        ("{{/* a */ b */}}", "comment does not end"),
        ("{{/* a */ }}", "comment does not end"),
        ("{{/*/}}", "comment does not end"),
        ("{{ if 1 }}{{ end x }}", "unexpected {{end x}}"),
        ("{{ if 1 }}{{ else }}{{ else }}{{ end }}", "unexpected {{else}}"),
        ("{{ if 1 }}{{ else }}", "{{if 1}} has no {{end}}"),
        ("{{ if 1 }}{{ else with 1 }}{{ end }}", "unexpected {{else with 1}}"),
        ("{{ with 1 }}{{ else if 1 }}{{ end }}", "unexpected {{else if 1}}"),
        ("{{ if 1 }}{{ else if 1 }}", "has no {{end}}"),
        ("{{ len if }}", "if is not supported"),
        ("{{ nil }}", "nil is not supported: there are eq, len, if and with"),
    ],
)
def test_what_go_reads_otherwise_or_not_at_all_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValidationError) as caught:
        parse(text)
    assert reason in caught.value.reason


@pytest.mark.parametrize(
    ("opening", "closing"),
    [("{{if 1}}", "{{end}}"), ("{{with 1}}", "{{end}}"), ("{{if 1}}{{else if 1}}", "{{end}}")],
)
def test_nesting_of_branches_is_bounded(opening: str, closing: str) -> None:
    parse(opening * 16 + closing * 16)
    with pytest.raises(ValidationError, match="nested more than 32 deep"):
        parse(opening * 5000 + closing * 5000)


def test_nesting_of_parentheses_is_bounded() -> None:
    parse("{{" + "(" * 32 + "1" + ")" * 32 + "}}")
    with pytest.raises(ValidationError, match="nested more than 32 deep"):
        parse("{{" + "(" * 5000 + "1" + ")" * 5000 + "}}")


def test_what_stands_side_by_side_is_not_nested() -> None:
    text = "{{if 1}}{{(1)}}{{end}}{{len (1) (1)}}" * 100
    assert len(parse(text)) == 200


def test_time_is_linear_in_the_text() -> None:
    """Strings which a backtracking expression could read as single quotes too, in 2**n ways."""
    with pytest.raises(ValidationError):
        parse("{{" + '""' * 10_000)
    with pytest.raises(ValidationError):
        parse("{{ " + '"" ' * 10_000)
