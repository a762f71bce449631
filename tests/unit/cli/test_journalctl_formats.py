"""Output formats of items, and of what is read."""

import json

import pytest

from gazette_py.cli.errors import CommandError
from gazette_py.cli.record_formats import Record, envelope, hex_dump, json_line, raw, template
from gazette_py.cli.render import STREAM_BATCH, Column, Output
from gazette_py.cli.wire import fragment_json
from gazette_py.client.client import ListedFragment
from gazette_py.errors import ValidationError
from gazette_py.message.serdes import serde_of
from gazette_py.protocol.fragment import Fragment

ITEMS = [{"name": "a/b", "head": 5, "size": 1 << 60}, {"name": "a/long", "head": 12, "size": 0}]
COLUMNS = (
    Column("NAME", lambda item: item["name"]),
    Column("HEAD", lambda item: item["head"], lambda value: f"<{value}>"),
    Column("SIZE", lambda item: item["size"], is_wide=True),
)

EXPECTED = {
    "": "a/b\t5\na/long\t12\n",  # The test's output is no terminal.
    "table": "NAME    HEAD\na/b     <5>\na/long  <12>\n",
    "wide": "NAME    HEAD  SIZE\na/b     <5>   1152921504606846976\na/long  <12>  0\n",
    "name": "a/b\na/long\n",
    "csv": "name,head\na/b,5\na/long,12\n",
    "tsv": "name\thead\na/b\t5\na/long\t12\n",
    "jsonl": '{"name":"a/b","head":5,"size":"1152921504606846976"}\n'
    '{"name":"a/long","head":12,"size":0}\n',
    "yaml": "- name: a/b\n  head: 5\n  size: '1152921504606846976'\n"
    "- name: a/long\n  head: 12\n  size: 0\n",
}


@pytest.mark.parametrize("format_name", list(EXPECTED))
def test_formats(format_name: str, capsys: pytest.CaptureFixture[str]) -> None:
    Output(format=format_name).print_items("Heads", ITEMS, COLUMNS)

    assert capsys.readouterr().out == EXPECTED[format_name]


