"""Path postfix templates."""

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
