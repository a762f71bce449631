"""Path postfix templates."""

import json
from pathlib import Path

import pytest

from gazette_py.errors import ValidationError
from gazette_py.protocol.enums import CompressionCodec
from gazette_py.protocol.fragment import Fragment
from gazette_py.protocol.journal import FragmentSpec, JournalSpec
from gazette_py.protocol.labels import LabelSet
from gazette_py.protocol.path_template import PathTemplate, SpoolView, validate_template

NS = 1_000_000_000
VIEW = SpoolView(
    Fragment(journal="a/journal", begin=16, end=255, compression_codec=CompressionCodec.SNAPPY),
    LabelSet.of(("author", "me"), ("epoch", "7")),
    1_700_000_000 * NS + 123_456_789,
)
SPEC = JournalSpec(
    name="a/journal",
    replication=3,
    labels=LabelSet.of(("app.gazette.dev/region", "eu")),
    fragment=FragmentSpec(length=1 << 20),
)


def evaluate(text: str) -> str:
    return PathTemplate.parse(text).evaluate(VIEW, SPEC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("plain/text", "plain/text"),
        ('date={{ .Spool.FirstAppendTime.Format "2006-01-02" }}', "date=2023-11-14"),
        ("{{.Spool.FirstAppendTime.Format `15`}}", "22"),
        ("{{ .Spool.FirstAppendTime.Unix }}", "1700000000"),
        ("{{ .Spool.FirstAppendTime.UnixMilli }}", "1700000000123"),
        ("{{ .Spool.FirstAppendTime.UnixNano }}", "1700000000123456789"),
        ("{{ .Spool.FirstAppendTime.UTC.Year }}", "2023"),
        ("{{ .Spool.FirstAppendTime.Month }}", "November"),
        ("{{ .Spool.FirstAppendTime.Weekday }}", "Tuesday"),
        ('{{ printf "%02d" .Spool.FirstAppendTime.Month }}', "11"),
        (
            '{{ printf "%s-%v" .Spool.FirstAppendTime.Month .Spool.FirstAppendTime.Day }}',
            "November-14",
        ),
        ("{{ .Spool.FirstAppendTime.Hour }}.{{ .Spool.FirstAppendTime.Minute }}", "22.13"),
        ("{{ .Spool.FirstAppendTime.Second }}.{{ .Spool.FirstAppendTime.YearDay }}", "20.318"),
        ("{{ .Spool.FirstAppendTime.Nanosecond }}", "123456789"),
        ("{{ .Spool.Journal }}/{{ .Spool.Begin }}-{{ .Spool.End }}", "a/journal/16-255"),
        ("{{ .Spool.Fragment.Begin }}{{ .Spool.CompressionCodec }}", "16SNAPPY"),
        ('{{ .Spool.Registers.ValueOf "author" }}', "me"),
        ('x{{ .Spool.Registers.ValueOf "none" }}', "x"),
        ("{{ .JournalSpec.Name }}/{{ .JournalSpec.Replication }}", "a/journal/3"),
        ('{{ .JournalSpec.LabelSet.ValueOf "app.gazette.dev/region" }}', "eu"),
        ("{{ .JournalSpec.Fragment.Length }}", "1048576"),
        ("a {{- 1 -}} b", "a1b"),
        ("a{{/* a comment with }} inside */}}b", "ab"),
        ("a{{- /* trimmed */ -}}  b", "ab"),
        ('{{ "}}" | len }}', "2"),
        ('{{ .Spool.Begin | printf "%04x" }}', "0010"),
        ('{{ printf "%-4d" 7 | len }}{{ printf "%X" 255 }}', "4FF"),
        ('{{ printf "%q" "a" | len }}', "3"),
        ('{{ printf "%.2s%%" "abc" }}', "ab%"),
        ('{{ printf "%5v" true | len }}', "5"),
        ('{{ len "ä" }}{{ index "abc" 1 }}', "298"),
        ("{{ if .Spool.Begin }}yes{{ else }}no{{ end }}", "yes"),
        ("{{ if eq .Spool.Begin 0 }}0{{ else if gt .Spool.Begin 9 }}9{{ else }}x{{ end }}", "9"),
        ("{{ if false }}yes{{ end }}no", "no"),
        ('{{ with .Spool.Registers.ValueOf "epoch" }}e{{ . }}{{ end }}', "e7"),
        ('{{ with .Spool.Registers.ValueOf "none" }}{{ . }}{{ else }}none{{ end }}', "none"),
        ("{{ with .Spool }}{{ .Begin }}{{ end }}", "16"),
        ("{{ if and (ne 1 2) (lt 1 2) (le 2 2) (ge 2 2) }}all{{ end }}", "all"),
        ('{{ or "" "b" }}{{ and "a" "" }}{{ not true }}', "bfalse"),
        ("{{ if not (or false 0) }}{{ true }}{{ end }}", "true"),
        ('{{ "a\\tb" | len }}{{ (len "abc") }}', "33"),
        ("{{ -5 }}{{ +5 }}", "-55"),
    ],
)
def test_what_templates_make(text: str, expected: str) -> None:
    assert evaluate(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{{ range .Spool }}{{ end }}", "range is not supported"),
        ("{{ template `x` }}", "template is not supported"),
        ("{{ $x := 1 }}", "cannot read"),
        ("{{ .Spool.Begin", "is not closed"),
        ("a {{ b", "is not closed"),
        ("{{ 1 }}{{ b", "is not closed"),
        ("{{ if 1 }}", "has no {{end}}"),
        ("{{ end }}", "unexpected {{end}}"),
        ("{{ else }}", "unexpected {{else}}"),
        ("{{ if 1 }}{{ else x }}{{ end }}", "unexpected {{else x}}"),
        ("{{ }}", "lacks a value"),
        ("{{ 1 | }}", "lacks a value"),
        ("{{ (1 }}", "is not closed"),
        ("{{ 1 ) }}", "unexpected )"),
        ("{{ .a..b }}", "is no field"),
        ('{{ "\\x41" }}', "is no escape"),
        ("{{ .Missing }}", ".Missing does not exist"),
        ("{{ .Spool.Missing.Deeper }}", ".Spool.Missing does not exist"),
        ("{{ .Spool.Begin.Deeper }}", ".Spool.Begin.Deeper does not exist"),
        ("{{ .Spool }}", "only a field or method"),
        ("{{ .Spool.Begin 1 }}", "takes no arguments"),
        ("{{ .Spool.FirstAppendTime.Format }}", "takes 1 texts"),
        ("{{ .Spool.FirstAppendTime.Format 1 }}", "takes 1 texts"),
        ('{{ .Spool.FirstAppendTime.Unix "x" }}', "takes 0 texts"),
        ("{{ .Spool.FirstAppendTime.ISOWeek }}", "does not exist"),
        ("{{ 1 2 }}", "a literal takes no arguments"),
        ("{{ len }}", "len takes other than 0 arguments"),
        ("{{ 1 | eq }}", "eq takes other than 1 arguments"),
        ('{{ eq 1 "1" }}', "eq of a number and a text"),
        ("{{ index 1 1 }}", "index works on"),
        ('{{ index "a" 1 }}', "out of range"),
        ('{{ printf "%d" }}', "too few arguments"),
        ('{{ printf "x" 1 }}', "too many arguments"),
        ('{{ printf "%d" "x" }}', "needs a number"),
        ('{{ printf "%d" true }}', "needs a number"),
        ('{{ printf "%t" true }}', "%t is not supported"),
        ("a b", "not a valid token"),
        ("/abs", "cannot begin with '/'"),
        ("a//b", "clean path"),
        ('{{ .Spool.FirstAppendTime.Format "15:04" }}', "not a valid token"),
    ],
)
def test_what_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValidationError) as caught:
        evaluate(text)
    assert reason in caught.value.reason