@pytest.mark.parametrize("format_name", list(EXPECTED))
def test_formats_of_a_stream(format_name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with Output(format=format_name).stream("Heads", COLUMNS) as stream:
        for item in ITEMS:
            stream.add(item)

    assert capsys.readouterr().out == EXPECTED[format_name]


@pytest.mark.parametrize("form", [*EXPECTED, "json"])
@pytest.mark.parametrize("count", [0, STREAM_BATCH, 2 * STREAM_BATCH + 1])
def test_a_long_stream_is_printed_as_one(
    form: str, count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    items = [{"name": f"a/{n}", "head": n, "size": n} for n in range(count)]
    with Output(format=form, columns=("Size", "name")).stream("Heads", COLUMNS) as stream:
        for item in items:
            stream.add(item)
    streamed = capsys.readouterr().out
    Output(format=form, columns=("Size", "name")).print_items("Heads", items, COLUMNS)
    at_once = capsys.readouterr().out

    if form == "json":
        assert json.loads(streamed) == json.loads(at_once)
    else:
        assert streamed.split() == at_once.split()  # Later rows of a table may be wider.


def test_a_stream_holds_little_and_ends_as_its_source_does(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A document of which a part is missing is none."""

    def print_part() -> None:
        with Output(format="json").stream("Heads", COLUMNS) as stream:
            for _ in range(STREAM_BATCH):
                stream.add(ITEMS[0])
            assert capsys.readouterr().out.count("a/b") == STREAM_BATCH
            stream.add(ITEMS[1])
            raise ValidationError("", "the source ends early")

    with pytest.raises(ValidationError):
        print_part()
    rest = capsys.readouterr().out
    assert "a/long" in rest
    assert "cursor" not in rest


def test_a_query_is_over_all_of_a_stream(capsys: pytest.CaptureFixture[str]) -> None:
    with Output(format="jsonl", query="items[].head").stream("Heads", COLUMNS) as stream:
        for head in range(STREAM_BATCH + 1):
            stream.add({"name": "a", "head": head})
    assert capsys.readouterr().out.split() == [str(n) for n in range(STREAM_BATCH + 1)]


def test_json_is_one_versioned_document(capsys: pytest.CaptureFixture[str]) -> None:
    Output(format="json").print_items("Heads", ITEMS, COLUMNS, cursor=3)

    assert json.loads(capsys.readouterr().out) == {
        "apiVersion": "gazette-py/v1",
        "kind": "Heads",
        "items": [{"name": "a/b", "head": 5, "size": str(1 << 60)}, ITEMS[1]],
        "cursor": 3,
    }


def test_no_items_are_an_empty_table(capsys: pytest.CaptureFixture[str]) -> None:
    Output(format="table").print_items("Heads", [], COLUMNS)

    assert capsys.readouterr().out == "NAME  HEAD\n"


def test_columns_are_chosen_and_ordered(capsys: pytest.CaptureFixture[str]) -> None:
    Output(format="tsv", columns=("size", "Name")).print_items("Heads", ITEMS, COLUMNS)

    assert capsys.readouterr().out.splitlines() == ["size\tname", f"{1 << 60}\ta/b", "0\ta/long"]


def test_an_unknown_column_is_refused() -> None:
    with pytest.raises(CommandError) as caught:
        Output(format="tsv", columns=("size", "nope")).print_items("Heads", ITEMS, COLUMNS)
    assert caught.value.failure.hints == ("There are name, head, size.",)


@pytest.mark.parametrize(
    ("format_name", "expected"),
    [
        ("", '[\n  "a/b",\n  "a/long"\n]\n'),
        ("jsonl", '"a/b"\n"a/long"\n'),
        ("yaml", "- a/b\n- a/long\n"),
    ],
)
def test_a_query_takes_a_part(
    format_name: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Output(format=format_name, query="items[].name").print_items("Heads", ITEMS, COLUMNS)

    assert capsys.readouterr().out == expected


@pytest.mark.parametrize(("format_name", "query"), [("json", "items["), ("table", "items")])
def test_a_bad_query_is_refused(format_name: str, query: str) -> None:
    with pytest.raises(CommandError) as caught:
        Output(format=format_name, query=query).print_items("Heads", ITEMS, COLUMNS)
    assert caught.value.failure.what == "--query"


UUID_TEXT = "83fc2f95-cc5f-11e9-8001-0d04970419de"
NO_UUID = {"uuid": None, "producer": None, "clock": None, "flags": None}


def _record(value: bytes, framing: str = "lines", pointer: str = "") -> Record:
    serde = serde_of(framing, pointer)
    end = 6 + len(value)
    return Record(journal="a/b", begin=5, end=end, raw=value + b"\n", value=value, serde=serde)


def test_records_are_printed_raw_or_as_json() -> None:
    record = _record(b'{"a":  1}')

    assert raw(record) == b'{"a":  1}\n'
    assert json_line(record) == b'{"a":1}\n'
    assert json.loads(envelope(record)) == {
        "journal": "a/b",
        "offset": 5,
        "end": 15,
        **NO_UUID,
        "value": {"a": 1},
    }


@pytest.mark.parametrize(
    ("value", "framing", "pointer"),
    [
        (b'{"_meta":{"uuid":"%s"}}' % UUID_TEXT.encode(), "lines", ""),
        (b'{"id":"%s"}' % UUID_TEXT.encode(), "lines", "/id"),
        (b"%s,x" % UUID_TEXT.encode(), "csv", ""),
    ],
)
def test_an_envelope_tells_what_the_uuid_says(value: bytes, framing: str, pointer: str) -> None:
    fields = json.loads(envelope(_record(value, framing, pointer)))

    assert list(fields) == [
        *("journal", "offset", "end", "uuid", "producer", "clock", "flags", "value")
    ]
    assert fields["uuid"] == UUID_TEXT
    assert fields["producer"] == "0d04970419de"
    assert fields["clock"] == str(0x1E9CC5F83FC2F950)  # Beyond what a double holds.
    assert fields["flags"] == "CONTINUE_TXN"


def test_flags_without_a_name_are_a_number() -> None:
    record = _record(b'{"uuid":"83fc2f95-cc5f-11e9-82aa-0d04970419de"}')
    assert json.loads(envelope(record))["flags"] == 682


def test_rows_of_csv_are_lists() -> None:
    record = _record(b'1,"a ""b"""', "csv")

    assert json_line(record) == b'["1","a \\"b\\""]\n'
    assert json.loads(envelope(record))["value"] == ["1", 'a "b"']


@pytest.mark.parametrize(
    ("value", "framing"),
    [(b"text", "lines"), (b"NaN", "lines"), (b"1e400", "lines"), (b"\xff", "csv"), (b"x", "fixed")],
)
def test_what_is_no_json_is_refused_as_such_and_wrapped_as_text(value: bytes, framing: str) -> None:
    with pytest.raises(ValidationError, match=r"journal a/b at offset 5: .*; -o raw prints it"):
        json_line(_record(value, framing))
    fields = json.loads(envelope(_record(value, framing)))
    assert {name: fields[name] for name in NO_UUID} == NO_UUID
    if value == b"\xff":
        assert fields["value_base64"] == "/w=="
    else:
        assert fields["value"] == value.decode()


def test_half_of_a_pair_of_surrogates_remains_an_escape() -> None:
    assert json_line(_record(b'["\xc3\xa9", "\\ud800"]')) == b'["\\u00e9","\\ud800"]\n'


def test_a_template_has_the_parts_of_a_record() -> None:
    render = template("%j %o-%e %%\\t%v\\\\\\n")

    assert render(_record(b"xyz")) == b"a/b 5-9 %\txyz\\\n"


def test_a_template_has_what_the_uuid_says() -> None:
    render = template("%u|%p|%c|%t|%f|%v")
    row = f"{UUID_TEXT},x".encode()

    assert render(_record(row, "csv")) == (
        b"%s|0d04970419de|2205855587517004112|2019-09-01T02:23:41.981275Z|CONTINUE_TXN|%s"
        % (UUID_TEXT.encode(), row)
    )
    assert render(_record(b"text")) == b"|||||text"


@pytest.mark.parametrize("text", ["%x", "%", "\\q", "a\\"])
def test_a_template_with_another_escape_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="no escape"):
        template(text)


def test_hexadecimal_rows_tell_their_offset() -> None:
    assert hex_dump(b"0123456789abcdef\n", 32).decode() == (
        "0000000000000020  30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66  |0123456789abcdef|\n"
        "0000000000000030  0a                                               |.|\n"
    )


def test_fragments_are_told_as_gazctl_does() -> None:
    """Zeros are left out, but for the sum; and letters which HTML knows are escapes."""
    listed = ListedFragment(Fragment(journal="a/b", end=7), "http://h/?a=1&b=<é>")

    assert fragment_json(listed) == (
        '{"spec":{"journal":"a/b","end":7,"sum":{},"compression_codec":1},'
        '"signed_url":"http://h/?a=1\\u0026b=\\u003cé\\u003e"}\n'
    )
