"""Where settings of the connection are from: flag, environment, context, gazctl.ini, default."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gazette_py.cli.errors import ExitCode
from gazette_py.cli.journalctl import cli
from gazette_py.cli.settings import config_path


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, with nothing set, and also the working directory."""
    for name in [name for name in os.environ if name.startswith(("GAZETTE_", "BROKER_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("ZONE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*args: str, code: int = ExitCode.OK, stdin: str = "") -> Result:
    result = CliRunner().invoke(cli, args, input=stdin, prog_name="journalctl")
    assert result.exit_code == code, result.output
    return result


def settings(*args: str) -> dict[str, tuple[str, str]]:
    """Return value and source of each setting, by its option."""
    document = json.loads(call(*args, "config", "print", "-o", "json").stdout)
    return {item["name"]: (item["value"], item["source"]) for item in document["items"]}


def written(home: Path, text: str) -> str:
    path = home / ".config" / "gazette" / "journalctl.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def test_the_file_is_in_the_users_configuration_directory() -> None:
    assert config_path({"HOME": "/h"}) == Path("/h/.config/gazette/journalctl.toml")
    assert config_path({"HOME": "/h", "XDG_CONFIG_HOME": "/x"}) == Path(
        "/x/gazette/journalctl.toml"
    )
    assert config_path({"GAZETTE_CONFIG": "/f"}) == Path("/f")


def test_flag_before_environment_before_context_before_ini_before_default(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings()["--zone"] == ("local", "default")
    (home / "gazctl.ini").write_text("[journals]\nZone = from-ini\n")
    assert settings()["--zone"] == ("from-ini", "gazctl.ini")
    path = written(home, 'current = "c"\n[context.c]\nzone = "from-context"\n')
    assert settings()["--zone"] == ("from-context", f"context c of {path}")
    monkeypatch.setenv("ZONE", "from-env")
    assert settings()["--zone"] == ("from-env", "$ZONE")
    monkeypatch.setenv("GAZETTE_ZONE", "from-our-env")
    assert settings()["--zone"] == ("from-our-env", "$GAZETTE_ZONE")
    result = call("config", "print", "--zone", "from-flag")
    assert "--zone\tfrom-flag\tflag\n" in result.stdout


def test_a_context_has_every_setting_of_the_connection(home: Path) -> None:
    for name in ("token", "keys", "ca", "cert", "key"):
        (home / name).write_text("x")
    written(
        home,
        f"""
        [context.all]
        address = "http://a:1"
        zone = "z"
        cache_size = 7
        cache_ttl = "5m"
        request_timeout = "2s"
        auth_token_file = "{home}/token"
        ca = "{home}/ca"
        cert = "{home}/cert"
        key = "{home}/key"
        etcd = "http://e:2379"
        """,
    )

    found = settings("--context", "all")

    assert {option: value for option, (value, source) in found.items() if source != "default"} == {
        "--broker.address": "http://a:1",
        "--zone": "z",
        "--broker.cache.size": 7,
        "--broker.cache.ttl": 300.0,
        "--request-timeout": 2.0,
        "--auth-token-file": f"{home}/token",
        "--broker.trusted-ca-file": f"{home}/ca",
        "--broker.cert-file": f"{home}/cert",
        "--broker.cert-key-file": f"{home}/key",
        "--etcd.address": "http://e:2379",
    }


def test_the_context_is_named_before_or_after_the_command_or_by_the_environment(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(home, '[context.a]\nzone = "a"\n[context.b]\nzone = "b"\n')
    assert settings()["--zone"][0] == "local"
    assert settings("--context", "a")["--zone"][0] == "a"
    assert "--zone\tb\t" in call("config", "print", "--context", "b").stdout
    monkeypatch.setenv("GAZETTE_CONTEXT", "b")
    assert settings()["--zone"][0] == "b"
    assert settings("--context", "a")["--zone"][0] == "a"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[context.a", "it is no TOML: Expected ']'"),
        ("[contexts.a]", "unknown key contexts"),
        ("context = 1", "`context` is no table of tables"),
        ("[context]\na = 1", "`context` is no table of tables"),
        ('current = "z"\n[context.a]', "current is 'z', which is none of its contexts"),
        ("current = 1\n[context.a]", "current is 1, which is none of its contexts"),
        ("[context.a]\nadress = 'x'", "unknown key adress\nhint: Did you mean address?"),
        ("[context.a]\nqqq = 'x'", "unknown key qqq\nhint: There are address, zone,"),
        ("[context.a]\nzone = true", "zone is True"),
        ("[context.a]\nzone = ['x']", "zone is ['x']"),
        ("[context.a]\nprotected = 'yes'", "protected is 'yes'"),
    ],
)
def test_what_is_wrong_with_the_file_is_told_with_its_name(
    home: Path, text: str, told: str
) -> None:
    path = written(home, text)

    result = call("config", "validate", code=ExitCode.USAGE)

    assert path in result.stderr
    assert told in result.stderr


@pytest.mark.parametrize(
    ("setting", "option"), [("cache_ttl = 'abc'", "--broker.cache.ttl"), ("cache_size = -1", "--b")]
)
def test_a_value_which_does_not_parse_is_told_with_its_context(
    home: Path, setting: str, option: str
) -> None:
    path = written(home, f'current = "a"\n[context.a]\n{setting}\n')

    result = call("list", code=ExitCode.USAGE)

    assert f"error: context a of {path} (INVALID): {option}" in result.stderr


def test_a_file_which_is_no_text_is_told(home: Path) -> None:
    path = written(home, "")
    Path(path).write_bytes(b"\xff")

    assert f"file {path} (INVALID): it is not UTF-8" in call("list", code=ExitCode.USAGE).stderr


def test_an_unknown_context_is_told_and_those_there_are(home: Path) -> None:
    written(home, "[context.a]\n[context.b]\n")

    result = call("list", "--context", "c", code=ExitCode.USAGE)

    assert "context c (INVALID): it is not in " in result.stderr
    assert "hint: There are a, b." in result.stderr


def test_gazctls_file_is_read_by_field_and_by_option(home: Path) -> None:
    directory = home / ".config" / "gazette"
    directory.mkdir(parents=True)
    (directory / "gazctl.ini").write_text(
        """
        ; written by `gazctl print-config`
        [journals]
        zone = east
        [journals.Broker]
        Address = http://ini:8080
        broker.cert-file = cert.pem
        # commented = x
        TTL = 30s
        Unknown = 1
        [shards.Broker]
        Address = http://other:8080
        """.replace("        ", "")
    )

    found = settings()

    assert found["--broker.address"] == ("http://ini:8080", str(directory / "gazctl.ini"))
    assert found["--zone"][0] == "east"
    assert found["--broker.cert-file"][0] == "cert.pem"
    assert found["--broker.cache.ttl"][0] == 30.0
    (home / "gazctl.ini").write_text("no section\n")
    assert "file gazctl.ini (INVALID)" in call("list", code=ExitCode.USAGE).stderr


def test_contexts_are_made_changed_shown_used_and_deleted(home: Path) -> None:
    path = Path(written(home, "# Ours.\n[context.old]\nzone = 'o'  # why\n"))
    call("context", "set", "new", "address=http://n:1", "ca=ca.pem", "protected=true")
    call("context", "set", "new", "cache_size=9", "protected-")
    call("context", "use", "new")

    assert path.read_text() == (
        "current = \"new\"\n# Ours.\n[context.old]\nzone = 'o'  # why\n\n"
        f'[context.new]\naddress = "http://n:1"\nca = "{home}/ca.pem"\ncache_size = 9\n'
    )
    assert call("context", "show").stdout == (
        f'[context.new]\naddress = "http://n:1"\nca = "{home}/ca.pem"\ncache_size = 9\n'
    )
    listed = call("context", "list", "-o", "jsonl").stdout.splitlines()
    assert [(json.loads(line)["name"], json.loads(line)["is_current"]) for line in listed] == [
        ("old", False),
        ("new", True),
    ]
    call("context", "use", "old")
    assert 'current = "old"\n' in path.read_text()
    call("context", "delete", "old")
    assert "old" not in path.read_text()
    call("context", "use", "none")
    assert "none is in use" in call("context", "show", code=ExitCode.USAGE).stderr


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("set", "a", "adress=x"), "Did you mean address?"),
        (("set", "a", "zone"), "'zone' is no change"),
        (("set", "a", "zone-"), "'zone-' is no change"),
        (("set", "a", "protected=yes"), "neither true nor false"),
        (("use", "a"), "`journalctl context set a address=http://...` makes it"),
        (("delete", "a"), "makes it"),
    ],
)
def test_what_is_no_context_is_refused_and_nothing_written(
    home: Path, args: tuple[str, ...], told: str
) -> None:
    assert told in call("context", *args, code=ExitCode.USAGE).stderr
    assert not (home / ".config").exists()