def test_the_whole_time_prints_as_go_prints_it() -> None:
    with pytest.raises(ValidationError, match=r"2023-11-14 22:13:20.123456789 \+0000 UTC"):
        evaluate("{{ .Spool.FirstAppendTime }}")


def test_before_the_first_append_it_is_year_1() -> None:
    view = SpoolView(VIEW.fragment, VIEW.registers, None)
    template = PathTemplate.parse('{{ .Spool.FirstAppendTime.Format "2006-01-02" }}')
    assert template.evaluate(view, SPEC) == "0001-01-01"


def test_specs_are_checked_with_several_times() -> None:
    validate_template('{{ .Spool.FirstAppendTime.Format "2006" }}', "Path")
    # Fails only for some times: a week day with a space before it.
    with pytest.raises(ValidationError) as caught:
        validate_template('{{ .Spool.FirstAppendTime.Format "_2" }}', "Path")
    assert caught.value.path == "Path"


def test_an_unquoted_function_as_argument() -> None:
    with pytest.raises(ValidationError, match="len takes other than 0"):
        evaluate("{{ printf len }}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # As printed by Go's own package text/template.
        ('{{ printf "%016x" .Spool.End }}', "00000000000000ff"),
        ('{{ printf "%+d%+x" 5 .Spool.End }}', "+5+ff"),
        ('{{ printf "%-4d" 7 | printf "%.1s" }}', "7"),
        ('{{ printf "%+05d" 42 }}{{ printf "%05d" -42 }}', "+0042-0042"),
        ('{{ printf "%05x" -255 }}{{ printf "%.0s" "ab" }}', "-00ff"),
        ('{{ printf "%s%d" .Spool.CompressionCodec .Spool.CompressionCodec }}', "SNAPPY4"),
        ('{{ printf "%.10s" .Spool.FirstAppendTime }}', "2023-11-14"),
        ('{{ printf "%v" .Spool.FirstAppendTime | len }}', "39"),
        ("{{ if eq .Spool.CompressionCodec 4 }}snappy{{ end }}", "snappy"),
        ("{{ eq .Spool.Journal .Name }}{{ eq true false }}", "truefalse"),
        ('{{ lt "a" "b" }}{{ len .Spool.Journal }}', "true9"),
        ("{{ .Name }}/{{ .Replication }}", "a/journal/3"),
        ('{{ .LabelSet.ValueOf "app.gazette.dev/region" }}', "eu"),
        ('{{ "author" | .Spool.Registers.ValueOf }}', "me"),
        ('{{ and false (index "" 0) }}{{ or 1 (index "" 0) }}', "false1"),
        ('{{ "x" | and 1 }}{{ or 0 "" }}', "x"),
        ("{{ if .Spool.FirstAppendTime }}set{{ end }}", "set"),
    ],
)
def test_values_are_those_of_go(text: str, expected: str) -> None:
    assert evaluate(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        # Go prints a complaint, `%!d(string=x)`, into the path.
        ('{{ printf "100%" }}', "too few arguments"),
        ('{{ printf "100%" 1 }}', "% is not supported"),
        ('{{ printf "%s" 1 }}', "%s is not supported for '1'"),
        ('{{ printf "%s" true }}', "%s is not supported"),
        ('{{ printf "%x" "a" }}', "%x needs a number"),
        # Go prints the name in hexadecimal, zeros before a text, at least three digits.
        ('{{ printf "%x" .Spool.FirstAppendTime.Month }}', "%x is not supported for 'November'"),
        ('{{ printf "%05s" "a" }}', "%05s is not supported"),
        ('{{ printf "%05v" 1 }}', "%05v is not supported"),
        ('{{ printf "%.3d" 5 }}', "%.3d is not supported"),
        ('{{ printf "%.3v" "abcd" }}', "%.3v is not supported"),
        ('{{ printf "%q" "ä" }}', "%q is not supported"),
        ('{{ printf "%q" 65 }}', "%q is not supported"),
        ('{{ printf "%5%" 1 }}', "%5% is not supported"),
        ('{{ printf "%9999d" 1 }}', "%9999 is not supported"),
        ("{{ printf 5 }}", "needs a text as its layout"),
        # Types which Go does not pass, or compare.
        ("{{ printf .Name }}", "needs a text as its layout"),
        ("{{ .Spool.Registers.ValueOf .Name }}", "takes 1 texts"),
        ("{{ len 5 }}", "len works on a text only"),
        ('{{ index "ab" true }}', "index works on"),
        ("{{ eq false 0 }}", "eq of a boolean and a number"),
        ('{{ eq .Spool.CompressionCodec "SNAPPY" }}', "eq of a number and a text"),
        ("{{ lt false true }}", "lt of a boolean and a boolean"),
        ("{{ eq .Spool.FirstAppendTime .Spool.FirstAppendTime }}", "eq of a struct and a struct"),
        # Ambiguous, or not there when fragments are persisted.
        ("{{ .Fragment.Length }}", ".Fragment does not exist"),
        ("{{ .Spool.ContentLength }}", ".Spool.ContentLength does not exist"),
        ("../x", "leads out of the journal's directory"),
        ("..", "leads out of the journal's directory"),
    ],
)
def test_what_go_makes_something_else_of_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValidationError) as caught:
        evaluate(text)
    assert reason in caught.value.reason


