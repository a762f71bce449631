"""Every bad call fails with the thing, the reason and a way out, before any broker is asked."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from gazette_py.cli.journalctl import cli

GOOD = """\
name: acme/a
replication: 1
fragment: {length: 1024, compression_codec: NONE, refresh_interval: 1m}
"""

FILES = {
    "good.yaml": GOOD,
    "typo.yaml": "name: acme/a\nreplicaton: 1\n",
    "short.yaml": GOOD.replace("1024", "3"),
    "empty.yaml": "",
    "delete.yaml": "name: acme/a\ndelete: true\n",
    "revision.yaml": GOOD + "revision: -2\n",
    "offsets.json": '{"a": "b"}',
}

# Arguments, exit code, and parts of what is said.
CALLS = [
    ("lst", "no command lst: did you mean list?", "--help"),
    ("frobnicate", "no command frobnicate: there are list, describe", "--help"),
    ("list --wach", "Did you mean ", "See `journalctl list --help`."),
    ("list --frob", "--frob", "See `journalctl list --help`."),
    ("list -o nope", "'nope' is not one of 'table'", "--help"),
    ("list -w -o yaml", "error: --watch (INVALID): not with -o yaml", "hint: Use -o table"),
    ("list -l a=b", "error: selector 'a=b' (INVALID)", "hint: A selector is like"),
    ("list acme/ -l env=x", "both names and -l were given", "Give one of them"),
    ("list --broker.address foo", "--broker.address 'foo'", "http://localhost:8080"),
    ("list --request-timeout soon", "'soon' is no duration such as 30s", "--help"),
    ("apply", "Missing option '-f'", "--help"),
    ("apply -f none.yaml", "none.yaml (INVALID): it cannot be read: No such file", "'-'"),
    ("apply -f typo.yaml", "typo.yaml:2 (INVALID)", "did you mean replication?"),
    ("apply -f short.yaml", "short.yaml:1: acme/a.Fragment (INVALID)", "1024 <= length"),
    ("apply -f empty.yaml", "empty.yaml (INVALID): no YAML document", ""),
    ("apply -f delete.yaml", "a deletion needs the journal's revision", "--revision=upsert"),
    ("apply -f revision.yaml", "revision -2 is below -1", ""),
    ("apply -f good.yaml -f good.yaml", "journal acme/a was given before", "good.yaml:1"),
    ("apply -f dir", "the directory has no file which ends in .yaml", "-R"),
    ("apply -f good.yaml --prune-selector x", "selector 'x'", "A selector is like"),
    ("delete", "this would delete all journals", "--all"),
    ("delete -l ", "this would delete all journals", "--all"),
    ("head", "neither a NAME nor a selector", "-l '' selects all"),
    ("fragments", "neither a NAME nor a selector", "-l '' selects all"),
    ("fragments a/b --from soon", "'soon' is no time such as -1h", "--help"),
    ("fragments a/b --compat-json --covering", "it lists all fragments", "--covering"),
    ("append", "neither NAME nor -l was given", "Name the journal"),
    ("append a/b -l x=y", "both NAME and -l were given", "Name the journal"),
    ("append a/", "this is the name of a directory", "name:prefix=a/"),
    ("append a/b --mapping modulo", "modulo is for records", "--framing lines"),
    ("append a/b --key-jsonpointer /a", "--mapping random uses no key", "--mapping modulo"),
    ("append a/b --framing lines --base64", "no keys which are lines", "--mapping modulo"),
    ("append a/b --framing lines --offset 3", "it is for one append", "Leave out --framing"),
    ("append a/b --offset 0", "brokers take 0 for any offset", "--check-register"),
    ("append a/b --framing csv --mapping modulo", "rows have no keys", "--key-jsonpointer /0"),
    ("append a/b --attach-uuid=/x", "--framing none have their UUIDs", "--framing lines or csv"),
    ("append a/b --framing fixed --attach-uuid", "--framing fixed have", "--framing lines or csv"),
    ("append a/b --framing csv --attach-uuid=/x", "is its first field", "Leave out"),
    ("append --framing lines --attach-uuid a/b", "'a/b' is taken for one unless", "--help"),
    ("append a/b --rate 1KiB", "below 65536 bytes/s", "At least 128KiB are safe"),
    ("append a/b -i none", "input none (INVALID): it cannot be read", "standard input"),
    ("append a/b --max-inflight many", "'many' is no size such as 4096", "--help"),
    ("append a/b --check-register x=y", "selector 'x=y'", "A selector is like"),
    ("read", "neither a NAME nor a selector", "-l '' selects all"),
    ("read a/b -f -e", "it contradicts --follow", "Give one of them"),
    ("read a/b --offset here", "'here' is none of beginning, end, stored", "--help"),
    ("read a/b --offset stored", "no file of offsets was given", "--offsets"),
    ("read a/b --offsets none", "offsets none (INVALID): the file does not exist", "none.previous"),
    ("read a/b --offsets good.yaml", "it is no JSON", ""),
    ("read a/b --offsets offsets.json", "it is no object of offsets", '{"acme/orders": 1234}'),
    ("read a/b --format %x", "no escape %x", "%j %o %e %v"),
    ("read a/b --format %v -o hexdump", "it contradicts -o hexdump", "Give one of them"),
    ("read a/b --rotate 1MiB", "there is no file", "Name one by --to"),
    ("read a/b --to x --rotate soon", "'soon' is no size such as 64MiB, nor", "--help"),
    ("read a/b --to x --rotate 0s", "'0s' is nothing", "--help"),
    ("read a/b --since -1h --until -2h", "it is not after --since", "Times are like"),
    ("read a/b -f --until -1h", "it is past", "Leave out --follow"),
    ("read a/b -n 3 -o hexdump", "-o hexdump has no records", "another format"),
    ("read a/b -n 3 --framing none", "there are no records then", "lines, csv or fixed"),
    ("prune", "neither a NAME nor a selector", "-l '' selects all"),
    ("prune a/b", "there is no terminal to ask on", "--yes"),
    ("prune a/b --older-than 0s --yes", "it would let everything go", "720h"),
    ("prune a/b --older-than month", "'month' is no duration", "--help"),
    ("prune a/b --min-keep much", "'much' is no size", "--help"),
    ("prune a/b --concurrency 0", "0 is not in the range", "--help"),
    ("store ls", "Missing argument 'URL...'", "--help"),
    ("store ls file:/// --offline --prefix a", "a directory's name ends in '/'", "leave it out"),
    ("store du nowhere", "store nowhere (INVALID): not absolute", ""),
    ("lake files", "neither a NAME nor a selector", "-l '' selects all"),
    ("lake files a/ --store file:///", "a store cannot tell which there are", "in full"),
    ("restore", "Missing argument 'FILE|DIR|-...'", "--help"),
    ("restore none.yaml", "none.yaml (INVALID): it cannot be read", "'-'"),
    ("restore typo.yaml", "typo.yaml:2 (INVALID)", "did you mean replication?"),
    ("restore good.yaml --resume-at-heads", "the files know of no write heads", ""),
    ("restore good.yaml --replace-store s3://a/ s3://b/", "no journal is in s3://a/", "There are"),
]


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with FILES, from which no broker can be reached."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BROKER_ADDRESS", "http://127.0.0.1:1")
    monkeypatch.setenv("GAZETTE_REQUEST_TIMEOUT", "1s")
    (tmp_path / "dir").mkdir()
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.usefixtures("directory")
@pytest.mark.parametrize(("call", "reason", "way_out"), CALLS, ids=[call for call, *_ in CALLS])
def test_a_bad_call_is_a_usage_error(call: str, reason: str, way_out: str) -> None:
    result = CliRunner().invoke(cli, call.split(" "), prog_name="journalctl")

    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(("error: ", "warning: "))
    assert reason in result.stderr
    assert way_out in result.stderr


@pytest.mark.usefixtures("directory")
def test_who_reads_json_gets_errors_as_json() -> None:
    result = CliRunner().invoke(cli, ["head", "-o", "json"], prog_name="journalctl")

    error = json.loads(result.stderr)["error"]
    assert error["code"] == 2
    assert error["status"] == "INVALID"
    assert error["message"] == "journals: neither a NAME nor a selector was given"
    assert error["hint"].startswith("Name journals")


@pytest.mark.usefixtures("directory")
@pytest.mark.parametrize(
    "call", ["list", "head a/b", "delete a/b --yes", "append a/b -i good.yaml"]
)
def test_a_broker_which_is_not_there_is_unavailable(call: str) -> None:
    result = CliRunner().invoke(cli, call.split(), prog_name="journalctl")

    assert result.exit_code == 6
    assert "error: broker http://127.0.0.1:1 (UNAVAILABLE)" in result.stderr
    assert "hint: Is a broker there? Name one by --broker.address" in result.stderr


@pytest.mark.usefixtures("directory")
def test_a_dry_run_of_the_client_asks_no_broker() -> None:
    result = CliRunner().invoke(cli, ["apply", "-f", "good.yaml", "--dry-run=client"])

    assert result.exit_code == 0
    assert result.stdout == "upsert\tacme/a\t0\n"


@pytest.mark.parametrize("name", ["v1/journals", "debug/x"])
def test_a_journal_which_http_cannot_reach_is_warned_of(directory: Path, name: str) -> None:
    text = (directory / "good.yaml").read_text().replace("acme/a", name)
    (directory / "odd.yaml").write_text(text)

    result = CliRunner().invoke(cli, ["apply", "-f", "odd.yaml", "--dry-run=client"])

    assert result.exit_code == 0
    assert f"journal {name} cannot be reached over HTTP" in result.stderr


def test_no_arguments_are_help_and_a_usage_error() -> None:
    result = CliRunner().invoke(cli, [], prog_name="gazette-journalctl")

    assert result.exit_code == 2
    assert "Commands:" in result.stdout