CHANGES = [
    ("apply", "-f", "x.yaml"),
    ("label", "-l", "", "a=b"),
    ("delete", "a/b"),
    ("append", "a/b"),
    ("suspend", "a/b"),
    ("resume", "a/b"),
    ("reset-head", "a/b"),
    *(
        ("journals", verb, *more)
        for verb, *more in (
            ("apply", "--specs", "x.yaml"),
            ("append", "-l", "env=b"),
            ("suspend", "-l", "env=b"),
            ("reset-head", "-l", "env=b"),
        )
    ),
    ("brokers", "drain", "broker-0", "--etcd.address", "http://127.0.0.1:9", "--yes"),
]


@pytest.mark.parametrize("command", CHANGES, ids=lambda args: "-".join(args[:2]))
def test_a_protected_context_asks_for_its_name_before_changes(
    home: Path, command: tuple[str, ...]
) -> None:
    (home / "x.yaml").write_text("name: acme/b\ndelete: true\nrevision: -1\n")
    written(home, '[context.p]\nprotected = true\naddress = "http://127.0.0.1:9"\n')
    more = ("--context", "p", "--request-timeout", "100ms")

    result = call(*command, *more, code=ExitCode.USAGE)
    assert "context p (INVALID): it is protected, and there is no terminal" in result.stderr
    wrong = call(*command, *more, "--confirm-context", "q", code=ExitCode.USAGE)
    assert "'q' is not its name" in wrong.stderr
    allowed = call(*command, *more, "--confirm-context", "p", code=ExitCode.UNAVAILABLE)
    assert "127.0.0.1:9" in allowed.stderr