def test_a_template_which_fails_on_zero_values_is_refused_as_by_the_reference() -> None:
    with pytest.raises(ValidationError, match="Path: index 0 is out of range of ''"):
        validate_template("{{ index .Spool.Journal 0 }}", "Path")
    # The zero codec is 0, and false, while its name is a text which is not empty.
    with pytest.raises(ValidationError, match=r"Path: \.Missing does not exist"):
        validate_template("{{ if not .Spool.CompressionCodec }}{{ .Missing }}{{ end }}", "Path")


def test_zero_values_need_not_make_a_clean_path() -> None:
    validate_template("a/{{ .Spool.Journal }}", "Path")


def test_the_zero_time_in_nanoseconds_wraps_as_in_go() -> None:
    view = SpoolView(VIEW.fragment, VIEW.registers, None)
    template = PathTemplate.parse("{{ .Spool.FirstAppendTime.UnixNano }}")
    assert template.evaluate(view, SPEC) == "-6795364578871345152"


def test_memory_is_bounded() -> None:
    doubled = '{{with printf "%s%s" . .}}' * 30
    with pytest.raises(ValidationError, match="more than 4096 characters"):
        evaluate('{{with "0123456789"}}' + doubled + "{{len .}}" + "{{end}}" * 31)


def test_a_result_may_have_512_bytes() -> None:
    assert evaluate("a" * 512) == "a" * 512
    with pytest.raises(ValidationError, match="invalid length"):
        evaluate("a" * 513)


GO_VECTORS = [
    [json.loads(field) for field in line.split("\t")]
    for line in (Path(__file__).parent / "testdata" / "path_template.tsv").read_text().splitlines()
]
"""Moment, template and postfix: printed by Go's text/template, which was given what a broker of the
reference gives it when it persists a spool."""


GO_SPEC = JournalSpec(
    name="acme/orders",
    replication=3,
    labels=LabelSet.of(("env", "prod"), ("region", "eu")),
    fragment=FragmentSpec(length=1 << 20),
)


@pytest.mark.parametrize("moment", sorted({moment for moment, _, _ in GO_VECTORS}))
def test_templates_make_what_go_makes(moment: int) -> None:
    fragment = Fragment(
        journal="acme/orders",
        begin=4096,
        end=65535,
        compression_codec=CompressionCodec.ZSTANDARD,
    )
    view = SpoolView(fragment, LabelSet.of(("author", "me"), ("epoch", "7")), moment)
    vectors = [(text, postfix) for at, text, postfix in GO_VECTORS if at == moment]
    assert len(vectors) >= 60
    for text, expected in vectors:
        assert (text, PathTemplate.parse(text).evaluate(view, GO_SPEC)) == (text, expected)


def test_what_go_evaluates_to_a_path_may_be_applied() -> None:
    for text in sorted({text for _, text, _ in GO_VECTORS}):
        validate_template(text, "Path", GO_SPEC)