def test_a_dry_run_and_a_read_do_not_ask(home: Path) -> None:
    written(home, '[context.p]\nprotected = true\naddress = "http://127.0.0.1:9"\n')
    more = ("--context", "p", "--request-timeout", "100ms")

    call("delete", "a/b", "--dry-run", *more, code=ExitCode.UNAVAILABLE)
    call("list", *more, code=ExitCode.UNAVAILABLE)


def test_what_is_given_for_a_call_overrides_secrets_of_the_context(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else both would be sent, or the wrong one."""
    (home / "token").write_text("of.the.context\n")
    (home / "other").write_text("of.the.call\n")
    written(home, f'current = "c"\n[context.c]\nauth_token_file = "{home}/token"\n')

    assert settings()["--auth-token-file"][0] == f"{home}/token"
    call("config", "validate", "--auth-token-file", "other")
    monkeypatch.setenv("BROKER_AUTH_TOKEN", "of.the.environment")
    assert settings()["--broker.auth-token"] == ("<not shown>", "$BROKER_AUTH_TOKEN")


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("--auth-token-file", "missing"), "--auth-token-file missing (INVALID): it cannot be"),
        (("--auth-keys-file", "empty"), "--auth-keys-file empty (INVALID): it is empty"),
        (("--auth-keys-file", "binary"), "it cannot be read: it is no text"),
        (("--auth-keys-file", "keys", "--broker.auth-keys", "a2V5"), "--broker.auth-keys was"),
    ],
)
def test_secrets_which_cannot_be_had_are_told(home: Path, args: tuple[str, ...], told: str) -> None:
    (home / "empty").write_text(" \n")
    (home / "binary").write_bytes(b"\xff")
    (home / "keys").write_text("a2V5")

    assert told in call("config", "validate", *args, code=ExitCode.USAGE).stderr


def test_secrets_on_the_command_line_are_warned_of() -> None:
    warned = call("config", "validate", "--broker.auth-keys", "a2V5").stderr

    assert "warning: --broker.auth-keys is seen by all who list processes" in warned
    assert "a2V5" not in warned
